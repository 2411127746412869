#include "observe/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "rt/rt.h"

namespace fathom::observe {
namespace {

TEST(Metrics, CountersStartAtZeroAndOnlyGrow) {
    Registry registry(2);
    auto counter = registry.counter({.name = "a_total", .help = "All a."});
    EXPECT_EQ(registry.prometheus(), "# HELP a_total All a.\n# TYPE a_total counter\na_total 0\n");
    counter.increment();
    counter.add(41);
    EXPECT_EQ(counter.value(), 42U);
    EXPECT_EQ(registry.prometheus(), "# HELP a_total All a.\n# TYPE a_total counter\na_total 42\n");
}

TEST(Metrics, GaugesGoBelowZeroOnOneCoreAndSumRight) {
    Registry registry(1);
    auto gauge = registry.gauge({.name = "in_flight", .help = "Now."});
    gauge.add(3);
    gauge.subtract(5);
    EXPECT_EQ(gauge.value(), -2);
    EXPECT_NE(registry.prometheus().find("\nin_flight -2\n"), std::string::npos);
}

TEST(Metrics, HistogramsAreCumulativeAndCloseWithInf) {
    Registry registry(1);
    constexpr double kBounds[] = {0.1, 1};
    auto histogram =
        registry.histograms({.name = "took_seconds", .help = "Time.", .labels = {"code"}}, kBounds)
            .with({"200"});
    histogram.observe(0.1);  // a bound belongs to its bucket
    histogram.observe(0.5);
    histogram.observe(7.0);
    histogram.observe(Duration(250ms));
    EXPECT_EQ(histogram.count(), 4U);
    EXPECT_DOUBLE_EQ(histogram.sum(), 7.85);
    EXPECT_EQ(registry.prometheus(),
              "# HELP took_seconds Time.\n"
              "# TYPE took_seconds histogram\n"
              "took_seconds_bucket{code=\"200\",le=\"0.1\"} 1\n"
              "took_seconds_bucket{code=\"200\",le=\"1\"} 3\n"
              "took_seconds_bucket{code=\"200\",le=\"+Inf\"} 4\n"
              "took_seconds_sum{code=\"200\"} 7.85\n"
              "took_seconds_count{code=\"200\"} 4\n");
}

TEST(Metrics, DefaultBucketsAreThoseOfPrometheus) {
    Registry registry(1);
    registry.histogram({.name = "h", .help = ""}).observe(0.02);
    const auto text = registry.prometheus();
    for (const auto* bound :
         {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"}) {
        EXPECT_NE(text.find(fmt::format("h_bucket{{le=\"{}\"}} ", bound)), std::string::npos)
            << bound;
    }
}

TEST(Metrics, SeriesComeToBeOnFirstUse) {
    Registry registry(1);
    const auto calls = registry.counters({.name = "c", .help = "", .labels = {"function_name"}});
    EXPECT_EQ(registry.series_count(), 0U);
    EXPECT_EQ(registry.prometheus(), "");
    calls.with({"a"}).increment();
    calls.with({"a"}).increment();
    EXPECT_EQ(registry.series_count(), 1U);
    EXPECT_EQ(calls.with({"a"}).value(), 2U);
}

TEST(Metrics, TheSameFamilyIsSharedByAllWhoAsk) {
    Registry registry(1);
    const About about{.name = "c", .help = "", .labels = {"x"}};
    registry.counters(about).with({"1"}).increment();
    registry.counters(about).with({"1"}).increment();
    EXPECT_EQ(registry.counters(about).with({"1"}).value(), 2U);
}

TEST(Metrics, EscapesHelpAndLabels) {
    Registry registry(1);
    registry.counters({.name = "c", .help = "a\\b\n\"c\"", .labels = {"x"}})
        .with({"q\"b\\n\nend"})
        .increment();
    EXPECT_EQ(registry.prometheus(),
              "# HELP c a\\\\b\\n\"c\"\n# TYPE c counter\nc{x=\"q\\\"b\\\\n\\nend\"} 1\n");
}

TEST(Metrics, DropsEverySeriesOfAFunctionAndOnlyThose) {
    Registry registry(1);
    const auto calls =
        registry.counters({.name = "c", .help = "", .labels = {"function_name", "code"}});
    auto kept = calls.with({"ab.fn", "200"});
    auto dropped = calls.with({"b.fn", "200"});
    (void)calls.with({"b.fn", "500"});
    (void)calls.with({"x,function_name=\"b.fn\"", "1"});
    registry.gauges({.name = "g", .help = "", .labels = {"function_name"}}).with({"b.fn"}).add(1);
    registry.drop("function_name", "b.fn");
    dropped.increment();  // a handle outlives its series
    kept.increment();
    EXPECT_EQ(registry.series_count(), 2U);
    EXPECT_EQ(registry.prometheus().find("{function_name=\"b.fn\""), std::string::npos);
    EXPECT_EQ(calls.with({"b.fn", "200"}).value(), 0U);
}

TEST(Metrics, FoldsSeriesOverTheLimitIntoOne) {
    Registry registry(1);
    const auto calls =
        registry.counters({.name = "c", .help = "", .labels = {"x"}, .series_max = 2});
    for (const auto* value : {"a", "b", "c", "d", "a"}) calls.with({value}).increment();
    EXPECT_EQ(registry.prometheus(),
              "# HELP c \n# TYPE c counter\nc{x=\"a\"} 2\nc{x=\"b\"} 1\nc{x=\"other\"} 2\n");
}

TEST(Metrics, ReadsWhatIsKeptElsewhereWhenAsked) {
    Registry registry(1);
    int replicas = 2;
    {
        const auto reading = registry.on_read(
            Kind::gauge,
            {.name = "gateway_service_count", .help = "Replicas.", .labels = {"function_name"}},
            [&replicas](Emitter& out) { out.emit(replicas, {"a.fn"}); });
        replicas = 3;
        EXPECT_EQ(registry.prometheus(),
                  "# HELP gateway_service_count Replicas.\n# TYPE gateway_service_count gauge\n"
                  "gateway_service_count{function_name=\"a.fn\"} 3\n");
    }
    EXPECT_EQ(registry.prometheus(), "");
}

TEST(Metrics, AReadingMayOutliveItsRegistry) {
    Registry::Reading reading;
    {
        Registry registry(1);
        reading = registry.on_read(Kind::gauge, {.name = "g", .help = ""}, [](Emitter&) {});
    }
    reading.end();
}

TEST(Metrics, WritesNumbersAsGoReadsThem) {
    Registry registry(1);
    const auto reading =
        registry.on_read(Kind::gauge, {.name = "g", .help = "", .labels = {"v"}}, [](Emitter& out) {
            out.emit(INFINITY, {"a"});
            out.emit(-INFINITY, {"b"});
            out.emit(NAN, {"c"});
            out.emit(0.1, {"d"});
            out.emit(1e21, {"e"});
        });
    const auto text = registry.prometheus();
    for (const auto* line : {"{v=\"a\"} +Inf\n", "{v=\"b\"} -Inf\n", "{v=\"c\"} NaN\n",
                             "{v=\"d\"} 0.1\n", "{v=\"e\"} 1e+21\n"}) {
        EXPECT_NE(text.find(line), std::string::npos) << line;
    }
}

TEST(Metrics, FamiliesStandInTheOrderOfTheirNames) {
    Registry registry(1);
    (void)registry.counter({.name = "b", .help = ""});
    (void)registry.counter({.name = "a", .help = ""});
    const auto text = registry.prometheus();
    EXPECT_LT(text.find("# HELP a"), text.find("# HELP b"));
}

TEST(MetricsDeathTest, OneNameHasOneMeaning) {
    Registry registry(1);
    (void)registry.counter({.name = "a", .help = ""});
    EXPECT_DEATH((void)registry.gauge({.name = "a", .help = ""}), "as it was made");
    EXPECT_DEATH((void)registry.counter({.name = "1a", .help = ""}), "name is one");
}

// On every core, and on threads that are none, nothing is lost.
struct Load {
    Counter counter;
    Histogram histogram;
    Counters family;

    Result<int> run() {
        for (int i = 0; i < 10'000; ++i) {
            counter.increment();
            histogram.observe(0.25);
            if (i % 100 == 0) family.with({std::to_string(i % 700)}).increment();
        }
        return 0;
    }
};

Async<> load_everywhere(rt::Runtime& runtime, rt::BlockingPool& pool, Load load) {
    TaskGroup tasks;
    const auto on = [](Async<int> work) -> Async<> {
        auto done = co_await std::move(work);
        EXPECT_TRUE(done.has_value());
        co_return Result<>();
    };
    for (int core = 0; core < runtime.core_count(); ++core) {
        tasks.spawn(on(rt::on_core(runtime.core(core), [load]() mutable { return load.run(); })));
    }
    for (int job = 0; job < 2; ++job) {
        tasks.spawn(on(pool.run([load]() mutable { return load.run(); })));
    }
    co_return co_await tasks.wait_empty();
}

TEST(Metrics, LoseNothingBetweenCores) {
    SystemClock clock;
    Registry registry(3);
    Load load{.counter = registry.counter({.name = "c", .help = ""}),
              .histogram = registry.histogram({.name = "h", .help = ""}),
              .family = registry.counters({.name = "f", .help = "", .labels = {"x"}})};
    rt::BlockingPool pool({.threads = 2});
    rt::Runtime runtime({.cores = 4}, clock);  // one more than there are lines
    ASSERT_TRUE(runtime.run(load_everywhere(runtime, pool, load)).has_value());
    EXPECT_EQ(load.counter.value(), 60'000U);
    EXPECT_EQ(load.histogram.count(), 60'000U);
    EXPECT_DOUBLE_EQ(load.histogram.sum(), 15'000.0);
    std::uint64_t total = 0;
    for (int i = 0; i < 700; i += 100) total += load.family.with({std::to_string(i)}).value();
    EXPECT_EQ(total, 600U);
}

}  // namespace
}  // namespace fathom::observe
