#include "http/server.h"

#include <gtest/gtest.h>

#include <string>

#include "http/loopback.h"

namespace fathom::http {
namespace {

using loopback::body_of;
using loopback::dial;
using loopback::status_of;
using loopback::talk;
using loopback::with_server;

// Handlers.

Async<> say_hello(Exchange& exchange) {
    co_return co_await exchange.reply({.content_type = "text/plain", .body = "hello"});
}

Async<> say_path(Exchange& exchange) {
    co_return co_await exchange.reply({.body = std::string(exchange.request().path) + ";"});
}

Async<> echo_whole(Exchange& exchange) {
    auto body = co_await read_all(exchange.body(), 1_MiB);
    if (!body) co_return fail(std::move(body).error());
    co_return co_await exchange.reply({.body = std::move(*body)});
}

Async<> echo_stream(Exchange& exchange) {
    ResponseHead head;
    head.body = exchange.body().length();
    if (head.body.kind == BodyLength::Kind::none) head.body = BodyLength::fixed(0);
    exchange.start(head);
    co_return co_await pump(exchange.body(), exchange.out());
}

std::string get(std::string_view path, std::string_view fields = "") {
    return fmt::format("GET {} HTTP/1.1\r\nHost: a\r\n{}\r\n", path, fields);
}
constexpr std::string_view kClose = "Connection: close\r\n";

TEST(Server, AnswersWithDateAndLength) {
    with_server(say_hello, [](Server& server) -> Async<> {
        const auto answer = *co_await talk(server.address(), get("/", kClose));
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"))
            << answer;
        EXPECT_TRUE(answer.contains("\r\nServer: test\r\nDate: ")) << answer;
        EXPECT_TRUE(answer.ends_with("\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"));
        co_return Result<>{};
    });
}

TEST(Server, KeepsTheConnectionForTheNextRequest) {
    with_server(say_path, [](Server& server) -> Async<> {
        auto connection = *co_await dial(server.address());
        for (const auto* path : {"/a", "/b", "/c"}) {
            (void)co_await connection->send(get(path));
            const auto answer = *co_await connection->read_until(";");
            EXPECT_EQ(body_of(answer), std::string(path) + ";");
        }
        EXPECT_EQ(server.counts().accepted, 1U);
        EXPECT_EQ(server.counts().requests, 3U);
        co_return Result<>{};
    });
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
    with_server(say_path,
                [](Server& server) -> Async<> {
                    std::string requests;
                    for (int i = 0; i < 50; ++i) requests += get(fmt::format("/{}", i));
                    requests += get("/last", kClose);
                    const auto answers = *co_await talk(server.address(), requests);
                    std::size_t from = 0;
                    for (int i = 0; i < 50; ++i) {
                        const auto at = answers.find(fmt::format("\r\n\r\n/{};HTTP/1.1", i), from);
                        EXPECT_NE(at, std::string::npos) << i;
                        from = at == std::string::npos ? from : at;
                    }
                    EXPECT_TRUE(answers.ends_with("/last;"));
                    co_return Result<>{};
                },
                {.requests_per_wake_max = 7});
}

// While one handler waits, the answers before it are out.
rt::Signal* g_go = nullptr;
Async<> wait_on_slow(Exchange& exchange) {
    if (exchange.request().path == "/slow") co_await g_go->wait();
    co_return co_await say_path(exchange);
}

TEST(Server, HoldsNoAnswerBackWhileTheNextHandlerWaits) {
    with_server(wait_on_slow, [](Server& server) -> Async<> {
        rt::Signal go;
        g_go = &go;
        auto connection = *co_await dial(server.address());
        (void)co_await connection->send(get("/first") + get("/slow"));
        EXPECT_EQ(body_of(*co_await connection->read_until(";")), "/first;");
        go.raise();
        EXPECT_EQ(body_of(*co_await connection->read_until(";")), "/slow;");
        co_return Result<>{};
    });
}

struct EchoCase {
    const char* name;
    std::string request;
    std::string body;  // of the answer, as it stands on the wire
};

TEST(Server, EchoesInEveryFraming) {
    with_server(echo_stream, [](Server& server) -> Async<> {
        const std::string start = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
        const std::vector<EchoCase> cases = {
            {"none", start + "\r\n", ""},
            {"empty", start + "Content-Length: 0\r\n\r\n", ""},
            {"fixed", start + "Content-Length: 5\r\n\r\nhello", "hello"},
            {"chunked", start + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
             "3\r\nabc\r\n0\r\n\r\n"},
            {"empty chunked", start + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "0\r\n\r\n"},
            {"trailers",
             start +
                 "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n",
             "3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n"},
        };
        for (const auto& one : cases) {
            const auto answer = *co_await talk(server.address(), one.request);
            EXPECT_EQ(status_of(answer), 200) << one.name;
            EXPECT_EQ(body_of(answer), one.body) << one.name;
        }
        co_return Result<>{};
    });
}

TEST(Server, ReadsARequestThatComesByteByByte) {
    with_server(echo_whole, [](Server& server) -> Async<> {
        auto connection = *co_await dial(server.address());
        const std::string request =
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            "3\r\nabc\r\n0\r\nX: y\r\n\r\n";
        for (const char c : request) {
            (void)co_await connection->send({&c, 1});
            co_await rt::yield();
        }
        EXPECT_EQ(body_of(*co_await connection->read_all()), "abc");
        co_return Result<>{};
    });
}

TEST(Server, TakesAHeadOfAlmostOneMiB) {
    with_server(say_hello, [](Server& server) -> Async<> {
        const std::string value(1000000, 'v');
        const auto fields = fmt::format("X: {}\r\n{}", value, kClose);
        EXPECT_EQ(status_of(*co_await talk(server.address(), get("/", fields))), 200);
        const auto too_large = fmt::format("X: {}{}\r\n{}", value, value, kClose);
        EXPECT_EQ(status_of(*co_await talk(server.address(), get("/", too_large))), 431);
        co_return Result<>{};
    });
}

TEST(Server, SaysContinueAtTheFirstRead) {
    with_server(echo_whole, [](Server& server) -> Async<> {
        auto connection = *co_await dial(server.address());
        (void)co_await connection->send(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
        EXPECT_EQ(*co_await connection->read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
        (void)co_await connection->send("hi");
        EXPECT_TRUE((co_await connection->read_until("hi"))->starts_with("HTTP/1.1 200"));
        co_return Result<>{};
    });
}

TEST(Server, SaysNoContinueWhereTheBodyIsHereOrNotWanted) {
    with_server(echo_whole, [](Server& server) -> Async<> {
        const auto answer = *co_await talk(
            server.address(),
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
            "Connection: close\r\n\r\nhi");
        EXPECT_EQ(status_of(answer), 200);
        co_return Result<>{};
    });
    with_server(say_hello, [](Server& server) -> Async<> {
        const auto answer = *co_await talk(
            server.address(),
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
        EXPECT_EQ(status_of(answer), 200);
        EXPECT_TRUE(answer.contains("Connection: close")) << answer;
        co_return Result<>{};
    });
}

TEST(Server, SendsNoBodyToHead) {
    with_server(say_hello, [](Server& server) -> Async<> {
        const auto answer = *co_await talk(server.address(),
                                           "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get("/", kClose));
        EXPECT_EQ(answer.find("hello"), answer.size() - 5) << answer;
        co_return Result<>{};
    });
}

Async<> say_no_content(Exchange& exchange) {
    co_return co_await exchange.reply({.status = 204, .body = "dropped"});
}

TEST(Server, SendsNoBodyWithNoContent) {
    with_server(say_no_content, [](Server& server) -> Async<> {
        const auto answer = *co_await talk(server.address(), get("/", kClose));
        EXPECT_EQ(body_of(answer), "");
        EXPECT_FALSE(answer.contains("Content-Length")) << answer;
        co_return Result<>{};
    });
}

TEST(Server, SpeaksHttp10) {
    with_server(echo_stream, [](Server& server) -> Async<> {
        const auto closed =
            *co_await talk(server.address(), "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi");
        EXPECT_TRUE(closed.contains("Connection: close")) << closed;
        EXPECT_EQ(body_of(closed), "hi");
        auto connection = *co_await dial(server.address());
        (void)co_await connection->send(
            "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi");
        EXPECT_TRUE((co_await connection->read_until("hi"))->contains("Connection: keep-alive"));
        co_return Result<>{};
    });
}

Async<> stream_two(Exchange& exchange) {
    ResponseHead head;
    head.body = BodyLength::chunked();
    exchange.start(head);
    for (const auto* piece : {"one", "two"}) {
        auto written = co_await exchange.out().write(piece);
        if (!written) co_return written;
    }
    co_return Result<>{};  // the server finishes it
}

TEST(Server, StreamsUntilCloseToHttp10AndChunkedToOthers) {
    with_server(stream_two, [](Server& server) -> Async<> {
        const auto old =
            *co_await talk(server.address(), "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        EXPECT_EQ(body_of(old), "onetwo");
        const auto chunked = *co_await talk(server.address(), get("/", kClose));
        EXPECT_EQ(body_of(chunked), "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
        co_return Result<>{};
    });
}

TEST(Server, LetsTheClientReadWhyItWasRefused) {
    with_server(say_hello, [](Server& server) -> Async<> {
        auto connection = *co_await dial(server.address());
        // More than it reads before it answers: closing at once would take the answer back.
        (void)co_await connection->send("GET / HTTP/1.1\r\nHost : a\r\n\r\n" +
                                        std::string(100000, 'x'));
        const auto answer = *co_await connection->read_all();
        EXPECT_EQ(status_of(answer), 400);
        EXPECT_TRUE(answer.contains("colon")) << answer;
        EXPECT_EQ(server.counts().bad_requests, 1U);
        co_return Result<>{};
    });
}

Async<> limit_to_ten(Exchange& exchange) {
    exchange.body().limit(10);
    co_return co_await echo_whole(exchange);
}

TEST(Server, RefusesABodyOneByteOverTheLimit) {
    with_server(limit_to_ten, [](Server& server) -> Async<> {
        const std::string start = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
        const auto fits =
            *co_await talk(server.address(), start + "Content-Length: 10\r\n\r\n0123456789");
        EXPECT_EQ(body_of(fits), "0123456789");
        const auto over =
            *co_await talk(server.address(), start + "Content-Length: 11\r\n\r\n0123456789a");
        EXPECT_EQ(status_of(over), 413);
        const auto chunked = *co_await talk(
            server.address(),
            start + "Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n");
        EXPECT_EQ(status_of(chunked), 413);
        co_return Result<>{};
    });
}

TEST(Server, RefusesBrokenChunksWhateverTheHandlerThinks) {
    with_server(echo_whole, [](Server& server) -> Async<> {
        const auto answer = *co_await talk(server.address(),
                                           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                                           "chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n");
        EXPECT_EQ(status_of(answer), 400);
        co_return Result<>{};
    });
}

TEST(Server, GivesUpOnASlowHead) {
    with_server(say_hello,
                [](Server& server) -> Async<> {
                    const auto answer = *co_await talk(server.address(), "GET / HTTP/1.1\r\nHost:");
                    EXPECT_EQ(status_of(answer), 408);
                    co_return Result<>{};
                },
                {.head_within = 30ms});
}

TEST(Server, ClosesASilentConnection) {
    with_server(say_path,
                [](Server& server) -> Async<> {
                    EXPECT_EQ(*co_await talk(server.address(), ""), "");
                    const auto answer = *co_await talk(server.address(), get("/a"));
                    EXPECT_EQ(body_of(answer), "/a;");
                    co_return Result<>{};
                },
                {.idle_max = 30ms});
}

TEST(Server, IsIdleAlsoAfterARequestThatJustFilledItsRoom) {
    with_server(say_path,
                [](Server& server) -> Async<> {
                    const auto empty = get("/a", "X: \r\n").size();
                    auto connection = *co_await dial(server.address());
                    (void)co_await connection->send(
                        get("/a", fmt::format("X: {}\r\n", std::string(8192 - empty, 'x'))));
                    EXPECT_EQ(body_of(*co_await connection->read_until(";")), "/a;");
                    EXPECT_EQ(*co_await connection->read_all(), "");
                    EXPECT_FALSE(connection->was_reset());
                    co_return Result<>{};
                },
                {.head_within = 60s, .idle_max = 30ms});
}

TEST(Server, GivesUpOnASlowBody) {
    with_server(echo_whole,
                [](Server& server) -> Async<> {
                    const auto answer = *co_await talk(
                        server.address(),
                        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
                    EXPECT_EQ(status_of(answer), 408);
                    co_return Result<>{};
                },
                {.stall_max = 30ms});
}

std::optional<Errc> g_write_error;
Async<> flood(Exchange& exchange) {
    ResponseHead head;
    head.body = BodyLength::chunked();
    exchange.start(head);
    const std::string piece(65536, 'x');
    for (;;) {
        auto written = co_await exchange.out().write(piece);
        if (!written) {
            g_write_error = written.error().code();
            co_return written;
        }
    }
}

TEST(Server, GivesUpOnAClientThatTakesNothing) {
    g_write_error.reset();
    with_server(flood,
                [](Server& server) -> Async<> {
                    auto connection = *co_await dial(server.address());
                    (void)co_await connection->send(get("/"));
                    while (!g_write_error) co_await rt::sleep_for(5ms);
                    EXPECT_EQ(*g_write_error, Errc::timed_out);
                    co_return Result<>{};
                },
                {.stall_max = 50ms});
}

Async<> cancel_a_write(Exchange& exchange) {
    ResponseHead head;
    head.body = BodyLength::chunked();
    exchange.start(head);
    const std::string piece(64 << 20, 'x');  // more than any socket takes at once
    auto written = co_await within(Deadline::in(20ms), exchange.out().write(piece));
    g_write_error = written.error().code();
    co_return Result<>{};  // says that all is well: it is not
}

TEST(Server, ClosesAfterAWriteThatWasCancelledHalfWay) {
    g_write_error.reset();
    with_server(cancel_a_write, [](Server& server) -> Async<> {
        auto connection = *co_await dial(server.address());
        (void)co_await connection->send(get("/"));
        while (!g_write_error) co_await rt::sleep_for(1ms);
        EXPECT_EQ(*g_write_error, Errc::timed_out);
        const auto answer = *co_await connection->read_all();
        EXPECT_FALSE(answer.ends_with("0\r\n\r\n"));
        co_return Result<>{};
    });
}

TEST(Server, TellsTheHandlerWhenTheClientIsGone) {
    g_write_error.reset();
    with_server(flood, [](Server& server) -> Async<> {
        auto connection = *co_await dial(server.address());
        (void)co_await connection->send(get("/"));
        (void)co_await connection->read_until("xxx");
        connection.reset();
        while (!g_write_error) co_await rt::sleep_for(5ms);
        EXPECT_EQ(*g_write_error, Errc::bad_upstream);
        co_return Result<>{};
    });
}

TEST(Server, AnswersAClientThatOnlyEndsItsHalf) {
    with_server(echo_whole, [](Server& server) -> Async<> {
        auto connection = *co_await dial(server.address());
        (void)co_await connection->send(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        connection->socket().shut_write();
        EXPECT_EQ(body_of(*co_await connection->read_all()), "hi");
        co_return Result<>{};
    });
}

bool g_was_gone = false;
Async<> forever() {
    co_await std::suspend_always{};
    co_return Result<>{};
}
Async<> work_while_wanted(Exchange& exchange) {
    (void)co_await rt::either(exchange.client_gone(), forever());
    g_was_gone = true;
    exchange.abort();
    co_return Result<>{};
}

TEST(Server, LetsAHandlerStopWhenItsClientLeaves) {
    g_was_gone = false;
    with_server(work_while_wanted, [](Server& server) -> Async<> {
        auto connection = *co_await dial(server.address());
        (void)co_await connection->send(get("/") + get("/pipelined"));
        for (int i = 0; i < 10; ++i) co_await rt::yield();
        EXPECT_FALSE(g_was_gone);
        connection.reset();
        while (!g_was_gone) co_await rt::sleep_for(1ms);
        co_return Result<>{};
    });
}

TEST(Server, SkipsASmallBodyNobodyRead) {
    with_server(say_path, [](Server& server) -> Async<> {
        const auto answers = *co_await talk(
            server.address(), "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" +
                                  std::string(1000, 'x') + get("/b", kClose));
        EXPECT_TRUE(answers.contains("/a;"));
        EXPECT_TRUE(answers.ends_with("/b;"));
        co_return Result<>{};
    });
}

TEST(Server, ClosesAfterALargeBodyNobodyRead) {
    with_server(say_path, [](Server& server) -> Async<> {
        auto connection = *co_await dial(server.address());
        (void)co_await connection->send(
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nbeginning");
        EXPECT_TRUE((co_await connection->read_all())->ends_with("/a;"));
        EXPECT_FALSE(connection->was_reset());
        co_return Result<>{};
    });
}

Async<> break_half_way(Exchange& exchange) {
    ResponseHead head;
    head.body = BodyLength::chunked();
    exchange.start(head);
    (void)co_await exchange.out().write("half");
    co_return fail(Errc::bad_upstream, "the replica died");
}

TEST(Server, BreaksAnAnswerThatFailedHalfWay) {
    with_server(break_half_way, [](Server& server) -> Async<> {
        const auto chunked = *co_await talk(server.address(), get("/"));
        EXPECT_EQ(body_of(chunked), "4\r\nhalf\r\n");
        auto old = *co_await dial(server.address());
        (void)co_await old->send("GET / HTTP/1.0\r\n\r\n");
        (void)co_await old->read_all();
        EXPECT_TRUE(old->was_reset());  // a plain close would mean a whole answer
        co_return Result<>{};
    });
}

Async<> claim_too_much(Exchange& exchange) {
    ResponseHead head;
    head.body = BodyLength::fixed(10);
    exchange.start(head);
    co_return co_await exchange.out().write("short");
}

TEST(Server, BreaksAnAnswerShorterThanAnnounced) {
    with_server(claim_too_much, [](Server& server) -> Async<> {
        EXPECT_EQ(body_of(*co_await talk(server.address(), get("/"))), "short");
        co_return Result<>{};
    });
}

Async<> fail_plainly(Exchange& exchange) {
    if (exchange.request().path == "/nothing") co_return Result<>{};
    co_return fail(Errc::not_found, "no function is called \"x\"");
}

TEST(Server, SaysTheErrorOfAHandler) {
    with_server(fail_plainly, [](Server& server) -> Async<> {
        auto connection = *co_await dial(server.address());
        (void)co_await connection->send(get("/"));
        const auto answer = *co_await connection->read_until("\"x\"\n");
        EXPECT_EQ(status_of(answer), 404);
        EXPECT_TRUE(answer.contains("Content-Type: text/plain"));
        (void)co_await connection->send(get("/nothing", kClose));
        EXPECT_EQ(status_of(*co_await connection->read_all()), 500);
        co_return Result<>{};
    });
}

Async<> echo_pieces(Exchange& exchange) {
    ResponseHead head;
    head.body = BodyLength::chunked();
    exchange.start(head);
    auto flushed = co_await exchange.flush();
    if (!flushed) co_return flushed;
    co_return co_await pump(exchange.body(), exchange.out());
}

TEST(Server, SpeaksBothWaysAtTheSameTime) {
    with_server(echo_pieces, [](Server& server) -> Async<> {
        auto connection = *co_await dial(server.address());
        (void)co_await connection->send(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: "
            "close\r\n\r\n");
        EXPECT_EQ(status_of(*co_await connection->read_until("\r\n\r\n")), 200);
        for (const auto* event : {"data: 1\n\n", "data: 2\n\n", "data: 3\n\n"}) {
            (void)co_await connection->send(fmt::format("9\r\n{}\r\n", event));
            EXPECT_EQ(*co_await connection->read_until("\n\n\r\n"),
                      fmt::format("9\r\n{}\r\n", event));
        }
        (void)co_await connection->send("0\r\n\r\n");
        EXPECT_EQ(*co_await connection->read_all(), "0\r\n\r\n");
        co_return Result<>{};
    });
}

TEST(Server, RefusesConnectionsOverTheLimit) {
    with_server(say_path,
                [](Server& server) -> Async<> {
                    auto first = *co_await dial(server.address());
                    (void)co_await first->send(get("/a"));
                    (void)co_await first->read_until(";");
                    const auto second = *co_await talk(server.address(), get("/b"));
                    EXPECT_EQ(status_of(second), 503);
                    EXPECT_EQ(server.counts().refused, 1U);
                    co_return Result<>{};
                },
                {.connections_max = 1});
}

TEST(Server, LetsRunningExchangesEndWhenItDrains) {
    with_server(wait_on_slow, [](Server& server) -> Async<> {
        rt::Signal go;
        g_go = &go;
        auto idle = *co_await dial(server.address());
        (void)co_await idle->send(get("/a"));
        (void)co_await idle->read_until(";");
        auto busy = *co_await dial(server.address());
        (void)co_await busy->send(get("/slow"));
        while (server.counts().requests < 2) co_await rt::yield();

        TaskGroup draining;
        draining.spawn(server.drain(Deadline::in(5s)));
        EXPECT_EQ(*co_await idle->read_all(), "");
        EXPECT_FALSE(co_await rt::connect(server.address()));
        go.raise();
        const auto answer = *co_await busy->read_all();
        EXPECT_TRUE(answer.contains("Connection: close")) << answer;
        EXPECT_TRUE(answer.ends_with("/slow;"));
        co_return co_await draining.wait_empty();
    });
}

TEST(Server, CutsOffWhatDoesNotEndInTime) {
    with_server(wait_on_slow, [](Server& server) -> Async<> {
        rt::Signal go;
        g_go = &go;
        auto busy = *co_await dial(server.address());
        (void)co_await busy->send(get("/slow"));
        while (server.counts().requests < 1) co_await rt::yield();
        auto drained = co_await server.drain(Deadline::in(20ms));
        EXPECT_EQ(*co_await busy->read_all(), "");
        co_return drained;
    });
}

Async<> say_core(Exchange& exchange) {
    co_return co_await exchange.reply({.body = fmt::format("{};", rt::this_core_index())});
}

TEST(Server, SpreadsConnectionsOverItsCores) {
    with_server(
        say_core,
        [](Server& server) -> Async<> {
            std::vector<std::unique_ptr<loopback::RawConnection>> connections;
            std::array<int, 2> on_core{};
            for (int i = 0; i < 8; ++i) {
                connections.push_back(*co_await dial(server.address()));
                (void)co_await connections.back()->send(get("/"));
                const auto answer = *co_await connections.back()->read_until(";");
                ++on_core[body_of(answer) == "0;" ? 0 : 1];
            }
            EXPECT_EQ(on_core[0], 4);
            EXPECT_EQ(on_core[1], 4);
            EXPECT_EQ(server.counts().open, 8U);
            co_return Result<>{};
        },
        {}, 2);
}

Async<> try_to_listen_twice(rt::Runtime& runtime) {
    const auto make = [](rt::Core&) {
        return std::make_unique<loopback::FunctionHandler>(say_hello);
    };
    Server first(runtime, {});
    auto started = co_await first.start(loopback::any_port(), make);
    if (!started) co_return started;
    Server second(runtime, {});
    auto refused = co_await second.start(first.address(), make);
    EXPECT_FALSE(refused);
    if (!refused) EXPECT_EQ(refused.error().code(), Errc::conflict);
    co_return co_await first.drain(Deadline::none());
}

TEST(Server, DoesNotShareItsPort) {
    const SystemClock clock;
    rt::Runtime runtime({.cores = 2}, clock);
    EXPECT_TRUE(runtime.run(try_to_listen_twice(runtime)));
}

TEST(Server, ListensOnAUnixSocketToo) {
    const SystemClock clock;
    rt::Runtime runtime({.cores = 2}, clock);
    const auto path = testing::TempDir() + "fathom_http_test.sock";
    const auto serve = [](rt::Runtime& on, std::string where) -> Async<> {
        Server server(on, {});
        auto started = co_await server.start(
            {.unix_path = where, .ip = "", .port = 0},
            [](rt::Core&) { return std::make_unique<loopback::FunctionHandler>(say_hello); });
        if (!started) co_return started;
        auto answer = co_await call_once(server.address(), {.target = "/x"});
        EXPECT_EQ(answer->body, "hello");
        co_return co_await server.drain(Deadline::in(1s));
    };
    std::remove(path.c_str());
    EXPECT_TRUE(runtime.run(serve(runtime, path)));
    std::remove(path.c_str());
}

}  // namespace
}  // namespace fathom::http
