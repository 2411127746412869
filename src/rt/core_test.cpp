#include "rt/core.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "rt/send.h"
#include "rt/socket.h"
#include "rt/wait.h"

namespace fathom::rt {
namespace {

// Says on which core it went.
struct LastSeen {
    explicit LastSeen(int& where) : core(&where) {}
    LastSeen(LastSeen&& other) noexcept : core(std::exchange(other.core, nullptr)) {}
    ~LastSeen() {
        if (core != nullptr) *core = this_core_index();
    }
    int* core;
};

struct Pair {
    Socket ours;
    Fd theirs;
};
Pair make_pair() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
    return {std::move(*Socket::adopt(Fd(fds[0]))), Fd(fds[1])};
}

Async<> forever() {
    Signal never;
    co_await never.wait();
    co_return Result<>{};
}

TEST(Runtime, DropsMainAndItsParametersOnCore0) {
    int parameter_went_on = -2;
    const auto script = [](LastSeen /*parameter*/) -> Async<> { co_return Result<>{}; };
    EXPECT_TRUE(run(script(LastSeen(parameter_went_on))).has_value());
    EXPECT_EQ(parameter_went_on, 0);
}

TEST(Runtime, CutsMainOffOnCore0WhenItIsStopped) {
    int local_went_on = -2;
    const auto script = [](int& into) -> Async<> {
        const LastSeen local(into);
        auto pair = make_pair();  // closing a socket needs its core
        TaskGroup tasks;
        const auto read = [](Socket& socket) -> Async<> {
            std::array<char, 8> buffer{};
            (void)co_await socket.read(buffer);
            co_return Result<>{};
        };
        tasks.spawn(read(pair.ours));
        this_core().stop();
        co_return co_await forever();
    };
    EXPECT_EQ(run(script(local_went_on)).error().code(), Errc::internal);
    EXPECT_EQ(local_went_on, 0);
}

TEST(Runtime, RunsWhatWasPostedBeforeTheStop) {
    for (int round = 0; round < 50; ++round) {
        const SystemClock clock;
        Runtime runtime({.cores = 3}, clock);
        std::atomic<int> count = 0;
        const auto script = [](Runtime& cores, std::atomic<int>& counter) -> Async<> {
            for (int i = 0; i < 30; ++i) cores.core(i % 3).post([&counter] { ++counter; });
            co_return Result<>{};
        };
        EXPECT_TRUE(runtime.run(script(runtime, count)).has_value());
        EXPECT_EQ(count, 30);
    }
}

TEST(Runtime, RunsAgainAfterItsEnd) {
    const SystemClock clock;
    Runtime runtime({.cores = 2}, clock);
    const auto script = [](Core& other) -> Async<> {
        auto index = co_await on_core(other, [] { return Result<int>(this_core_index()); });
        EXPECT_EQ(index.value_or(-1), 1);
        co_return Result<>{};
    };
    for (int round = 0; round < 3; ++round) {
        EXPECT_TRUE(runtime.run(script(runtime.core(1))).has_value());
    }
}

TEST(Runtime, DropsWhatItDidNotRunOnTheCoreItWasPostedTo) {
    int went_on = -2;
    {
        const SystemClock clock;
        Runtime runtime({.cores = 2}, clock);
        runtime.core(1).post([seen = LastSeen(went_on)] {});  // never run
    }
    EXPECT_EQ(went_on, 1);
}

TEST(Mailbox, DropsWhatComesAfterItsCore) {
    const SystemClock clock;
    auto runtime = std::make_unique<Runtime>(Runtime::Options{.cores = 1}, clock);
    const auto mailbox = runtime->core(0).mailbox();
    runtime.reset();
    int went_on = -2;
    mailbox.post([seen = LastSeen(went_on)] {});
    EXPECT_EQ(went_on, -1);
}

TEST(Core, RunsTheMailOfEachSenderInItsOrder) {
    const SystemClock clock;
    Runtime runtime({.cores = 1}, clock);
    constexpr int kLetters = 5000;
    const auto script = [](Core& home) -> Async<> {
        std::array<int, 3> next{};
        Signal all_came;
        {
            std::vector<std::jthread> senders;
            senders.reserve(next.size());
            for (auto& expected : next) {
                senders.emplace_back([&home, &expected, &next, &all_came] {
                    for (int i = 0; i < kLetters; ++i) {
                        home.post([&expected, &next, &all_came, i] {
                            EXPECT_EQ(expected++, i);
                            if (next[0] + next[1] + next[2] == 3 * kLetters) all_came.raise();
                        });
                    }
                });
            }
            co_await all_came.wait();
        }
        co_return Result<>{};
    };
    EXPECT_TRUE(runtime.run(script(runtime.core(0))).has_value());
}

// The wake-up is an edge of a descriptor that is never read: a lost one would end this test only by
// its time limit.
TEST(Core, LosesNoWakeUp) {
    const SystemClock clock;
    Runtime runtime({.cores = 2}, clock);
    const auto script = [](Core& other) -> Async<> {
        TaskGroup tasks;
        const auto ask = [](Core& whom) -> Async<> {
            for (int i = 0; i < 2000; ++i) {
                auto answer = co_await on_core(whom, [i] { return Result<int>(i); });
                EXPECT_EQ(answer.value_or(-1), i);
            }
            co_return Result<>{};
        };
        for (int i = 0; i < 3; ++i) tasks.spawn(ask(other));
        co_return co_await tasks.wait_empty();
    };
    EXPECT_TRUE(runtime.run(script(runtime.core(1))).has_value());
}

TEST(Core, DeferredWorkThatDefersRunsInTheNextTurn) {
    const auto script = []() -> Async<> {
        std::vector<std::uint64_t> turns;
        auto& core = this_core();
        core.defer([&] {
            turns.push_back(core.turns());
            core.defer([&] { turns.push_back(core.turns()); });
        });
        while (turns.size() < 2) co_await yield();
        EXPECT_EQ(turns[1], turns[0] + 1);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

// Both descriptors are ready in one turn; whichever is dispatched first ends the other.
TEST(Core, ADescriptorMayEndWhileItsOwnEventWaitsForDispatch) {
    const auto script = []() -> Async<> {
        struct Side {
            Pair pair = make_pair();
            TaskGroup reader;
        };
        std::array<Side, 2> sides;
        Signal is_read;
        int reads = 0;
        const auto read = [](Side& mine, Side& other, int& count, Signal& done) -> Async<> {
            std::array<char, 8> buffer{};
            EXPECT_EQ(*co_await mine.pair.ours.read(buffer), 1u);
            ++count;
            other.reader.cancel();
            other.pair.ours.close();
            done.raise();
            co_return Result<>{};
        };
        sides[0].reader.spawn(read(sides[0], sides[1], reads, is_read));
        sides[1].reader.spawn(read(sides[1], sides[0], reads, is_read));
        for (auto& side : sides) EXPECT_EQ(::write(side.pair.theirs.get(), "x", 1), 1);
        co_await is_read.wait();
        EXPECT_EQ(reads, 1);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Core, StopsAskingForWritableWhenItWokeForNothing) {
    const auto script = []() -> Async<> {
        std::array<int, 2> fds{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()), 0);
        const Fd theirs(fds[1]);
        auto& core = this_core();
        auto* const entry = *core.watch(fds[0]);
        const std::string block(65'536, 'x');
        std::string drain(1'048'576, ' ');
        const auto fill = [&] {
            while (::write(fds[0], block.data(), block.size()) > 0) continue;
            entry->ready &= static_cast<std::uint8_t>(~FdEntry::writable);
            core.announce_writable(*entry);
        };
        const auto empty = [&] {
            while (::read(theirs.get(), drain.data(), drain.size()) > 0) continue;
        };
        for (int round = 0; round < 2; ++round) {  // it can be asked for again
            fill();
            EXPECT_TRUE(entry->announces_writable);
            empty();
            co_await Socket::ReadyAwaiter{entry, FdEntry::writable};
            while (entry->announces_writable) {  // each of these wakes us for nothing, once
                EXPECT_EQ(::write(fds[0], "y", 1), 1);
                empty();
                co_await yield();
            }
        }
        core.forget(entry);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(OnCore, AnswersWhenTheTaskIsCancelledThere) {
    const SystemClock clock;
    Runtime runtime({.cores = 2}, clock);
    const auto script = [](Core& other) -> Async<> {
        std::unique_ptr<TaskGroup> there;
        (void)co_await on_core(other, [&there]() -> Result<> {
            there = std::make_unique<TaskGroup>();
            return {};
        });
        const auto end = [](Core& where, std::unique_ptr<TaskGroup>& group) -> Async<> {
            co_return co_await on_core(where, [&group]() -> Result<> {
                group.reset();
                return {};
            });
        };
        const auto ask = [](Core& where, TaskGroup& group) -> Async<> {
            auto answer = co_await on_core<void>(where, group, [] { return forever(); });
            EXPECT_EQ(answer.error().code(), Errc::unavailable);
            co_return Result<>{};
        };
        EXPECT_TRUE((co_await both(ask(other, *there), end(other, there))).has_value());
        co_return Result<>{};
    };
    EXPECT_TRUE(runtime.run(script(runtime.core(1))).has_value());
}

TEST(OnCore, AnswersWhenTheCoreHasStopped) {
    const SystemClock clock;
    Runtime runtime({.cores = 2}, clock);
    const auto script = [](Core& other) -> Async<> {
        other.stop();
        for (;;) {  // until it did
            auto answer = co_await on_core(other, [] { return Result<int>(1); });
            if (answer) continue;
            EXPECT_EQ(answer.error().code(), Errc::unavailable);
            co_return Result<>{};
        }
    };
    EXPECT_TRUE(runtime.run(script(runtime.core(1))).has_value());
}

}  // namespace
}  // namespace fathom::rt
