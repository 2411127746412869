#include "rt/timer_wheel.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "rt/wait.h"

namespace fathom::rt {
namespace {

// The wheel is driven by hand; arming goes through a core, so tests file through run().
struct Shot {
    Timer timer;
    Clock::Monotonic due{};
    Clock::Monotonic fired{};
    Core* core = nullptr;
    int count = 0;
};

void fire(void* context) {
    auto* shot = static_cast<Shot*>(context);
    shot->fired = shot->core->now();
    ++shot->count;
}

// A clock that jumps to wherever the loop would sleep to: no test waits.
TEST(TimerWheel, FiresEveryTimerOnceNeverEarlyAndAtMostTwoTicksLate) {
    ManualClock clock;
    Runtime runtime({.cores = 1}, clock);
    auto& core = runtime.core(0);
    SeededRandom random(1);
    std::vector<std::unique_ptr<Shot>> shots;
    const auto arm_all = [](Core& on, SeededRandom& dice, std::vector<std::unique_ptr<Shot>>& into,
                            ManualClock& time) -> Async<> {
        for (int i = 0; i < 2000; ++i) {
            auto shot = std::make_unique<Shot>();
            // From now to six hours: every level, and beyond the last.
            const auto bits = dice.next() % 35;
            shot->due = on.now() + Duration(dice.next() % (1ULL << (bits + 10)) %
                                            (6ULL * 3600 * 1'000'000'000));
            shot->core = &on;
            shot->timer.arm(shot->due, fire, shot.get());
            into.push_back(std::move(shot));
        }
        const auto end = on.now() + 7h;
        while (on.now() < end) {
            time.advance(1ms);
            const auto wait = on.timers().wait_ms(time.now());
            time.advance(wait < 0 ? 1min : std::chrono::milliseconds(wait));
            co_await yield();
        }
        co_return Result<>{};
    };
    ASSERT_TRUE(runtime.run(arm_all(core, random, shots, clock)).has_value());
    for (const auto& shot : shots) {
        ASSERT_EQ(shot->count, 1);
        EXPECT_GE(shot->fired, shot->due);
        EXPECT_LE(shot->fired - shot->due, 2ms);
    }
}

// Ticks that nobody waits for cost nothing, or a core that slept for a year would be busy for long.
TEST(TimerWheel, FindsTheNextTimerAfterAnyJumpOfTheClock) {
    ManualClock clock;
    Runtime runtime({.cores = 1}, clock);
    const auto script = [](Core& on, ManualClock& time) -> Async<> {
        SeededRandom dice(5);
        for (int round = 0; round < 300; ++round) {
            time.advance(Duration(dice.next() % (1ULL << (dice.next() % 56))));  // up to two years
            co_await yield();
            Shot shot;
            shot.core = &on;
            shot.due = on.now() + Duration(dice.next() % (1ULL << (dice.next() % 50)));
            shot.timer.arm(shot.due, fire, &shot);
            const auto before = shot.due - on.now();
            time.advance(Duration(before.count() / 2));
            co_await yield();
            if (shot.due > on.now()) {
                EXPECT_EQ(shot.count, 0);
            }
            time.advance(before - Duration(before.count() / 2) + 1ms);
            co_await yield();
            EXPECT_EQ(shot.count, 1) << round;
        }
        co_return Result<>{};
    };
    ASSERT_TRUE(runtime.run(script(runtime.core(0), clock)).has_value());
}

// Arms, moves, disarms and destroys timers, also from inside their callbacks, and keeps a plain
// list of what should happen.
struct Restless {
    struct One {
        Restless* all = nullptr;
        Timer timer;
        Clock::Monotonic due = Clock::Monotonic::max();  // max: not armed
    };
    explicit Restless(Core& on) : core(on), random(11) {
        for (auto& one : ones) one = make();
    }
    std::unique_ptr<One> make() {
        auto one = std::make_unique<One>();
        one->all = this;
        return one;
    }
    void arm(One& one) {
        one.due = core.now() + Duration(random.next() % (1ULL << (10 + random.next() % 36)));
        one.timer.arm(one.due, [](void* it) { fired(*static_cast<One*>(it)); }, &one);
    }
    static void fired(One& one) {
        auto& all = *one.all;
        EXPECT_LE(one.due, all.core.now());
        EXPECT_FALSE(one.timer.is_armed());
        one.due = Clock::Monotonic::max();
        ++all.shots;
        all.change_one();
        all.change_one();
    }
    void change_one() {
        auto& one = ones[random.next() % ones.size()];
        switch (random.next() % 8) {
            case 0:
                one = make();
                break;  // perhaps the one that fires
            case 1:
                one->timer.disarm();
                one->due = Clock::Monotonic::max();
                break;
            default:
                arm(*one);
        }
    }
    Core& core;
    SeededRandom random;
    std::array<std::unique_ptr<One>, 200> ones;
    int shots = 0;
};

TEST(TimerWheel, KeepsItsPromiseWhileCallbacksChangeEverything) {
    ManualClock clock;
    Runtime runtime({.cores = 1}, clock);
    const auto script = [](Core& on, ManualClock& time) -> Async<> {
        Restless restless(on);
        int wrong = 0;
        for (int turn = 0; turn < 10'000; ++turn) {
            restless.change_one();
            time.advance(
                Duration(restless.random.next() % (1ULL << (restless.random.next() % 34))));
            co_await yield();
            for (const auto& one : restless.ones) {
                const bool is_due = one->due != Clock::Monotonic::max();
                wrong += one->timer.is_armed() == is_due ? 0 : 1;
                wrong += is_due && one->due <= on.now() - 1ms ? 1 : 0;
            }
        }
        EXPECT_EQ(wrong, 0);
        EXPECT_GT(restless.shots, 1000);
        co_return Result<>{};
    };
    ASSERT_TRUE(runtime.run(script(runtime.core(0), clock)).has_value());
}

TEST(TimerWheel, MovingATimerLaterFiresItOnceAtTheNewTime) {
    ManualClock clock;
    Runtime runtime({.cores = 1}, clock);
    Shot shot;
    shot.core = &runtime.core(0);
    const auto script = [](Shot& it, ManualClock& time) -> Async<> {
        it.timer.arm(it.core->now() + 10ms, fire, &it);
        it.timer.arm(it.core->now() + 500ms, fire, &it);
        for (int i = 0; i < 300; ++i) {
            time.advance(1ms);
            co_await yield();
        }
        EXPECT_EQ(it.count, 0);
        for (int i = 0; i < 300; ++i) {
            time.advance(1ms);
            co_await yield();
        }
        EXPECT_EQ(it.count, 1);
        it.timer.arm(it.core->now() + 500ms, fire, &it);
        it.timer.arm(it.core->now() + 5ms, fire, &it);
        for (int i = 0; i < 8; ++i) {
            time.advance(1ms);
            co_await yield();
        }
        EXPECT_EQ(it.count, 2);
        it.timer.arm(it.core->now() + 5ms, fire, &it);
        it.timer.disarm();
        for (int i = 0; i < 20; ++i) {
            time.advance(1ms);
            co_await yield();
        }
        EXPECT_EQ(it.count, 2);
        co_return Result<>{};
    };
    ASSERT_TRUE(runtime.run(script(shot, clock)).has_value());
}

}  // namespace
}  // namespace fathom::rt
