#include "observe/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "rt/fd.h"

namespace fathom::observe {
namespace {

// The reading end of what a log writes into.
class Reader {
public:
    explicit Reader(int flags = 0) {
        int ends[2];
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC | flags), 0);
        read_end_ = rt::Fd(ends[0]);
        write_end_ = rt::Fd(ends[1]);
        ::fcntl(read_end_.get(), F_SETFL, O_NONBLOCK);
    }
    int fd() const { return write_end_.get(); }
    std::string text() const {
        std::string all;
        char bytes[8192];
        for (;;) {
            const auto got = ::read(read_end_.get(), bytes, sizeof bytes);
            if (got <= 0) return all;
            all.append(bytes, static_cast<std::size_t>(got));
        }
    }
    void close() { read_end_ = rt::Fd(); }

private:
    rt::Fd read_end_;
    rt::Fd write_end_;
};

class LogTest : public testing::Test {
protected:
    Log log(LogFormat format = LogFormat::text, unsigned repeats_max = 20) {
        return Log({.fd = reader_.fd(), .format = format, .repeats_max = repeats_max}, clock_);
    }
    // The one line, without its time.
    std::string line() {
        auto text = reader_.text();
        EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
        return text.substr(text.find(' ') + 1);
    }

    Reader reader_;
    ManualClock clock_;
};

TEST_F(LogTest, WritesOneLinePerEvent) {
    auto out = log();
    out.info("replica.ready", {{"function", "echo"}, {"cold_start_ms", 3}});
    EXPECT_EQ(reader_.text(),
              "1999-12-25T00:00:00.000Z info  replica.ready function=echo cold_start_ms=3\n");
}

TEST_F(LogTest, WritesEveryKindOfValue) {
    auto out = log();
    out.warn("e", {{"text", std::string("a")},
                   {"view", std::string_view("b")},
                   {"truth", true},
                   {"negative", -5},
                   {"large", std::uint64_t{18446744073709551615U}},
                   {"fraction", 0.5},
                   {"took", Duration(1500ms)},
                   {"why", Error(Errc::invalid, "it broke")},
                   {"password", Secret("hunter2")}});
    EXPECT_EQ(line(),
              "warn  e text=a view=b truth=true negative=-5 large=18446744073709551615 "
              "fraction=0.5 took=1.5s why=\"it broke\" password=***\n");
}

TEST_F(LogTest, SecretsPrintStarsInFmtToo) {
    EXPECT_EQ(fmt::format("{}", Secret("hunter2")), "***");
    EXPECT_EQ(Secret("hunter2").reveal(), "hunter2");
}

TEST_F(LogTest, QuotesWhatCouldBeMisread) {
    auto out = log();
    out.error("e", {{"a", ""},
                    {"b", "x y"},
                    {"c", "k=v"},
                    {"d", "say \"hi\"\n\x1b[31m"},
                    {"e", "\xc3\xa4"},
                    {"f", "\xff\xc0\x80"}});
    EXPECT_EQ(line(),
              "error e a=\"\" b=\"x y\" c=\"k=v\" d=\"say \\\"hi\\\"\\n\\u001b[31m\" "
              "e=\"\xc3\xa4\" f=\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"\n");
}

TEST_F(LogTest, WritesJson) {
    auto out = log(LogFormat::json);
    out.info("e", {{"text", "a\"\\\n\x01\xff"},
                   {"n", -1},
                   {"truth", false},
                   {"half", 0.5},
                   {"inf", INFINITY},
                   {"took", Duration(2s)}});
    const auto json = nlohmann::json::parse(reader_.text());
    EXPECT_EQ(json["time"], "1999-12-25T00:00:00.000Z");
    EXPECT_EQ(json["level"], "info");
    EXPECT_EQ(json["event"], "e");
    EXPECT_EQ(json["text"], "a\"\\\n\x01\xef\xbf\xbd");
    EXPECT_EQ(json["n"], -1);
    EXPECT_EQ(json["truth"], false);
    EXPECT_EQ(json["half"], 0.5);
    EXPECT_EQ(json["inf"], "inf");
    EXPECT_EQ(json["took"], "2s");
}

TEST_F(LogTest, LeavesOutWhatIsBelowItsLevel) {
    Log out({.fd = reader_.fd(), .level = Level::warn}, clock_);
    out.debug("a");
    out.info("b");
    out.warn("c");
    EXPECT_EQ(line(), "warn  c\n");
    EXPECT_FALSE(out.is_on(Level::info));
    Log quiet(Log::quiet(), clock_);
    quiet.error("d");
    EXPECT_EQ(quiet.lines_dropped(), 0U);
}

TEST_F(LogTest, CutsLinesAtTheLimitAndKeepsJsonWhole) {
    for (const auto& text : {std::string(10'000, 'x'), std::string(10'000, '\x01'),
                             std::string(10'000, '"'), std::string(4040, 'x')}) {
        for (const auto format : {LogFormat::text, LogFormat::json}) {
            auto out = log(format);
            out.info("e", {{"first", 1}, {"long", text}, {"last", text}});
            const auto written = reader_.text();
            EXPECT_LE(written.size(), kLogLineBytesMax);
            EXPECT_GT(written.size(), kLogLineBytesMax / 2);
            EXPECT_EQ(written.back(), '\n');
            if (format == LogFormat::json) {
                EXPECT_TRUE(nlohmann::json::accept(written)) << written;
            }
        }
    }
}

TEST_F(LogTest, HoldsBackRepeatsAndSaysHowMany) {
    auto out = log(LogFormat::text, 2);
    for (int i = 0; i < 5; ++i) out.warn("disk.full", {{"path", "a"}});
    out.warn("disk.full", {{"path", "b"}});  // another subject
    const auto first = reader_.text();
    EXPECT_EQ(std::ranges::count(first, '\n'), 3);
    EXPECT_EQ(out.repeats_dropped(), 3U);
    clock_.advance(1s);
    out.warn("disk.full", {{"path", "a"}});
    EXPECT_EQ(line(), "warn  disk.full path=a repeats_dropped=3\n");
    out.warn("disk.full", {{"path", "a"}});
    EXPECT_EQ(line(), "warn  disk.full path=a\n");
}

TEST_F(LogTest, NeverWaitsForAReaderAndCountsWhatItDropped) {
    auto out = log(LogFormat::text, 1'000'000);
    while (out.lines_dropped() < 1) out.info("flood", {{"text", std::string(1000, 'x')}});
    (void)reader_.text();
    out.info("after");
    const auto text = reader_.text();
    EXPECT_NE(text.find("warn  log.lines_dropped count=1\n"), std::string::npos) << text;
    EXPECT_NE(text.find("info  after\n"), std::string::npos);
    EXPECT_EQ(::fcntl(reader_.fd(), F_GETFL) & O_NONBLOCK, 0) << "shared flags were changed";
}

TEST_F(LogTest, NeverWaitsForASocketEither) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const rt::Fd reads(ends[0]);
    const rt::Fd writes(ends[1]);
    Log out({.fd = writes.get(), .repeats_max = 1'000'000}, clock_);
    while (out.lines_dropped() < 1) out.info("flood", {{"text", std::string(1000, 'x')}});
}

TEST_F(LogTest, SurvivesAReaderThatWentAway) {
    const auto before = std::signal(SIGPIPE, SIG_IGN);
    auto out = log();
    reader_.close();
    out.info("a");
    EXPECT_EQ(out.lines_dropped(), 1U);
    std::signal(SIGPIPE, before);
}

TEST(LogOptions, AreReadFromWords) {
    EXPECT_EQ(*parse_level("debug"), Level::debug);
    EXPECT_EQ(*parse_level("none"), Level::none);
    EXPECT_EQ(*parse_log_format("json"), LogFormat::json);
    EXPECT_EQ(parse_level("loud").error().message(),
              "log level \"loud\": accepted: debug, info, warn, error, none");
    EXPECT_EQ(parse_log_format("xml").error().message(),
              "log format \"xml\": accepted: text, json");
}

}  // namespace
}  // namespace fathom::observe
