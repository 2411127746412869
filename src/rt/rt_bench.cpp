// What waiting costs: build/release/src/rt/rt_bench. The figures stand in docs/runtime.md.
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "rt/rt.h"

namespace fathom::rt {
namespace {

Async<int> number(int value) {
    co_return value;
}
Async<> nothing() {
    co_return Result<>{};
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

void call_and_await(benchmark::State& state) {
    const auto script = [](benchmark::State& rounds) -> Async<> {
        for (auto _ : rounds) benchmark::DoNotOptimize(co_await number(1));
        co_return Result<>{};
    };
    (void)run(script(state));
}
BENCHMARK(call_and_await);

void spawn_a_task(benchmark::State& state) {
    const auto script = [](benchmark::State& rounds) -> Async<> {
        TaskGroup tasks;
        for (auto _ : rounds) tasks.spawn(nothing());
        co_return Result<>{};
    };
    (void)run(script(state));
}
BENCHMARK(spawn_a_task);

void spawn_and_cancel_a_waiting_task(benchmark::State& state) {
    const auto script = [](benchmark::State& rounds) -> Async<> {
        TaskGroup tasks;
        for (auto _ : rounds) {
            tasks.spawn(forever());
            tasks.cancel();
        }
        co_return Result<>{};
    };
    (void)run(script(state));
}
BENCHMARK(spawn_and_cancel_a_waiting_task);

void yield_a_turn(benchmark::State& state) {
    const auto script = [](benchmark::State& rounds) -> Async<> {
        for (auto _ : rounds) co_await yield();
        co_return Result<>{};
    };
    (void)run(script(state));
}
BENCHMARK(yield_a_turn);

// Beside `range` timers that are armed already.
void arm_and_disarm_a_timer(benchmark::State& state) {
    const auto script = [](benchmark::State& rounds) -> Async<> {
        std::vector<std::unique_ptr<Timer>> others;
        const auto now = this_core().now();
        for (int i = 0; i < rounds.range(0); ++i) {
            others.push_back(std::make_unique<Timer>());
            others.back()->arm(now + 10s + i * 1ms, [](void*) {}, nullptr);
        }
        Timer timer;
        for (auto _ : rounds) {
            timer.arm(now + 30s, [](void*) {}, nullptr);
            timer.disarm();
        }
        co_return Result<>{};
    };
    (void)run(script(state));
}
BENCHMARK(arm_and_disarm_a_timer)->Arg(0)->Arg(10'000);

void within_a_deadline(benchmark::State& state) {
    const auto script = [](benchmark::State& rounds) -> Async<> {
        const auto deadline = Deadline::in(10s);
        for (auto _ : rounds) benchmark::DoNotOptimize(co_await within(deadline, nothing()));
        co_return Result<>{};
    };
    (void)run(script(state));
}
BENCHMARK(within_a_deadline);

void either_of_two(benchmark::State& state) {
    const auto script = [](benchmark::State& rounds) -> Async<> {
        for (auto _ : rounds) benchmark::DoNotOptimize(co_await either(forever(), nothing()));
        co_return Result<>{};
    };
    (void)run(script(state));
}
BENCHMARK(either_of_two);

void both_of_two(benchmark::State& state) {
    const auto script = [](benchmark::State& rounds) -> Async<> {
        for (auto _ : rounds) benchmark::DoNotOptimize(co_await both(nothing(), nothing()));
        co_return Result<>{};
    };
    (void)run(script(state));
}
BENCHMARK(both_of_two);

// As a proxied call waits: its answer or the client's end, and all of it within a deadline. The
// answer comes a turn later.
void either_within_a_deadline_a_turn_later(benchmark::State& state) {
    const auto script = [](benchmark::State& rounds) -> Async<> {
        const auto deadline = Deadline::in(10s);
        Signal signal;
        const auto raise = [](Signal& on) -> Async<> {
            on.raise();
            co_return Result<>{};
        };
        for (auto _ : rounds) {
            signal.lower();
            auto waiting = both(either(wait_for(signal), forever()), raise(signal));
            benchmark::DoNotOptimize(co_await within(deadline, std::move(waiting)));
        }
        co_return Result<>{};
    };
    (void)run(script(state));
}
BENCHMARK(either_within_a_deadline_a_turn_later);

void post_to_another_core_and_back(benchmark::State& state) {
    const SystemClock clock;
    Runtime runtime({.cores = 2}, clock);
    const auto script = [](benchmark::State& rounds, Core& other) -> Async<> {
        for (auto _ : rounds) {
            benchmark::DoNotOptimize(co_await on_core(other, []() -> Result<int> { return 1; }));
        }
        co_return Result<>{};
    };
    (void)runtime.run(script(state, runtime.core(1)));
}
BENCHMARK(post_to_another_core_and_back)->UseRealTime();

void a_job_in_the_pool_and_back(benchmark::State& state) {
    BlockingPool pool({.threads = 1});
    const auto script = [](benchmark::State& rounds, BlockingPool& on) -> Async<> {
        for (auto _ : rounds) {
            benchmark::DoNotOptimize(co_await on.run([]() -> Result<int> { return 1; }));
        }
        co_return Result<>{};
    };
    (void)run(script(state, pool));
}
BENCHMARK(a_job_in_the_pool_and_back)->UseRealTime();

constexpr std::size_t kMessageBytes = 256;

std::array<Fd, 2> make_pair() {
    std::array<int, 2> fds{};
    FATHOM_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0, "a pair");
    return {Fd(fds[0]), Fd(fds[1])};
}

Async<> echo(Socket& socket) {
    std::array<char, 4096> buffer{};
    for (;;) {
        auto count = co_await socket.read(buffer);
        if (!count || *count == 0) co_return Result<>{};
        (void)co_await socket.write({buffer.data(), *count});
    }
}

// There and back between two coroutines of one core.
void ping_pong_of_coroutines(benchmark::State& state) {
    const auto script = [](benchmark::State& rounds) -> Async<> {
        auto pair = make_pair();
        auto ours = std::move(*Socket::adopt(std::move(pair[0])));
        auto theirs = std::move(*Socket::adopt(std::move(pair[1])));
        TaskGroup tasks;
        tasks.spawn(echo(theirs));
        const std::string message(kMessageBytes, 'x');
        std::array<char, 4096> buffer{};
        for (auto _ : rounds) {
            (void)co_await ours.write(message);
            benchmark::DoNotOptimize(co_await ours.read(buffer));
        }
        co_return Result<>{};
    };
    (void)run(script(state));
}
BENCHMARK(ping_pong_of_coroutines);

// The same four system calls in a row, on one thread, with no loop at all: the floor.
void ping_pong_of_plain_calls(benchmark::State& state) {
    const auto pair = make_pair();
    const std::string message(kMessageBytes, 'x');
    std::array<char, 4096> buffer{};
    for ([[maybe_unused]] auto _ : state) {
        for (const auto& [from, to] : {std::pair{0, 1}, std::pair{1, 0}}) {
            benchmark::DoNotOptimize(::write(pair[from].get(), message.data(), message.size()));
            benchmark::DoNotOptimize(::read(pair[to].get(), buffer.data(), buffer.size()));
        }
    }
}
BENCHMARK(ping_pong_of_plain_calls);

}  // namespace
}  // namespace fathom::rt
