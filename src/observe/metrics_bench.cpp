// What counting costs on the way of a call, against the plain atomic it replaces.
//
// The process's threads are not cores here, so the shared line is measured as well as a core's own.

#include <benchmark/benchmark.h>

#include <array>
#include <atomic>

#include "observe/metrics.h"
#include "rt/rt.h"

namespace fathom::observe {
namespace {

// Runs the benchmark on the thread of a core.
template <class Body>
void on_a_core(Body body) {
    const auto main = [](Body* work) -> Async<> {
        (*work)();
        co_return Result<>();
    };
    (void)rt::run(main(&body)).has_value();
}

void atomic_increment(benchmark::State& state) {
    static std::atomic<std::uint64_t> number{0};
    for (auto _ : state) number.fetch_add(1, std::memory_order_relaxed);
}
BENCHMARK(atomic_increment)->Threads(1)->Threads(2);

void counter_increment_on_a_core(benchmark::State& state) {
    Registry registry(2);
    auto counter = registry.counter({.name = "c", .help = ""});
    on_a_core([&] {
        for (auto _ : state) counter.increment();
    });
}
BENCHMARK(counter_increment_on_a_core);

void counter_increment_elsewhere(benchmark::State& state) {
    Registry registry(2);
    auto counter = registry.counter({.name = "c", .help = ""});
    for (auto _ : state) counter.increment();
}
BENCHMARK(counter_increment_elsewhere);

void histogram_observe_on_a_core(benchmark::State& state) {
    Registry registry(2);
    auto histogram = registry.histogram({.name = "h", .help = ""});
    constexpr std::array<double, 8> kTimes = {0.001, 0.002, 0.003, 0.004, 0.02, 0.04, 0.3, 3};
    std::size_t at = 0;
    on_a_core([&] {
        for (auto _ : state) histogram.observe(kTimes[at++ % kTimes.size()]);
    });
}
BENCHMARK(histogram_observe_on_a_core);

void find_a_series(benchmark::State& state) {
    Registry registry(2);
    const auto calls =
        registry.counters({.name = "c", .help = "", .labels = {"function_name", "code"}});
    for (auto _ : state) benchmark::DoNotOptimize(calls.with({"echo.openfaas-fn", "200"}));
}
BENCHMARK(find_a_series);

void expose_a_thousand_functions(benchmark::State& state) {
    Registry registry(2);
    const auto seconds = registry.histograms(
        {.name = "gateway_functions_seconds", .help = "", .labels = {"function_name", "code"}});
    for (int i = 0; i < 1000; ++i) {
        seconds.with({fmt::format("function-{}.openfaas-fn", i), "200"}).observe(0.01);
    }
    for (auto _ : state) benchmark::DoNotOptimize(registry.prometheus());
}
BENCHMARK(expose_a_thousand_functions)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fathom::observe
