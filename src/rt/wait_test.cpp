#include "rt/wait.h"

#include <gtest/gtest.h>

#include <string>

namespace fathom::rt {
namespace {

Async<int> number(int value) {
    co_return value;
}
Async<> refuse() {
    co_return fail(Errc::invalid, "no");
}
Async<> wait_for(Signal& signal) {
    co_await signal.wait();
    co_return Result<>{};
}
Async<> forever() {
    Signal never;
    co_await never.wait();
    co_return Result<>{};
}

// Writes a letter when it is dropped.
struct Trace {
    std::string& into;
    char letter;
    ~Trace() { into += letter; }
};
Async<> traced(std::string& into, char letter, Signal& until) {
    const Trace trace{into, letter};
    co_await until.wait();
    co_return Result<>{};
}

TEST(Async, AnswersWithValuesAndErrors) {
    const auto script = []() -> Async<> {
        auto value = co_await number(7);
        EXPECT_EQ(*value, 7);
        auto refused = co_await refuse();
        EXPECT_EQ(refused.error().message(), "no");
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
    EXPECT_EQ(run(refuse()).error().code(), Errc::invalid);
}

TEST(Async, DroppingItRunsTheDestructorsFromTheInsideOut) {
    std::string order;
    const auto script = [](std::string& into) -> Async<> {
        Signal never;
        {
            TaskGroup tasks;
            tasks.spawn(traced(into, 'a', never));
            tasks.spawn(traced(into, 'b', never));
            EXPECT_EQ(tasks.size(), 2u);
        }
        EXPECT_EQ(into, "ab");
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script(order)).has_value());
}

TEST(Within, CancelsTheWorkWhenTheDeadlinePasses) {
    std::string order;
    const auto script = [](std::string& into) -> Async<> {
        Signal never;
        auto late = co_await within(Deadline::in(5ms), traced(into, 'x', never));
        EXPECT_EQ(late.error().code(), Errc::timed_out);
        EXPECT_EQ(into, "x");
        auto good = co_await within(Deadline::in(10s), number(3));
        EXPECT_EQ(*good, 3);
        auto endless = co_await within(Deadline::none(), number(4));
        EXPECT_EQ(*endless, 4);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script(order)).has_value());
}

TEST(Both, WaitsForBoth) {
    const auto script = []() -> Async<> {
        Signal first;
        Signal second;
        TaskGroup tasks;
        const auto raise = [](Signal& a, Signal& b) -> Async<> {
            co_await sleep_for(1ms);
            b.raise();
            co_await sleep_for(1ms);
            a.raise();
            co_return Result<>{};
        };
        tasks.spawn(raise(first, second));
        auto done = co_await both(wait_for(first), wait_for(second));
        EXPECT_TRUE(done.has_value());
        EXPECT_TRUE(first.is_raised() && second.is_raised());
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Both, AnErrorOfOneCancelsTheOther) {
    std::string order;
    const auto script = [](std::string& into) -> Async<> {
        Signal never;
        auto failed = co_await both(traced(into, 'x', never), refuse());
        EXPECT_EQ(failed.error().message(), "no");
        EXPECT_EQ(into, "x");
        auto failed_first = co_await both(refuse(), forever());
        EXPECT_FALSE(failed_first.has_value());
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script(order)).has_value());
}

TEST(Either, TheFirstToEndWinsAndTheOtherIsCancelled) {
    std::string order;
    const auto script = [](std::string& into) -> Async<> {
        Signal never;
        Signal soon;
        TaskGroup tasks;
        const auto raise = [](Signal& signal) -> Async<> {
            co_await sleep_for(1ms);
            signal.raise();
            co_return Result<>{};
        };
        tasks.spawn(raise(soon));
        auto won = co_await either(traced(into, 'x', never), wait_for(soon));
        EXPECT_TRUE(won.has_value());
        EXPECT_EQ(into, "x");
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script(order)).has_value());
}

TEST(TaskGroup, WaitsUntilTheLastTaskEnded) {
    const auto script = []() -> Async<> {
        TaskGroup tasks;
        int ended = 0;
        const auto task = [](int& count, int turns) -> Async<> {
            for (int i = 0; i < turns; ++i) co_await yield();
            ++count;
            co_return Result<>{};
        };
        for (int i = 0; i < 10; ++i) tasks.spawn(task(ended, i));
        auto empty = co_await tasks.wait_empty();
        EXPECT_EQ(ended, 10);
        EXPECT_EQ(tasks.size(), 0u);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Signal, WakesItsWaitersInOrderAndNeverInsideTheCallThatRaisesIt) {
    std::string order;
    const auto script = [](std::string& into) -> Async<> {
        Signal signal;
        TaskGroup tasks;
        const auto wait = [](Signal& on, std::string& out, char letter) -> Async<> {
            co_await on.wait();
            out += letter;
            co_return Result<>{};
        };
        tasks.spawn(wait(signal, into, 'a'));
        tasks.spawn(wait(signal, into, 'b'));
        signal.raise();
        into += '|';
        (void)co_await tasks.wait_empty();
        EXPECT_EQ(into, "|ab");
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script(order)).has_value());
}

TEST(Sleep, NeverComesBackEarly) {
    const auto script = []() -> Async<> {
        const auto& clock = this_core().clock();
        const auto before = clock.now();
        co_await sleep_for(3ms);
        EXPECT_GE(clock.now() - before, 3ms);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

}  // namespace
}  // namespace fathom::rt
