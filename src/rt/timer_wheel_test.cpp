#include "rt/timer_wheel.h"

#include <gtest/gtest.h>

#include <memory>

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
            if (wait > 0) time.advance(std::chrono::milliseconds(wait));
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
