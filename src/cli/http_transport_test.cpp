#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>

#include "cli/transport.h"
#include "http/http.h"

namespace fathom::cli {
namespace {

// POST /echo gives back what comes, /refuse answers 413 at once, /never does not answer.
class Peer final : public http::Handler {
public:
    Async<> handle(http::Exchange& exchange) override {
        const auto path = exchange.request().path;
        if (path == "/refuse")
            co_return co_await exchange.reply({.status = 413, .body = "too big"});
        if (path == "/never") {
            rt::Signal nothing;
            co_await nothing.wait();
        }
        http::ResponseHead head;
        head.body = http::BodyLength::chunked();
        exchange.start(head);
        for (;;) {
            auto piece = co_await exchange.body().read();
            if (!piece) co_return fail(std::move(piece).error());
            if (piece->empty()) co_return co_await exchange.out().finish();
            auto sent = co_await exchange.out().write(*piece);
            if (!sent) co_return fail(std::move(sent).error());
        }
    }
};

Async<> serve(rt::Runtime& runtime, int tell) {
    http::Server server(runtime, {});
    auto started = co_await server.start({.unix_path = "", .ip = "127.0.0.1", .port = 0},
                                         [](rt::Core&) { return std::make_unique<Peer>(); });
    if (!started) co_return fail(std::move(started).error());
    const auto port = server.address().port;
    if (::write(tell, &port, sizeof port) != sizeof port) co_return Result<>{};
    rt::Signal nothing;
    co_await nothing.wait();
    co_return Result<>{};
}

// A server in a process of its own, since the transport runs its loop on this one's thread.
class HttpTransportTest : public testing::Test {
protected:
    void SetUp() override {
        std::array<int, 2> pipe{};
        ASSERT_EQ(::pipe(pipe.data()), 0);
        child_ = ::fork();
        if (child_ == 0) {
            const SystemClock clock;
            rt::Runtime runtime({.cores = 1}, clock);
            (void)runtime.run(serve(runtime, pipe[1]));
            ::_exit(1);
        }
        ::close(pipe[1]);
        place.host = "127.0.0.1";
        ASSERT_EQ(::read(pipe[0], &place.port, sizeof place.port),
                  static_cast<ssize_t>(sizeof place.port));
        ::close(pipe[0]);
    }
    void TearDown() override {
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
    }

    GatewayUrl place;
    std::unique_ptr<Transport> transport = make_http_transport();

private:
    pid_t child_ = 0;
};

const std::string kMegabytes(3'000'000, 'm');

TEST_F(HttpTransportTest, SendsTextAndCollectsTheAnswer) {
    const auto reply =
        transport->send(place, {.method = "POST", .target = "/echo", .body = kMegabytes});
    ASSERT_TRUE(reply) << reply.error().message();
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->reason, "OK");
    EXPECT_EQ(reply->body, kMegabytes);
    EXPECT_EQ(reply->header("server"), "fathom");
}

TEST_F(HttpTransportTest, SendsAFileWithItsLength) {
    std::FILE* file = std::tmpfile();
    ASSERT_EQ(std::fwrite(kMegabytes.data(), 1, kMegabytes.size(), file), kMegabytes.size());
    std::rewind(file);
    const auto reply = transport->send(place, {.method = "POST",
                                               .target = "/echo",
                                               .body_fd = ::fileno(file),
                                               .body_bytes = kMegabytes.size()});
    std::fclose(file);
    ASSERT_TRUE(reply) << reply.error().message();
    EXPECT_EQ(reply->body, kMegabytes);
}

TEST_F(HttpTransportTest, SendsTextAndThenAPipeAndLeavesThePipeAsItWas) {
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe(pipe.data()), 0);
    ASSERT_EQ(::write(pipe[1], "world", 5), 5);
    ::close(pipe[1]);
    std::string seen;
    const auto reply = transport->send(place, {.method = "POST",
                                               .target = "/echo",
                                               .body = "hello ",
                                               .body_fd = pipe[0],
                                               .on_body = [&](std::string_view bytes) {
                                                   seen += bytes;
                                                   return true;
                                               }});
    ASSERT_TRUE(reply) << reply.error().message();
    EXPECT_EQ(seen, "hello world");
    EXPECT_EQ(::fcntl(pipe[0], F_GETFL) & O_NONBLOCK, 0);
    ::close(pipe[0]);
}

TEST_F(HttpTransportTest, EndsWhenItsListenerHasEnough) {
    std::size_t bytes = 0;
    const auto reply = transport->send(place, {.method = "POST",
                                               .target = "/echo",
                                               .body = kMegabytes,
                                               .on_body = [&](std::string_view piece) {
                                                   bytes += piece.size();
                                                   return false;
                                               }});
    ASSERT_TRUE(reply) << reply.error().message();
    EXPECT_LT(bytes, kMegabytes.size());
}

TEST_F(HttpTransportTest, TakesAnAnswerThatComesBeforeTheBodyIsSent) {
    const auto reply =
        transport->send(place, {.method = "POST", .target = "/refuse", .body = kMegabytes});
    ASSERT_TRUE(reply) << reply.error().message();
    EXPECT_EQ(reply->status, 413);
    EXPECT_EQ(reply->body, "too big");
}

TEST_F(HttpTransportTest, GivesUpAfterItsTime) {
    const auto reply = transport->send(place, {.target = "/never", .within = 20ms});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code(), Errc::timed_out);
    EXPECT_EQ(reply.error().message(), "no answer within 20ms");
}

TEST_F(HttpTransportTest, SaysThatNobodyListens) {
    TearDown();
    const auto reply = transport->send(place, {});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code(), Errc::unavailable);
    SetUp();
}

}  // namespace
}  // namespace fathom::cli
