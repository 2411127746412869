#include "invoke/invoke.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "provider/fake/fake.h"

namespace fathom::invoke {
namespace {

using function::FunctionName;
using provider::Fake;

// A handler made of a function; whatever it captures outlives the server.
class Calls final : public http::Handler {
public:
    using Answer = std::function<Async<>(http::Exchange&)>;
    explicit Calls(const Answer& answer) : answer_(answer) {}
    Async<> handle(http::Exchange& exchange) override { return answer_(exchange); }

private:
    const Answer& answer_;
};

// What the function does with its calls.
struct Behaviour {
    std::vector<std::string> seen;  // "METHOD target" and chosen fields
    rt::Signal* hold = nullptr;     // calls wait for it
    unsigned at_once = 0;
    unsigned most_at_once = 0;
};

Async<> behave(Behaviour& behaviour, http::Exchange& exchange) {
    const auto& head = exchange.request();
    if (head.path == "/_/break") {
        exchange.abort();
        co_return Result<>{};
    }
    if (head.path == "/_/half") {
        http::ResponseHead half;
        half.body = http::BodyLength::chunked();
        exchange.start(half);
        (void)co_await exchange.out().write("half");
        co_return co_await exchange.client_gone();
    }
    behaviour.seen.push_back(std::string(head.method) + " " + std::string(head.target));
    for (const auto* name : {"X-Call-Id", "X-Start-Time", "X-Forwarded-Host", "X-Forwarded-For"}) {
        if (!head.headers.get(name).empty()) behaviour.seen.emplace_back(name);
    }
    behaviour.most_at_once = std::max(behaviour.most_at_once, ++behaviour.at_once);
    if (behaviour.hold != nullptr) co_await behaviour.hold->wait();
    --behaviour.at_once;
    auto body = co_await http::read_all(exchange.body(), 1_MiB);
    if (!body) co_return fail(std::move(body).error());
    co_return co_await exchange.reply({.status = 201,
                                       .content_type = "text/x-echo",
                                       .body = "echo:" + *body,
                                       .headers = {{"X-Own", "1"}}});
}

// One function behind one gateway, all in this process.
struct House {
    rt::Runtime& runtime;
    Behaviour behaviour{};
    Limits limits{};
    provider::Fake::Options fake_options{};
    observe::Registry metrics{1};
    std::unique_ptr<Fake> fake;
    std::unique_ptr<Directory> directory;
    std::unique_ptr<Invoker> invoker;
    http::Server function{runtime, {}};
    http::Server gateway{runtime, {}};
    Calls::Answer answer_function;
    Calls::Answer answer_gateway;

    explicit House(rt::Runtime& on) : runtime(on) {}

    Async<> open(function::StringMap environment = {}, function::StringMap annotations = {}) {
        const auto any = *rt::Address::parse("127.0.0.1:0");
        answer_function = [this](http::Exchange& exchange) { return behave(behaviour, exchange); };
        auto up = co_await function.start(any, [this](rt::Core&) -> std::unique_ptr<http::Handler> {
            return std::make_unique<Calls>(answer_function);
        });
        if (!up) co_return up;
        if (!fake_options.endpoint) {
            fake_options.endpoint = [this](const FunctionName&, const std::string&) {
                return function.address();
            };
        }
        fake = std::make_unique<Fake>(rt::this_core().clock(), fake_options);
        directory = std::make_unique<Directory>(runtime, *fake, metrics);
        invoker = std::make_unique<Invoker>(*directory, limits, metrics);
        answer_gateway = [this](http::Exchange& exchange) {
            return invoker->call({exchange, "echo", exchange.request().target});
        };
        up = co_await gateway.start(any, [this](rt::Core&) -> std::unique_ptr<http::Handler> {
            return std::make_unique<Calls>(answer_gateway);
        });
        if (!up) co_return up;
        function::FunctionSpec spec;
        spec.name.name = "echo";
        spec.image = "any";
        spec.environment = std::move(environment);
        spec.annotations = std::move(annotations);
        co_return co_await fake->deploy(spec, provider::DeployMode::create);
    }

    Async<http::Answer> call(std::string body = "hello", std::string target = "/a%2Fb?x=1") {
        return http::call_once(gateway.address(), {.method = "POST",
                                                   .target = std::move(target),
                                                   .headers = {{"Host", "api.example"}},
                                                   .body = std::move(body)});
    }

    Async<> close() {
        (void)co_await gateway.drain(Deadline::in(5s));
        (void)co_await function.drain(Deadline::in(5s));
        invoker.reset();
        directory.reset();
        co_return Result<>{};
    }
};

using Script = Async<> (*)(House&);

void run(Script script, const std::function<void(House&)>& prepare = [](House&) {}) {
    const SystemClock clock;
    rt::Runtime runtime({.cores = 1}, clock);
    const auto main = [](rt::Runtime& on, Script play,
                         const std::function<void(House&)>& before) -> Async<> {
        House house(on);
        before(house);
        auto played = co_await play(house);
        (void)co_await house.close();
        co_return played;
    };
    auto done = runtime.run(main(runtime, script, prepare));
    EXPECT_TRUE(done.has_value()) << done.error().message();
}

// Starts `count` calls at once and waits for all answers.
Async<> call_all(House& house, int count, std::vector<int>& statuses) {
    TaskGroup tasks;
    const auto one = [](House& on, std::vector<int>& into) -> Async<> {
        auto answer = co_await on.call();
        into.push_back(answer ? answer->status : -1);
        co_return Result<>{};
    };
    for (int i = 0; i < count; ++i) tasks.spawn(one(house, statuses));
    co_return co_await tasks.wait_empty();
}

TEST(Invoke, PassesTheCallThroughAndAddsTheFieldsOfTheContract) {
    run([](House& house) -> Async<> {
        auto open = co_await house.open();
        if (!open) co_return open;
        auto answer = co_await house.call();
        if (!answer) co_return fail(std::move(answer).error());
        EXPECT_EQ(answer->status, 201);
        EXPECT_EQ(answer->body, "echo:hello");
        EXPECT_EQ(answer->header("X-Own"), "1");
        EXPECT_EQ(answer->header("Content-Type"), "text/x-echo");
        EXPECT_EQ(answer->header("X-Call-Id").size(), 36u);
        EXPECT_FALSE(answer->header("X-Start-Time").empty());
        const std::vector<std::string> expected = {"POST /a%2Fb?x=1", "X-Call-Id", "X-Start-Time",
                                                   "X-Forwarded-Host", "X-Forwarded-For"};
        EXPECT_EQ(house.behaviour.seen, expected);
        EXPECT_EQ(house.directory->invocation_count({.name = "echo"}), 1u);
        const auto metrics = house.metrics.prometheus();
        for (const auto* line :
             {"gateway_function_invocation_started{function_name=\"echo.openfaas-fn\"} 1",
              "gateway_function_invocation_total{function_name=\"echo.openfaas-fn\",code=\"201\"} "
              "1",
              "gateway_functions_seconds_count{function_name=\"echo.openfaas-fn\",code=\"201\"} 1",
              "gateway_service_count{function_name=\"echo.openfaas-fn\"} 1"}) {
            EXPECT_NE(metrics.find(line), std::string::npos) << line << "\n" << metrics;
        }
        co_return Result<>{};
    });
}

TEST(Invoke, AnUnknownFunctionIsA404) {
    run([](House& house) -> Async<> {
        auto open = co_await house.open();
        if (!open) co_return open;
        auto removed = co_await house.fake->remove({.name = "echo"});
        EXPECT_TRUE(removed.has_value());
        auto answer = co_await house.call();
        EXPECT_EQ(answer->status, 404);
        EXPECT_NE(answer->body.find("echo"), std::string::npos);
        co_return Result<>{};
    });
}

TEST(Invoke, WaitsForAReplicaThatStarts) {
    run(
        [](House& house) -> Async<> {
            auto open = co_await house.open();
            if (!open) co_return open;
            const auto later = [](House& on) -> Async<> {
                while (on.fake->wakes({.name = "echo"}) == 0) co_await rt::yield();
                on.fake->make_ready({.name = "echo"});
                co_return Result<>{};
            };
            TaskGroup tasks;
            tasks.spawn(later(house));
            auto answer = co_await house.call();
            EXPECT_EQ(answer->status, 201);
            EXPECT_NE(house.metrics.prometheus().find("fathom_replica_wait_seconds_count"),
                      std::string::npos);
            co_return Result<>{};
        },
        [](House& house) { house.fake_options.readiness = Fake::Readiness::by_hand; });
}

TEST(Invoke, WaitsNoLongerThanTheLimitAndSaysWhy) {
    run(
        [](House& house) -> Async<> {
            auto open = co_await house.open({{"exec_timeout", "30ms"}});
            if (!open) co_return open;
            auto answer = co_await house.call();
            EXPECT_EQ(answer->status, 504);
            EXPECT_EQ(answer->header("X-Fathom-Limit"), "exec_timeout=30ms");
            EXPECT_EQ(answer->header("X-OpenFaaS-Internal"), "proxy");
            EXPECT_NE(answer->body.find("exec_timeout=30ms"), std::string::npos) << answer->body;
            co_return Result<>{};
        },
        [](House& house) { house.fake_options.readiness = Fake::Readiness::by_hand; });
}

TEST(Invoke, NeverSendsAReplicaMoreCallsThanItServesAtATime) {
    run([](House& house) -> Async<> {
        auto open = co_await house.open({{"FATHOM_CONCURRENCY", "1"}});
        if (!open) co_return open;
        std::vector<int> statuses;
        auto done = co_await call_all(house, 20, statuses);
        EXPECT_EQ(statuses, std::vector<int>(20, 201));
        EXPECT_EQ(house.behaviour.most_at_once, 1u);
        co_return Result<>{};
    });
}

TEST(Invoke, RefusesACallOverTheFunctionsLimit) {
    run([](House& house) -> Async<> {
        auto open = co_await house.open({}, {{std::string(kInFlightMax), "1"}});
        if (!open) co_return open;
        rt::Signal go_on;
        house.behaviour.hold = &go_on;
        TaskGroup tasks;
        std::vector<int> statuses;
        tasks.spawn(call_all(house, 1, statuses));
        while (house.behaviour.at_once == 0) co_await rt::yield();
        auto refused = co_await house.call();
        EXPECT_EQ(refused->status, 429);
        EXPECT_EQ(refused->header("Retry-After"), "1");
        EXPECT_NE(refused->body.find(kInFlightMax), std::string::npos);
        go_on.raise();
        (void)co_await tasks.wait_empty();
        EXPECT_EQ(statuses, std::vector<int>{201});
        co_return Result<>{};
    });
}

TEST(Invoke, RefusesACallOverTheLimitOfTheGateway) {
    run(
        [](House& house) -> Async<> {
            auto open = co_await house.open();
            if (!open) co_return open;
            auto refused = co_await house.call();
            EXPECT_EQ(refused->status, 503);
            EXPECT_EQ(refused->header("Retry-After"), "1");
            co_return Result<>{};
        },
        [](House& house) { house.limits.in_flight_max = 0; });
}

TEST(Invoke, AReplicaThatBreaksTheConnectionIsA500ThatQueuesRetry) {
    run([](House& house) -> Async<> {
        auto open = co_await house.open();
        if (!open) co_return open;
        auto answer = co_await house.call("", "/_/break");
        EXPECT_EQ(answer->status, 500);
        EXPECT_EQ(answer->header("X-OpenFaaS-Internal"), "proxy");
        EXPECT_NE(answer->body.find("echo.openfaas-fn"), std::string::npos);
        co_return Result<>{};
    });
}

TEST(Invoke, PassesOnAChunkedBodyThatArrivesWholeWithItsHead) {
    run([](House& house) -> Async<> {
        auto open = co_await house.open();
        if (!open) co_return open;
        for (
            const std::string_view request :
            {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
             "5\r\nwhole\r\n0\r\n\r\n",
             "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
             "5\r\nwhole\r\n0\r\nX-Sum: 1\r\n\r\n"}) {
            auto socket = co_await rt::connect(house.gateway.address());
            if (!socket) co_return fail(std::move(socket).error());
            (void)co_await socket->write(request);
            std::string answer;
            std::array<char, 4096> buffer{};
            for (;;) {
                auto count = co_await within(Deadline::in(10s), socket->read(buffer));
                if (!count || *count == 0) break;
                answer.append(buffer.data(), *count);
            }
            EXPECT_NE(answer.find("echo:whole"), std::string::npos) << answer;
        }
        co_return Result<>{};
    });
}

Async<std::string> read_to_end(rt::Socket& socket) {
    std::string text;
    std::array<char, 4096> buffer{};
    for (;;) {
        auto count = co_await within(Deadline::in(10s), socket.read(buffer));
        if (!count || *count == 0) co_return text;
        text.append(buffer.data(), *count);
    }
}

TEST(Invoke, ACallerWhoLeavesTheQueueIsNotServed) {
    run(
        [](House& house) -> Async<> {
            auto open = co_await house.open();
            if (!open) co_return open;
            {
                auto socket = co_await rt::connect(house.gateway.address());
                if (!socket) co_return fail(std::move(socket).error());
                (void)co_await socket->write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                while (house.fake->wakes({.name = "echo"}) == 0) co_await rt::yield();
            }
            while (house.directory->invocation_count({.name = "echo"}) == 0) co_await rt::yield();
            EXPECT_NE(house.metrics.prometheus().find("code=\"499\"} 1"), std::string::npos);
            house.fake->make_ready({.name = "echo"});
            auto answer = co_await house.call();
            EXPECT_EQ(answer->status, 201);
            EXPECT_EQ(house.behaviour.seen.front(), "POST /a%2Fb?x=1");
            co_return Result<>{};
        },
        [](House& house) { house.fake_options.readiness = Fake::Readiness::by_hand; });
}

TEST(Invoke, KeepsABodyThatWaitsApartFromTheRequestBehindIt) {
    run(
        [](House& house) -> Async<> {
            auto open = co_await house.open();
            if (!open) co_return open;
            auto socket = co_await rt::connect(house.gateway.address());
            if (!socket) co_return fail(std::move(socket).error());
            (void)co_await socket->write(
                "PUT /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfirst");
            while (house.fake->wakes({.name = "echo"}) == 0) co_await rt::yield();
            (void)co_await socket->write(
                "PUT /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\n"
                "second");
            for (int turn = 0; turn < 50; ++turn) co_await rt::yield();
            house.fake->make_ready({.name = "echo"});
            auto answers = co_await read_to_end(*socket);
            EXPECT_NE(answers->find("echo:first"), std::string::npos) << *answers;
            EXPECT_NE(answers->find("echo:second"), std::string::npos) << *answers;
            co_return Result<>{};
        },
        [](House& house) { house.fake_options.readiness = Fake::Readiness::by_hand; });
}

TEST(Invoke, NeverEndsHalfAnAnswerForACallerWhoLeft) {
    run([](House& house) -> Async<> {
        auto open = co_await house.open();
        if (!open) co_return open;
        auto socket = co_await rt::connect(house.gateway.address());
        if (!socket) co_return fail(std::move(socket).error());
        (void)co_await socket->write("GET /_/half HTTP/1.1\r\nHost: x\r\n\r\n");
        std::array<char, 4096> buffer{};
        std::string answer;
        while (answer.find("half") == std::string::npos) {
            auto count = co_await within(Deadline::in(10s), socket->read(buffer));
            if (!count || *count == 0) co_return fail(Errc::bad_upstream, "no answer");
            answer.append(buffer.data(), *count);
        }
        socket->shut_write();
        auto rest = co_await read_to_end(*socket);
        EXPECT_EQ(rest->find("0\r\n\r\n"), std::string::npos) << *rest;
        co_return Result<>{};
    });
}

TEST(Invoke, FillsFieldsThatCameEmpty) {
    run([](House& house) -> Async<> {
        auto open = co_await house.open();
        if (!open) co_return open;
        auto answer = co_await http::call_once(
            house.gateway.address(),
            {.headers = {{"x-call-id", ""}, {"X-Forwarded-For", ""}, {"X-Forwarded-Host", ""}}});
        EXPECT_EQ(answer->header("X-Call-Id").size(), 36u);
        const std::vector<std::string> expected = {"GET /", "X-Call-Id", "X-Start-Time",
                                                   "X-Forwarded-Host", "X-Forwarded-For"};
        EXPECT_EQ(house.behaviour.seen, expected);
        co_return Result<>{};
    });
}

TEST(Invoke, TriesAnotherTimeWhenNothingOfTheCallWasSent) {
    run(
        [](House& house) -> Async<> {
            auto open = co_await house.open();
            if (!open) co_return open;
            // The first replica is dead already; its end is announced while the call tries.
            const auto later = [](House& on) -> Async<> {
                co_await rt::sleep_for(3ms);
                const auto table = on.fake->table();
                on.fake->end_replica(table->begin()->second->replicas.front().id, "test");
                co_return Result<>{};
            };
            TaskGroup tasks;
            tasks.spawn(later(house));
            auto answer = co_await house.call();
            EXPECT_EQ(answer->status, 201);
            co_return Result<>{};
        },
        [](House& house) {
            house.fake_options.endpoint = [&house, first = std::string()](
                                              const FunctionName&, const std::string& id) mutable {
                if (first.empty()) first = id;
                if (id == first) return *rt::Address::parse("unix:/nowhere/at/all.sock");
                return house.function.address();
            };
        });
}

}  // namespace
}  // namespace fathom::invoke
