#include "sandbox/sandbox.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>

#include "sandbox/testing/keeper_house.h"

namespace fathom::sandbox {
namespace {

// One keeper with its house, connected, and the exits it told of.
struct Visit {
    explicit Visit(KeeperHouse& of, KeeperLine line)
        : house(of), keeper(std::move(line), of.data().string()) {
        keeper.on_exit([this](const std::string& id, Exit exit) {
            exits.emplace(id, std::move(exit));
            changed.raise();
        });
    }
    LaunchSpec spec(std::string id, std::vector<std::string> arguments) const {
        LaunchSpec spec;
        spec.id = std::move(id);
        spec.function = "echo.openfaas-fn";
        spec.revision = 3;
        spec.files = (house.data() / "bundle").string();
        spec.command = {"/home/app/function/sample"};
        for (auto& argument : arguments) spec.command.push_back(std::move(argument));
        spec.environment = {{"PATH", "/usr/bin:/bin"}, {"greeting", "hi"}};
        return spec;
    }
    Async<Exit> exit_of(std::string id) {
        while (!exits.contains(id)) {
            changed.lower();
            co_await changed.wait();
        }
        co_return exits.at(id);
    }

    KeeperHouse& house;
    Keeper keeper;
    Keeper::Hello hello;
    std::map<std::string, Exit> exits;
    rt::Signal changed;
    std::string obstacle;  // why the test could not be made here
};

using Body = Async<> (*)(Visit&);

Async<> visit_and_end(Visit& visit, Body body, std::string& obstacle) {
    auto hello = co_await visit.keeper.open();
    if (!hello) co_return fail(std::move(hello).error());
    visit.hello = std::move(*hello);
    auto done = co_await within(Deadline::in(60s), body(visit));
    auto ended = co_await visit.keeper.shut_down(2s);
    obstacle = visit.obstacle;
    co_return done ? std::move(ended) : std::move(done);
}

// Runs `body` with a new keeper, ends it in order, and looks for anything left behind.
void with_keeper(Level level_max, Body body) {
    KeeperHouse house(FATHOM_SAMPLE, level_max);
    auto line = start_or_find_keeper(house.options);
    ASSERT_TRUE(line) << line.error().message();
    const int guard = line->guard_pid;
    std::string obstacle;
    auto ran = [&] {
        // The Visit is made on a core and dies on it.
        struct Scene {
            static Async<> play(KeeperHouse& house, KeeperLine line, Body body,
                                std::string& obstacle) {
                Visit visit(house, std::move(line));
                co_return co_await visit_and_end(visit, body, obstacle);
            }
        };
        return rt::run(Scene::play(house, std::move(*line), body, obstacle));
    }();
    EXPECT_TRUE(ran) << ran.error().message() << "\n" << house.keeper_log();
    EXPECT_NE(::kill(guard, 0), 0) << "the guard is still there";
    EXPECT_EQ(house.leftovers(), "");
    if (!obstacle.empty()) GTEST_SKIP() << obstacle;
}

// Ends a test that cannot be made here.
Async<> skip(Visit& visit, std::string obstacle) {
    visit.obstacle = std::move(obstacle);
    co_return Result<>{};
}

Async<std::string> read_log(Kept& kept) {
    auto socket = rt::Socket::adopt(std::move(kept.log));
    if (!socket) co_return fail(std::move(socket).error());
    std::string text;
    std::array<char, 4096> piece;
    for (;;) {
        auto got = co_await socket->read(piece);
        if (!got) co_return fail(std::move(got).error());
        if (*got == 0) co_return text;
        text.append(piece.data(), *got);
    }
}

Async<> ask(const std::string& path, std::string& answer) {
    auto socket = co_await rt::connect({.unix_path = path, .ip = {}});
    if (!socket) co_return fail(std::move(socket).error());
    auto sent = co_await socket->write("GET /_/ready HTTP/1.1\r\nHost: x\r\n\r\n");
    if (!sent) co_return sent;
    std::array<char, 4096> piece;
    auto got = co_await socket->read(piece);
    if (!got) co_return fail(std::move(got).error());
    answer.assign(piece.data(), *got);
    co_return Result<>{};
}

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

Async<> answers_over_its_socket(Visit& visit) {
    auto kept = co_await visit.keeper.launch(visit.spec("echo-1", {"serve"}));
    if (!kept) co_return fail(std::move(kept).error());
    std::string answer;
    auto asked = co_await ask(kept->socket, answer);
    if (!asked) co_return asked;
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK")) << answer;
    visit.keeper.terminate("echo-1");
    auto exit = co_await visit.exit_of("echo-1");
    EXPECT_EQ(exit->text, "exited with status 0");
    // A dead replica refuses: nobody else holds its socket.
    auto again = co_await ask(kept->socket, answer);
    EXPECT_FALSE(again);
    co_return Result<>{};
}
TEST(Sandbox, AReplicaAnswersOverItsSocketAndRefusesOnceItIsGone) {
    with_keeper(Level::full, answers_over_its_socket);
}
TEST(Sandbox, WorksInAUserNamespace) {
    with_keeper(Level::user_namespace, answers_over_its_socket);
}
TEST(Sandbox, WorksWithoutNamespaces) {
    with_keeper(Level::process, answers_over_its_socket);
}

Async<> is_shut_in(Visit& visit) {
    if (visit.hello.abilities.level == Level::process) {
        co_return co_await skip(visit, "namespaces are forbidden here");
    }
    auto kept = co_await visit.keeper.launch(visit.spec("echo-1", {"look"}));
    if (!kept) co_return fail(std::move(kept).error());
    auto log = co_await read_log(*kept);
    if (!log) co_return fail(std::move(log).error());
    const auto& text = *log;
    EXPECT_TRUE(has(text, "pid=2 ppid=1 uid=1000 gid=1000")) << text;
    EXPECT_TRUE(has(text, "cwd=/home/app/function host=echo-1")) << text;
    EXPECT_TRUE(has(text, "no_new_privs=1")) << text;
    EXPECT_TRUE(has(text, "write_tmp=1 write_function=0 write_root=0 write_usr=0")) << text;
    EXPECT_TRUE(has(text, "sees_host_home=0 sees_shadow=0")) << text;
    EXPECT_TRUE(has(text, "CapPrm:\t0000000000000000")) << text;
    EXPECT_TRUE(has(text, "CapBnd:\t0000000000000000")) << text;
    EXPECT_FALSE(has(text, "open_fd=")) << text;
    EXPECT_TRUE(has(text, "env LISTEN_PID=2\n")) << text;
    EXPECT_TRUE(has(text, "env greeting=hi\n")) << text;
    const auto variables = [&] {
        std::size_t count = 0;
        for (auto at = text.find("env "); at != std::string::npos; at = text.find("env ", at + 1)) {
            count += 1;
        }
        return count;
    }();
    EXPECT_EQ(variables, 3u) << text;
    co_return Result<>{};
}
TEST(Sandbox, AReplicaSeesOnlyWhatItIsGiven) {
    with_keeper(Level::full, is_shut_in);
}
TEST(Sandbox, AReplicaInAUserNamespaceSeesOnlyWhatItIsGiven) {
    with_keeper(Level::user_namespace, is_shut_in);
}

Async<> tells_how_it_ended(Visit& visit) {
    const std::map<std::string, std::vector<std::string>> cases = {
        {"exited with status 3", {"exit", "3"}},
        {"killed by signal 6 (SIGABRT)", {"abort"}},
    };
    int number = 0;
    for (const auto& [text, arguments] : cases) {
        const auto id = fmt::format("end-{}", ++number);
        auto kept = co_await visit.keeper.launch(visit.spec(id, arguments));
        if (!kept) co_return fail(std::move(kept).error());
        auto exit = co_await visit.exit_of(id);
        EXPECT_EQ(exit->text, text);
    }
    auto spec = visit.spec("missing", {});
    spec.command = {"no-such-program"};
    auto kept = co_await visit.keeper.launch(spec);
    if (!kept) co_return fail(std::move(kept).error());
    auto exit = co_await visit.exit_of("missing");
    EXPECT_EQ(exit->kind, Exit::Kind::not_started);
    EXPECT_EQ(exit->text, "could not start: no-such-program: No such file or directory");
    co_return Result<>{};
}
TEST(Sandbox, TellsHowAReplicaEnded) {
    with_keeper(Level::full, tells_how_it_ended);
}
TEST(Sandbox, TellsHowAReplicaEndedWithoutNamespaces) {
    with_keeper(Level::process, tells_how_it_ended);
}

Async<> keeps_memory_limits(Visit& visit) {
    if (!visit.hello.abilities.has("cgroup memory")) {
        co_return co_await skip(visit, "no memory controller may be written to here");
    }
    auto spec = visit.spec("eater", {"eat"});
    spec.memory_bytes_max = 32_MiB;
    spec.cpu_max = {500};
    auto kept = co_await visit.keeper.launch(spec);
    if (!kept) co_return fail(std::move(kept).error());
    auto exit = co_await visit.exit_of("eater");
    EXPECT_EQ(exit->kind, Exit::Kind::out_of_memory);
    EXPECT_EQ(exit->text, "ran out of its memory limit of 33554432 bytes (limits.memory)");
    co_return Result<>{};
}
TEST(Sandbox, AReplicaOverItsMemoryIsKilledAndSaysSo) {
    with_keeper(Level::full, keeps_memory_limits);
}

Async<> signals_only_the_program(Visit& visit) {
    auto polite = co_await visit.keeper.launch(visit.spec("polite", {"polite"}));
    auto stubborn = co_await visit.keeper.launch(visit.spec("stubborn", {"stubborn"}));
    if (!polite || !stubborn) co_return fail(Errc::internal, "not launched");
    // "ready" is printed once its handler is in place.
    auto socket = rt::Socket::adopt(std::move(polite->log));
    std::array<char, 64> piece;
    auto first = co_await socket->read(piece);
    EXPECT_EQ(std::string_view(piece.data(), *first), "ready\n");
    visit.keeper.terminate("polite");
    auto last = co_await socket->read(piece);
    EXPECT_EQ(std::string_view(piece.data(), *last), "bye\n");
    EXPECT_EQ((co_await visit.exit_of("polite"))->text, "exited with status 0");

    visit.keeper.kill("stubborn");
    EXPECT_EQ((co_await visit.exit_of("stubborn"))->code, SIGKILL);
    auto log = co_await read_log(*stubborn);
    EXPECT_TRUE(log.has_value());  // its end: nothing of it holds the pipe any more
    co_return Result<>{};
}
TEST(Sandbox, TerminatesTheProgramAndKillsAllOfIt) {
    with_keeper(Level::full, signals_only_the_program);
}
TEST(Sandbox, TerminatesTheProgramAndKillsAllOfItWithoutNamespaces) {
    with_keeper(Level::process, signals_only_the_program);
}

Async<> refuses_bad_specs(Visit& visit) {
    const auto code_of = [](const Result<Kept>& launched) {
        return launched ? Errc::internal : launched.error().code();
    };
    auto bad_id = visit.spec("../x", {"serve"});
    EXPECT_EQ(code_of(co_await visit.keeper.launch(bad_id)), Errc::invalid);
    auto outside = visit.spec("outside", {"serve"});
    outside.files = "/etc";
    EXPECT_EQ(code_of(co_await visit.keeper.launch(outside)), Errc::invalid);
    outside.files = "../../etc";
    EXPECT_EQ(code_of(co_await visit.keeper.launch(outside)), Errc::invalid);
    auto image = visit.spec("image", {"serve"});
    image.image_root = "x";
    EXPECT_EQ(code_of(co_await visit.keeper.launch(image)), Errc::unsupported);
    auto first = co_await visit.keeper.launch(visit.spec("one", {"serve"}));
    EXPECT_TRUE(first);
    auto second = co_await visit.keeper.launch(visit.spec("one", {"serve"}));
    EXPECT_EQ(code_of(second), Errc::conflict);
    co_return Result<>{};
}
TEST(Sandbox, RefusesWhatItMayNotLaunch) {
    with_keeper(Level::full, refuses_bad_specs);
}

Async<> starts_many(Visit& visit) {
    for (int i = 0; i < 12; ++i) {
        auto kept = co_await visit.keeper.launch(visit.spec(fmt::format("many-{}", i), {"serve"}));
        if (!kept) co_return fail(std::move(kept).error());
        std::string answer;
        auto asked = co_await ask(kept->socket, answer);
        if (!asked) co_return asked;
    }
    co_return Result<>{};
}
TEST(Sandbox, AnOrderlyEndLeavesNothingOfManyReplicas) {
    with_keeper(Level::full, starts_many);
}

Async<> refuses_egress(Visit& visit) {
    if (!visit.hello.abilities.has("network namespaces")) {
        co_return co_await skip(visit, "network namespaces are forbidden here");
    }
    auto spec = visit.spec("alone", {});
    spec.command = {"/bin/sh", "-c", "cat /proc/net/dev"};
    spec.egress = Egress::none;
    auto kept = co_await visit.keeper.launch(spec);
    if (!kept) co_return fail(std::move(kept).error());
    auto log = co_await read_log(*kept);
    EXPECT_TRUE(has(*log, "lo:"));
    EXPECT_FALSE(has(*log, "eth")) << *log;
    co_return Result<>{};
}
TEST(Sandbox, WithoutEgressThereIsOnlyLoopback) {
    with_keeper(Level::full, refuses_egress);
}

Async<> freezes(Visit& visit) {
    auto kept = co_await visit.keeper.launch(visit.spec("ice", {"serve"}));
    if (!kept) co_return fail(std::move(kept).error());
    auto frozen = co_await visit.keeper.freeze("ice");
    if (!frozen && frozen.error().code() == Errc::unsupported) {
        co_return co_await skip(visit, frozen.error().message());
    }
    EXPECT_TRUE(frozen);
    auto socket = co_await rt::connect({.unix_path = kept->socket, .ip = {}});
    if (!socket) co_return fail(std::move(socket).error());
    auto sent = co_await socket->write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(sent);
    EXPECT_TRUE(co_await visit.keeper.thaw("ice"));
    std::array<char, 256> piece;
    auto got = co_await socket->read(piece);
    EXPECT_GT(got.value_or(0), 0u);
    EXPECT_TRUE(co_await visit.keeper.freeze("ice"));
    co_return Result<>{};  // ends frozen: the orderly end thaws it
}
TEST(Sandbox, AFrozenReplicaAnswersOnceItIsThawed) {
    with_keeper(Level::full, freezes);
}

}  // namespace
}  // namespace fathom::sandbox
