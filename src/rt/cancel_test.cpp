// Cancelling is destroying: every place where a coroutine can wait must let go of it.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <latch>
#include <memory>

#include "rt/rt.h"

namespace fathom::rt {
namespace {

// Counts what lives in coroutine frames.
class Counted {
public:
    explicit Counted(int& alive) : alive_(alive) { ++alive_; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --alive_; }

private:
    int& alive_;
};

struct Pair {
    Socket ours;
    Socket theirs;
};
Pair make_pair(int type = SOCK_STREAM) {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds.data()), 0);
    return {std::move(*Socket::adopt(Fd(fds[0]))), std::move(*Socket::adopt(Fd(fds[1])))};
}

std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// What tasks wait for.
struct World {
    World(Runtime& cores, BlockingPool& jobs, std::uint64_t seed)
        : runtime(cores), pool(jobs), random(seed) {}

    std::uint64_t dice(std::uint64_t sides) { return random.next() % sides; }

    Runtime& runtime;
    BlockingPool& pool;
    SeededRandom random;
    std::array<Signal, 4> signals;
    int alive = 0;
};

Async<> on_signal(World& world) {
    const Counted here(world.alive);
    co_await world.signals[0].wait();
    co_return Result<>{};
}
Async<> asleep(World& world) {
    const Counted here(world.alive);
    co_await sleep_for(1h);
    co_return Result<>{};
}
Async<> yielding(World& world) {
    const Counted here(world.alive);
    for (;;) co_await yield();
}
Async<> reading(World& world) {
    const Counted here(world.alive);
    auto pair = make_pair();
    std::array<char, 64> buffer{};
    for (;;) (void)co_await pair.ours.read(buffer);
}
Async<> writing(World& world) {
    const Counted here(world.alive);
    auto pair = make_pair();
    const std::string block(1 << 16, 'x');
    for (;;) (void)co_await pair.ours.write(block);
}
Async<> accepting(World& world) {
    const Counted here(world.alive);
    auto listener = Listener::open(*Address::parse("127.0.0.1:0"));
    for (;;) (void)co_await listener->accept();
}
Async<> posting(World& world) {
    const Counted here(world.alive);
    for (;;) (void)co_await on_core(world.runtime.core(1), [] { return Result<int>(1); });
}
Async<> working(World& world) {
    const Counted here(world.alive);
    for (;;) (void)co_await world.pool.run([] { return Result<int>(1); });
}
Async<> in_a_group(World& world) {
    const Counted here(world.alive);
    TaskGroup tasks;
    tasks.spawn(on_signal(world));
    tasks.spawn(yielding(world));
    co_return co_await tasks.wait_empty();
}
Async<> within_an_hour(World& world) {
    const Counted here(world.alive);
    co_return co_await within(Deadline::in(1h), either(asleep(world), reading(world)));
}
Async<> in_both(World& world) {
    const Counted here(world.alive);
    co_return co_await both(on_signal(world), either(yielding(world), posting(world)));
}

using Maker = Async<> (*)(World&);
constexpr std::array kMakers = {&on_signal,  &asleep,         &yielding, &reading,
                                &writing,    &accepting,      &posting,  &working,
                                &in_a_group, &within_an_hour, &in_both};

void with_world(std::uint64_t seed, Async<> (*script)(World&)) {
    const auto descriptors = open_descriptors();
    {
        BlockingPool pool({.threads = 1});
        const SystemClock clock;
        Runtime runtime({.cores = 2}, clock);
        World world(runtime, pool, seed);
        EXPECT_TRUE(runtime.run(script(world)).has_value());
        EXPECT_EQ(world.alive, 0);
    }
    EXPECT_EQ(open_descriptors(), descriptors);
}

TEST(Cancel, LetsGoOfATaskThatHasJustStartedToWait) {
    with_world(1, [](World& world) -> Async<> {
        for (const auto make : kMakers) {
            TaskGroup tasks;
            tasks.spawn(make(world));
            EXPECT_GT(world.alive, 0);
            tasks.cancel();
            EXPECT_EQ(world.alive, 0);
        }
        co_return Result<>{};
    });
}

TEST(Cancel, LetsGoOfATaskInAnyTurn) {
    with_world(2, [](World& world) -> Async<> {
        for (const auto make : kMakers) {
            for (int turns = 0; turns < 10; ++turns) {
                TaskGroup tasks;
                tasks.spawn(make(world));
                for (int i = 0; i < turns; ++i) co_await yield();
            }
            EXPECT_EQ(world.alive, 0);
        }
        co_return Result<>{};
    });
}

TEST(Cancel, LetsGoOfATaskThatWasWokenAndHasNotRunYet) {
    with_world(3, [](World& world) -> Async<> {
        TaskGroup tasks;
        for (int i = 0; i < 3; ++i) tasks.spawn(on_signal(world));
        world.signals[0].raise();
        tasks.cancel();
        EXPECT_EQ(world.alive, 0);
        co_await yield();
        co_return Result<>{};
    });
}

TEST(Cancel, LetsGoOfAWaitWhoseAnswerIsOnItsWay) {
    with_world(4, [](World& world) -> Async<> {
        for (int i = 0; i < 200; ++i) {
            TaskGroup tasks;
            tasks.spawn(posting(world));
            tasks.spawn(working(world));
            if (i % 2 == 0) co_await yield();
            // Something else of this core that takes long enough for answers to come.
            std::latch answered(1);
            world.runtime.core(1).post([&] { answered.count_down(); });
            answered.wait();
        }
        EXPECT_EQ(world.alive, 0);
        co_return Result<>{};
    });
}

TEST(Cancel, LetsGoOfATimerInsideAnothersCallback) {
    with_world(5, [](World& world) -> Async<> {
        // All are due in the same tick; the first to fire cancels the rest.
        auto due = this_core().now() + 2ms;
        auto sleepers = std::make_unique<TaskGroup>();
        const auto sleep = [](World& in, Clock::Monotonic until) -> Async<> {
            const Counted here(in.alive);
            co_await sleep_until(until);
            co_return Result<>{};
        };
        Timer first;
        first.arm(
            due, [](void* group) { static_cast<TaskGroup*>(group)->cancel(); }, sleepers.get());
        for (int i = 0; i < 10; ++i) sleepers->spawn(sleep(world, due));
        co_await sleep_until(due + 3ms);
        EXPECT_EQ(world.alive, 0);
        co_return Result<>{};
    });
}

Async<> live(World& world, int depth);

Async<> exchange_bytes(World& world, int depth) {
    const Counted here(world.alive);
    auto pair = make_pair(world.dice(3) == 0 ? SOCK_SEQPACKET : SOCK_STREAM);
    const std::string block(1 + world.dice(100'000), 'x');
    const auto send = [](Socket& to, const std::string& bytes) -> Async<> {
        co_return co_await to.write(bytes);
    };
    const auto drain = [](World& in, Socket& from) -> Async<> {
        const Counted reader(in.alive);
        std::string buffer(1 + in.dice(65'536), ' ');
        for (;;) {
            auto count = co_await from.read(buffer);
            if (!count || *count == 0) co_return Result<>{};
        }
    };
    (void)co_await either(both(send(pair.ours, block), drain(world, pair.theirs)),
                          live(world, depth + 1));
    co_return Result<>{};
}

Async<> a_family(World& world, int depth) {
    const Counted here(world.alive);
    TaskGroup tasks;
    for (auto left = world.dice(3) + 1; left > 0; --left) tasks.spawn(live(world, depth + 1));
    switch (world.dice(3)) {
        case 0:
            co_return co_await tasks.wait_empty();
        case 1:
            tasks.cancel();
            break;
        default:
            co_await yield();
    }
    co_return Result<>{};
}

// Waits in one way after the other, and in several at once.
Async<> live(World& world, int depth) {
    const Counted here(world.alive);
    const auto deepest = depth < 4 ? 12 : 6;
    for (auto steps = world.dice(4); steps > 0; --steps) {
        switch (world.dice(deepest)) {
            case 0:
                co_await sleep_for(std::chrono::microseconds(world.dice(3000)));
                break;
            case 1:
                co_await yield();
                break;
            case 2:
                co_await world.signals[world.dice(4)].wait();
                break;
            case 3:
                (void)co_await world.pool.run([] { return Result<int>(1); });
                break;
            case 4:
                (void)co_await on_core(world.runtime.core(1), [] { return Result<int>(1); });
                break;
            case 5:
                co_return fail(Errc::invalid, "enough");
            case 6:
                (void)co_await exchange_bytes(world, depth);
                break;
            case 7:
                (void)co_await a_family(world, depth);
                break;
            case 8:
                (void)co_await either(live(world, depth + 1), live(world, depth + 1));
                break;
            case 9:
                (void)co_await both(live(world, depth + 1), live(world, depth + 1));
                break;
            default:
                (void)co_await within(Deadline::in(std::chrono::microseconds(world.dice(3000))),
                                      live(world, depth + 1));
        }
    }
    co_return Result<>{};
}

// Many lives, whose groups are cancelled whenever the dice say so.
Async<> many_lives(World& world) {
    {
        std::array<TaskGroup, 5> groups;
        for (int round = 0; round < 1500; ++round) {
            auto& group = groups[world.dice(groups.size())];
            auto& signal = world.signals[world.dice(world.signals.size())];
            switch (world.dice(8)) {
                case 0:
                    group.cancel();
                    break;
                case 1:
                    signal.raise();
                    break;
                case 2:
                    signal.lower();
                    break;
                case 3:
                    co_await yield();
                    break;
                case 4:
                    co_await sleep_for(std::chrono::microseconds(world.dice(200)));
                    break;
                default:
                    if (group.size() < 50) group.spawn(live(world, 0));
            }
        }
    }
    EXPECT_EQ(world.alive, 0);
    co_return Result<>{};
}

class CancelAtRandom : public testing::TestWithParam<std::uint64_t> {};

TEST_P(CancelAtRandom, LeavesNothingBehind) {
    with_world(GetParam(), many_lives);
}
INSTANTIATE_TEST_SUITE_P(Seeds, CancelAtRandom, testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace fathom::rt
