#include "rt/blocking.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

#include "rt/wait.h"

namespace fathom::rt {
namespace {

TEST(BlockingPool, AnswersOnTheCallersCore) {
    BlockingPool pool({.threads = 2});
    const auto script = [](BlockingPool& on) -> Async<> {
        auto core_inside = co_await on.run([] { return Result<int>(this_core_index()); });
        EXPECT_EQ(*core_inside, -1);
        EXPECT_EQ(this_core_index(), 0);
        auto failed = co_await on.run([]() -> Result<> { return fail(Errc::unavailable, "disk"); });
        EXPECT_EQ(failed.error().code(), Errc::unavailable);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script(pool)).has_value());
}

TEST(BlockingPool, RefusesOneJobTooMany) {
    std::latch started(1);
    std::latch go_on(1);
    BlockingPool pool({.threads = 1, .jobs_max = 1});  // ends its jobs before the latches go
    EXPECT_TRUE(pool.submit([&] {
        started.count_down();
        go_on.wait();
    }));
    started.wait();
    EXPECT_TRUE(pool.submit([] {}));
    EXPECT_FALSE(pool.submit([] {}));
    go_on.count_down();
}

TEST(BlockingPool, DropsTheResultOfACancelledWait) {
    BlockingPool pool({.threads = 1});
    const auto script = [](BlockingPool& on) -> Async<> {
        std::latch go_on(1);
        const auto wait = [](BlockingPool& there, std::latch& until) -> Async<> {
            co_return co_await there.run([&until]() -> Result<> {
                until.wait();
                return {};
            });
        };
        auto late = co_await within(Deadline::in(2ms), wait(on, go_on));
        EXPECT_EQ(late.error().code(), Errc::timed_out);
        go_on.count_down();
        auto after = co_await on.run([]() -> Result<int> { return 5; });
        EXPECT_EQ(*after, 5);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script(pool)).has_value());
}

TEST(BlockingPool, AJobMayEndAfterTheCoreThatWaitedForIt) {
    std::latch started(1);
    std::latch go_on(1);
    {
        BlockingPool pool({.threads = 1});
        const auto script = [](BlockingPool& on, std::latch& is_up, std::latch& until) -> Async<> {
            TaskGroup tasks;
            const auto wait = [](BlockingPool& there, std::latch& up, std::latch& go) -> Async<> {
                co_return co_await there.run([&up, &go]() -> Result<> {
                    up.count_down();
                    go.wait();
                    return {};
                });
            };
            tasks.spawn(wait(on, is_up, until));
            is_up.wait();
            co_return Result<>{};
        };
        EXPECT_TRUE(run(script(pool, started, go_on)).has_value());
        go_on.count_down();
    }
}

TEST(BlockingPool, RunsEverythingItAcceptedBeforeItEnds) {
    std::atomic<int> count = 0;
    {
        BlockingPool pool({.threads = 2});
        for (int i = 0; i < 100; ++i) {
            EXPECT_TRUE(pool.submit([&pool, &count] {
                EXPECT_TRUE(pool.submit([&count] { ++count; }));
                ++count;
            }));
        }
    }
    EXPECT_EQ(count, 200);
}

TEST(OnCore, RunsThereAndAnswersHere) {
    const SystemClock clock;
    Runtime runtime({.cores = 3}, clock);
    const auto script = [](Runtime& cores) -> Async<> {
        for (int i = 0; i < 3; ++i) {
            auto index =
                co_await on_core(cores.core(i), [] { return Result<int>(this_core_index()); });
            EXPECT_EQ(*index, i);
            EXPECT_EQ(this_core_index(), 0);
        }
        co_return Result<>{};
    };
    EXPECT_TRUE(runtime.run(script(runtime)).has_value());
}

}  // namespace
}  // namespace fathom::rt
