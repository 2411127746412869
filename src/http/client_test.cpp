#include "http/client.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "http/loopback.h"

namespace fathom::http {
namespace {

using loopback::RawConnection;
using loopback::with_server;

RequestHead head_of(std::string_view method, std::string_view target, BodyLength body = {}) {
    RequestHead head;
    head.method = method;
    head.target = target;
    head.body = body;
    return head;
}

// Sends a whole request and reads the whole answer.
Async<std::string> ask(Upstream& upstream, RequestHead head, std::string_view body = {}) {
    auto exchange = co_await upstream.send(head, body);
    if (!exchange) co_return fail(std::move(exchange).error());
    auto answer = co_await (*exchange)->head();
    if (!answer) co_return fail(std::move(answer).error());
    auto whole = co_await read_all((*exchange)->body(), 1_MiB);
    if (!whole) co_return fail(std::move(whole).error());
    co_return fmt::format("{} {}", (*answer)->status, *whole);
}

Async<> echo(Exchange& exchange) {
    ResponseHead head;
    add_end_to_end(head.headers, exchange.request().headers);
    head.body = exchange.body().length();
    if (head.body.kind == BodyLength::Kind::none) head.body = BodyLength::fixed(0);
    exchange.start(head);
    co_return co_await pump(exchange.body(), exchange.out());
}

TEST(Client, ReusesItsConnection) {
    with_server(echo, [](Server& server) -> Async<> {
        Upstream upstream(server.address());
        for (const auto* body : {"one", "two", "three"}) {
            auto answer = co_await ask(
                upstream, head_of("POST", "/", BodyLength::fixed(std::string_view(body).size())),
                body);
            EXPECT_EQ(*answer, "200 " + std::string(body));
            EXPECT_EQ(upstream.idle(), 1U);
            EXPECT_EQ(upstream.open(), 1U);
        }
        EXPECT_EQ(server.counts().accepted, 1U);
        upstream.close_idle();
        EXPECT_EQ(upstream.open(), 0U);
        co_return Result<>{};
    });
}

TEST(Client, SendsWithoutACoroutineWhereAConnectionLiesReady) {
    with_server(echo, [](Server& server) -> Async<> {
        Upstream upstream(server.address());
        const auto head = head_of("POST", "/", BodyLength::fixed(2));
        EXPECT_EQ(upstream.try_send(head, "hi"), nullptr);
        (void)co_await ask(upstream, head, "hi");
        auto exchange = upstream.try_send(head, "ho");
        EXPECT_NE(exchange, nullptr);
        if (exchange == nullptr) co_return Result<>{};
        EXPECT_TRUE(exchange->was_reused());
        EXPECT_TRUE(co_await exchange->head());
        EXPECT_TRUE(exchange->has_answer_bytes());
        EXPECT_EQ(*co_await read_all(exchange->body(), 9), "ho");
        co_return Result<>{};
    });
}

TEST(Client, StreamsAChunkedBodyWithTrailersBothWays) {
    with_server(echo, [](Server& server) -> Async<> {
        Upstream upstream(server.address());
        auto exchange = *co_await upstream.send(head_of("PUT", "/", BodyLength::chunked()));
        EXPECT_EQ((*co_await exchange->head())->status, 200);
        for (const auto* piece : {"a", "bb", "ccc"}) {
            EXPECT_TRUE(co_await exchange->out().write(piece));
            EXPECT_EQ(*co_await exchange->body().read(), piece);
        }
        Headers trailers;
        trailers.add("X-Sum", "6");
        EXPECT_TRUE(co_await exchange->out().finish(trailers));
        EXPECT_EQ(*co_await exchange->body().read(), "");
        EXPECT_TRUE(exchange->body().is_done());
        EXPECT_EQ(exchange->body().trailers().get("x-sum"), "6");
        exchange.reset();
        EXPECT_EQ(upstream.idle(), 1U);
        co_return Result<>{};
    });
}

TEST(Client, ClosesAConnectionWhoseAnswerWasNotRead) {
    with_server(echo, [](Server& server) -> Async<> {
        Upstream upstream(server.address());
        auto exchange = *co_await upstream.send(head_of("PUT", "/", BodyLength::chunked()));
        EXPECT_TRUE(co_await exchange->head());
        EXPECT_EQ(upstream.open(), 1U);
        exchange.reset();
        EXPECT_EQ(upstream.open(), 0U);
        EXPECT_EQ(upstream.idle(), 0U);
        co_return Result<>{};
    });
}

TEST(Client, SaysThatNobodyListens) {
    const auto ask_nobody = []() -> Async<> {
        Upstream upstream({.unix_path = "", .ip = "127.0.0.1", .port = 1});
        auto answer = co_await ask(upstream, head_of("GET", "/"));
        EXPECT_FALSE(answer);
        EXPECT_EQ(answer.error().code(), Errc::unavailable);
        co_return Result<>{};
    };
    EXPECT_TRUE(rt::run(ask_nobody()));
}

// A server of bytes: for each connection in turn, reads a request head and sends an answer; an
// empty one closes at once, one that ends in '|' closes after it.
using Script = std::vector<std::vector<std::string>>;

Async<> play(rt::Listener& listener, const Script& script) {
    for (const auto& answers : script) {
        auto accepted = co_await listener.accept();
        RawConnection connection(std::move(*rt::Socket::adopt(std::move(accepted->fd))));
        for (std::string answer : answers) {
            (void)co_await connection.read_until("\r\n\r\n");
            const bool closes = answer.empty() || answer.ends_with('|');
            if (answer.ends_with('|')) answer.pop_back();
            (void)co_await connection.send(answer);
            if (closes) break;
        }
    }
    co_return Result<>{};
}

using Ask = Async<> (*)(Upstream& upstream);

Async<> run_script(const Script& script, Ask talk) {
    auto listener = rt::Listener::open(loopback::any_port());
    if (!listener) co_return fail(std::move(listener).error());
    Upstream upstream(listener->address());
    TaskGroup playing;
    playing.spawn(play(*listener, script));
    co_return co_await talk(upstream);
}

void with_script(const Script& script, Ask talk) {
    const auto ran = rt::run(run_script(script, talk));
    EXPECT_TRUE(ran) << ran.error().message();
}

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(Client, SkipsInterimAnswers) {
    with_script(
        {{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + kOk}},
        [](Upstream& upstream) -> Async<> {
            EXPECT_EQ(*co_await ask(upstream, head_of("GET", "/")), "200 ok");
            co_return Result<>{};
        });
}

TEST(Client, ReadsAnAnswerThatLastsUntilTheClose) {
    with_script({{"HTTP/1.1 200 OK\r\n\r\nall of it|"}}, [](Upstream& upstream) -> Async<> {
        EXPECT_EQ(*co_await ask(upstream, head_of("GET", "/")), "200 all of it");
        EXPECT_EQ(upstream.open(), 0U);
        co_return Result<>{};
    });
}

TEST(Client, FindsAnAnswerThatBreaksOff) {
    with_script({{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf|"}},
                [](Upstream& upstream) -> Async<> {
                    auto answer = co_await ask(upstream, head_of("GET", "/"));
                    EXPECT_EQ(answer.error().code(), Errc::bad_upstream);
                    co_return Result<>{};
                });
}

TEST(Client, RefusesWhatIsNotHttp) {
    with_script({{"SSH-2.0-OpenSSH\r\n\r\n"}}, [](Upstream& upstream) -> Async<> {
        auto answer = co_await ask(upstream, head_of("GET", "/"));
        EXPECT_EQ(answer.error().code(), Errc::bad_upstream);
        EXPECT_EQ(upstream.open(), 0U);
        co_return Result<>{};
    });
}

TEST(Client, DoesNotUseAPooledConnectionThatWasClosed) {
    with_script({{kOk + "|"}, {kOk}}, [](Upstream& upstream) -> Async<> {
        EXPECT_EQ(*co_await ask(upstream, head_of("POST", "/")), "200 ok");
        for (int i = 0; i < 5; ++i) co_await rt::yield();  // the end arrives
        EXPECT_EQ(*co_await ask(upstream, head_of("POST", "/")), "200 ok");
        co_return Result<>{};
    });
}

Async<std::unique_ptr<RawConnection>> accept_and_answer(rt::Listener& listener) {
    auto accepted = co_await listener.accept();
    auto connection =
        std::make_unique<RawConnection>(std::move(*rt::Socket::adopt(std::move(accepted->fd))));
    (void)co_await connection->read_until("\r\n\r\n");
    (void)co_await connection->send(kOk);
    co_return connection;
}

Async<> let_the_seldom_used_end() {
    auto listener = *rt::Listener::open(loopback::any_port());
    Upstream upstream(listener.address());
    auto first = *co_await upstream.send(head_of("GET", "/"));
    auto first_behind = *co_await accept_and_answer(listener);
    auto second = *co_await upstream.send(head_of("GET", "/"));
    auto second_behind = *co_await accept_and_answer(listener);
    EXPECT_TRUE(co_await first->head());
    EXPECT_EQ(*co_await read_all(first->body(), 9), "ok");
    first.reset();
    EXPECT_EQ(upstream.open(), 2U);
    first_behind.reset();
    for (int i = 0; i < 5; ++i) co_await rt::yield();  // its end arrives
    EXPECT_TRUE(co_await second->head());
    EXPECT_EQ(*co_await read_all(second->body(), 9), "ok");
    second.reset();
    EXPECT_EQ(upstream.open(), 1U);
    co_return Result<>{};
}

TEST(Client, LooksAfterThePooledConnectionsItSeldomTakes) {
    EXPECT_TRUE(rt::run(let_the_seldom_used_end()));
}

TEST(Client, DoesNotUseAPooledConnectionThatSaidMoreThanItWasAsked) {
    with_script({{kOk + "HTTP/1.1 200 OK\r\n"}, {kOk}}, [](Upstream& upstream) -> Async<> {
        EXPECT_EQ(*co_await ask(upstream, head_of("GET", "/")), "200 ok");
        EXPECT_EQ(upstream.idle(), 0U);
        EXPECT_EQ(*co_await ask(upstream, head_of("GET", "/")), "200 ok");
        co_return Result<>{};
    });
}

TEST(Client, AsksAgainWhenAPooledConnectionEndsUnanswered) {
    with_script({{kOk, ""}, {kOk, kOk}}, [](Upstream& upstream) -> Async<> {
        EXPECT_EQ(*co_await ask(upstream, head_of("GET", "/")), "200 ok");
        EXPECT_EQ(*co_await ask(upstream, head_of("GET", "/")), "200 ok");
        EXPECT_EQ(upstream.open(), 1U);
        co_return Result<>{};
    });
}

TEST(Client, NeverSendsTwiceWhatIsNotIdempotent) {
    with_script({{kOk, ""}, {kOk}}, [](Upstream& upstream) -> Async<> {
        EXPECT_EQ(*co_await ask(upstream, head_of("POST", "/")), "200 ok");
        auto exchange = *co_await upstream.send(head_of("POST", "/"));
        auto answer = co_await exchange->head();
        EXPECT_EQ(answer.error().code(), Errc::bad_upstream);
        // The caller may know better.
        EXPECT_TRUE(exchange->was_reused());
        EXPECT_FALSE(exchange->has_answer_bytes());
        co_return Result<>{};
    });
}

TEST(Client, NeverSendsTwiceWhatAFreshConnectionDidNotAnswer) {
    with_script({{""}, {kOk}}, [](Upstream& upstream) -> Async<> {
        auto answer = co_await ask(upstream, head_of("GET", "/"));
        EXPECT_EQ(answer.error().code(), Errc::bad_upstream);
        co_return Result<>{};
    });
}

TEST(Client, NeverSendsTwiceAfterTheFirstByteOfAnAnswer) {
    with_script({{kOk, "HTTP/1.1 2|"}, {kOk}}, [](Upstream& upstream) -> Async<> {
        EXPECT_EQ(*co_await ask(upstream, head_of("GET", "/")), "200 ok");
        auto answer = co_await ask(upstream, head_of("GET", "/"));
        EXPECT_EQ(answer.error().code(), Errc::bad_upstream);
        co_return Result<>{};
    });
}

TEST(Client, LeavesTheConnectionThatHeadAsksToClose) {
    with_script({{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"}, {kOk}},
                [](Upstream& upstream) -> Async<> {
                    EXPECT_EQ(*co_await ask(upstream, head_of("GET", "/")), "200 ok");
                    EXPECT_EQ(upstream.idle(), 0U);
                    EXPECT_EQ(*co_await ask(upstream, head_of("GET", "/")), "200 ok");
                    co_return Result<>{};
                });
}

TEST(Client, KnowsThatHeadHasNoBody) {
    with_script({{"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", kOk}},
                [](Upstream& upstream) -> Async<> {
                    EXPECT_EQ(*co_await ask(upstream, head_of("HEAD", "/")), "200 ");
                    EXPECT_EQ(*co_await ask(upstream, head_of("GET", "/")), "200 ok");
                    co_return Result<>{};
                });
}

TEST(Client, RefusesATargetWithASpace) {
    with_script({{kOk}}, [](Upstream& upstream) -> Async<> {
        auto answer = co_await ask(upstream, head_of("GET", "/a b"));
        EXPECT_EQ(answer.error().code(), Errc::invalid);
        co_return Result<>{};
    });
}

TEST(Client, GivesABrokenConnectionUpWhenItsUpstreamIsGone) {
    with_server(echo, [](Server& server) -> Async<> {
        auto upstream = std::make_unique<Upstream>(server.address());
        auto exchange = *co_await upstream->send(head_of("POST", "/", BodyLength::fixed(2)), "hi");
        upstream.reset();
        EXPECT_TRUE(co_await exchange->head());
        EXPECT_EQ(*co_await read_all(exchange->body(), 9), "hi");
        co_return Result<>{};
    });
}

TEST(Client, CallsOnceWithABodyLargerThanAnyBuffer) {
    with_server(echo, [](Server& server) -> Async<> {
        const std::string body(20 << 20, 'x');
        auto answer = co_await call_once(
            server.address(),
            {.method = "POST", .target = "/", .headers = {{"X-Name", "v"}}, .body = body});
        EXPECT_TRUE(answer);
        if (!answer) co_return fail(std::move(answer).error());
        EXPECT_EQ(answer->status, 200);
        EXPECT_EQ(answer->header("x-name"), "v");
        EXPECT_TRUE(answer->body == body);
        auto too_large = co_await call_once(
            server.address(), {.method = "POST", .target = "/", .headers = {}, .body = body},
            1_MiB);
        EXPECT_EQ(too_large.error().code(), Errc::too_large);
        co_return Result<>{};
    });
}

// A reverse proxy in a dozen lines.
Upstream* g_behind = nullptr;
Async<> forward(Exchange& exchange) {
    const auto& request = exchange.request();
    RequestHead head;
    head.method = request.method;
    head.target = request.target;
    head.body = request.body;
    add_end_to_end(head.headers, request.headers);
    auto sent = co_await g_behind->send(head);
    if (!sent) co_return fail(std::move(sent).error());
    TaskGroup sending;
    if (!exchange.body().is_done()) sending.spawn(pump(exchange.body(), (*sent)->out()));
    auto answer = co_await (*sent)->head();
    if (!answer) co_return fail(std::move(answer).error());
    ResponseHead back;
    back.status = (*answer)->status;
    back.body = (*answer)->body;
    add_end_to_end(back.headers, (*answer)->headers);
    exchange.start(back);
    co_return co_await pump((*sent)->body(), exchange.out());
}

std::size_t resident_bytes() {
    std::size_t all = 0;
    std::size_t resident = 0;
    std::ifstream("/proc/self/statm") >> all >> resident;
    return resident * 4096;
}

// Sends `bytes` of zeros and counts what comes back, never holding much.
Async<> send_zeros(BodyWriter& out, std::size_t bytes) {
    const std::string piece(100000, '\0');
    while (bytes > 0) {
        const auto size = std::min(bytes, piece.size());
        auto written = co_await out.write(std::string_view(piece).substr(0, size));
        if (!written) co_return written;
        bytes -= size;
    }
    co_return co_await out.finish();
}

Async<std::size_t> count_bytes(BodyReader& in) {
    std::size_t count = 0;
    while (!in.is_done()) {
        auto piece = co_await in.read();
        if (!piece) co_return fail(std::move(piece).error());
        count += piece->size();
    }
    co_return count;
}

Async<> stream_through_a_proxy(rt::Runtime& runtime) {
    const auto make = [](loopback::FunctionHandler::Function function) {
        return
            [function](rt::Core&) { return std::make_unique<loopback::FunctionHandler>(function); };
    };
    Server behind(runtime, {});
    Server front(runtime, {});
    (void)co_await behind.start(loopback::any_port(), make(echo));
    (void)co_await front.start(loopback::any_port(), make(forward));
    Upstream to_behind(behind.address());
    Upstream to_front(front.address());
    g_behind = &to_behind;
    constexpr std::size_t kBytes = 64 << 20;
    const auto before = resident_bytes();
    for (const auto length : {BodyLength::fixed(kBytes), BodyLength::chunked()}) {
        auto exchange = *co_await to_front.send(head_of("POST", "/", length));
        TaskGroup sending;
        sending.spawn(send_zeros(exchange->out(), kBytes));
        auto answer = co_await exchange->head();
        EXPECT_TRUE(answer);
        if (!answer) continue;
        EXPECT_EQ((*answer)->body, length);
        EXPECT_EQ(*co_await count_bytes(exchange->body()), kBytes);
    }
#ifndef FATHOM_SANITIZED
    EXPECT_LT(resident_bytes(), before + (8 << 20));
#else
    (void)before;
#endif
    EXPECT_EQ(to_front.open(), 1U);
    EXPECT_EQ(to_behind.open(), 1U);
    EXPECT_EQ(*co_await ask(to_front, head_of("PUT", "/", BodyLength::fixed(3)), "abc"), "200 abc");
    EXPECT_EQ(*co_await ask(to_front, head_of("GET", "/")), "200 ");
    (void)co_await front.drain(Deadline::in(1s));
    co_return co_await behind.drain(Deadline::in(1s));
}

TEST(Client, StreamsThroughAProxyInConstantMemory) {
    const SystemClock clock;
    rt::Runtime runtime({.cores = 1}, clock);
    EXPECT_TRUE(runtime.run(stream_through_a_proxy(runtime)));
}

}  // namespace
}  // namespace fathom::http
