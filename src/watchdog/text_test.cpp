#include "watchdog/text.h"

#include <gtest/gtest.h>

namespace fathom::watchdog {
namespace {

template <class... Args>
std::string made_by(void (*append)(std::string&, Args...), Args... args) {
    std::string text;
    append(text, args...);
    return text;
}

TEST(WatchdogText, WritesSecondsAsPercentFDoes) {
    EXPECT_EQ(seconds_text(1823us), "0.001823");
    EXPECT_EQ(seconds_text(0s), "0.000000");
    EXPECT_EQ(seconds_text(61s + 999999999ns), "62.000000");
    EXPECT_EQ(seconds_text(3700us, 4), "0.0037");
}

TEST(WatchdogText, WritesSizesInPowersOfAThousand) {
    EXPECT_EQ(made_by(append_size, std::int64_t(39)), "39B");
    EXPECT_EQ(made_by(append_size, std::int64_t(0)), "0B");
    EXPECT_EQ(made_by(append_size, std::int64_t(1234)), "1.234kB");
    EXPECT_EQ(made_by(append_size, std::int64_t(12'500'000)), "12.5MB");
    EXPECT_EQ(made_by(append_size, std::int64_t(-1)), "-1B");
}

TEST(WatchdogText, WritesLogTimesInUtc) {
    EXPECT_EQ(made_by(append_log_time, Clock::Wall{std::chrono::seconds(1'795'266'359)}),
              "2026/11/21 13:05:59");
}

TEST(WatchdogText, MakesFieldNamesCanonicalWhateverTheirCase) {
    EXPECT_EQ(canonical_name("x-call-ID"), "X-Call-Id");
    EXPECT_EQ(made_by(append_variable_name, std::string_view("CONTENT-type")), "Content_Type");
}

TEST(WatchdogText, WritesBase64WithItsPadding) {
    EXPECT_EQ(made_by(append_base64, std::string_view("")), "");
    EXPECT_EQ(made_by(append_base64, std::string_view("a")), "YQ==");
    EXPECT_EQ(made_by(append_base64, std::string_view("ab")), "YWI=");
    EXPECT_EQ(made_by(append_base64, std::string_view("abc")), "YWJj");
    EXPECT_EQ(made_by(append_base64, std::string_view("\xff\xfe\xfd")), "//79");
}

TEST(WatchdogText, EscapesJsonAsGoDoes) {
    EXPECT_EQ(made_by(append_json, std::string_view("a\"\\\n<\xc3\xa4")),
              "\"a\\\"\\\\\\u000a\\u003c\xc3\xa4\"");
    EXPECT_EQ(made_by(append_json, std::string_view("\xff\xc3")), "\"\\ufffd\\ufffd\"");
    EXPECT_EQ(made_by(append_json, std::string_view("\xed\xa0\x80")), "\"\\ufffd\\ufffd\\ufffd\"");
}

}  // namespace
}  // namespace fathom::watchdog
