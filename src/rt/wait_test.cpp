#include "rt/wait.h"

#include <gtest/gtest.h>

#include <memory>
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

Async<> wait_a(Duration time) {
    co_await sleep_for(time);
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

// Each call hands the thread over, and does not call: no depth of stack is used up.
TEST(Async, AMillionCallsInARowFitTheStack) {
    const auto script = []() -> Async<> {
        int sum = 0;
        for (int i = 0; i < 1'000'000; ++i) sum += *co_await number(1);
        EXPECT_EQ(sum, 1'000'000);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Deadline, SaysNeverWhenItIsTooFarToSay) {
    const auto script = []() -> Async<> {
        EXPECT_TRUE(Deadline::in(Duration::max()).is_none());
        EXPECT_FALSE(Deadline::in(24h * 365 * 100).is_none());
        EXPECT_TRUE(Deadline::in(-1s).has_passed());
        EXPECT_TRUE(Deadline::in(Duration::min()).has_passed());
        EXPECT_EQ(Deadline::in(-1s).left(), 0s);
        auto done = co_await within(Deadline::in(Duration::max()), number(1));
        EXPECT_TRUE(done.has_value());
        auto late = co_await either(wait_a(Duration::max()), wait_a(1ms));
        EXPECT_TRUE(late.has_value());
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Within, DoesNotStartWhatIsLateAlready) {
    const auto script = []() -> Async<> {
        bool has_started = false;
        const auto work = [](bool& started) -> Async<> {
            started = true;
            co_return Result<>{};
        };
        auto late = co_await within(Deadline::in(0s), work(has_started));
        EXPECT_EQ(late.error().code(), Errc::timed_out);
        EXPECT_FALSE(has_started);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
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

TEST(Both, ReportsTheErrorThatComesAfterTheOtherSucceeded) {
    const auto script = []() -> Async<> {
        const auto refuse_later = []() -> Async<> {
            co_await yield();
            co_await yield();
            co_return fail(Errc::invalid, "late");
        };
        const auto later = []() -> Async<> {
            co_await yield();
            co_return Result<>{};
        };
        const auto at_once = []() -> Async<> { co_return Result<>{}; };
        EXPECT_EQ((co_await both(later(), refuse_later())).error().message(), "late");
        EXPECT_EQ((co_await both(refuse_later(), later())).error().message(), "late");
        EXPECT_EQ((co_await both(at_once(), refuse_later())).error().message(), "late");
        EXPECT_EQ((co_await both(refuse_later(), at_once())).error().message(), "late");
        EXPECT_TRUE((co_await both(later(), later())).has_value());
        EXPECT_TRUE((co_await both(at_once(), later())).has_value());
        EXPECT_TRUE((co_await both(later(), at_once())).has_value());
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Either, WhatNeedsNotWaitWinsAtOnce) {
    const auto script = []() -> Async<> {
        EXPECT_EQ((co_await either(refuse(), forever())).error().message(), "no");
        EXPECT_EQ((co_await either(forever(), refuse())).error().message(), "no");
        EXPECT_EQ((co_await either(either(forever(), refuse()), forever())).error().message(),
                  "no");
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
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

// As a connection does that holds itself until its last task is over.
TEST(TaskGroup, MayGoWithTheParametersOfItsLastTask) {
    const auto script = []() -> Async<> {
        struct Owner {
            explicit Owner(Signal& end) : gone(end) {}
            ~Owner() { gone.raise(); }
            Signal& gone;
            TaskGroup tasks;
        };
        Signal gone;
        auto owner = std::make_shared<Owner>(gone);
        const auto task = [](std::shared_ptr<Owner> /*itself*/) -> Async<> {
            co_await yield();
            co_return Result<>{};
        };
        auto& tasks = owner->tasks;
        tasks.spawn(task(std::move(owner)));
        EXPECT_FALSE(gone.is_raised());
        co_await gone.wait();
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
