// Counters, gauges and histograms.
//
//     auto& calls = registry.counters({.name = "gateway_function_invocation_total",
//                                      .help = "Calls by function and status.",
//                                      .labels = {"function_name", "code"}});
//     observe::Counter ok = calls.with({"echo.openfaas-fn", "200"});   // now and then: keep it
//     ok.increment();                                                 // per call: 1 to 2 ns
//
// Every core counts in its own cache line with relaxed loads and stores; reading sums them. A
// thread that is no core shares one more line. A series comes to be with the first with() of its
// label values and costs nothing before: a function that is never called has none.
//
// with(), drop() and reading take a short lock and belong off the call path; handles are values,
// usable on every thread, and outlive drop() and the registry (what they count is then not shown).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/units.h"

namespace fathom::observe {

// Where a series counts; for the handles below.
class Cells {
public:
    using Word = std::atomic<std::uint64_t>;

    // `cores` lines of `words` words, and one for other threads. All zero.
    Cells(int cores, std::size_t words);

    // The words of the thread that asks.
    Word* mine() noexcept;
    bool are_mine_alone(const Word* words) const noexcept { return words != words_.get(); }
    std::uint64_t sum(std::size_t word) const noexcept;
    double sum_doubles(std::size_t word) const noexcept;

private:
    struct Release {
        void operator()(Word* words) const noexcept;
    };
    std::size_t cores_;
    std::size_t stride_;  // words from one core's to the next: whole cache lines
    std::unique_ptr<Word[], Release> words_;
};

class Counter {
public:
    void increment() noexcept { add(1); }
    void add(std::uint64_t count) noexcept;
    std::uint64_t value() const noexcept { return cells_->sum(0); }

private:
    friend class Family;
    explicit Counter(std::shared_ptr<Cells> cells) : cells_(std::move(cells)) {}
    std::shared_ptr<Cells> cells_;
};

// The sum of what every core added: right for what comes and goes (calls in flight). For a value
// that is kept elsewhere anyway, see Registry::on_read.
class Gauge {
public:
    void add(std::int64_t count) noexcept;
    void subtract(std::int64_t count) noexcept { add(-count); }
    std::int64_t value() const noexcept { return static_cast<std::int64_t>(cells_->sum(0)); }

private:
    friend class Family;
    explicit Gauge(std::shared_ptr<Cells> cells) : cells_(std::move(cells)) {}
    std::shared_ptr<Cells> cells_;
};

class Histogram {
public:
    void observe(double value) noexcept;
    void observe(Duration value) noexcept { observe(seconds(value)); }
    std::uint64_t count() const noexcept;
    double sum() const noexcept { return cells_->sum_doubles(0); }

private:
    friend class Family;
    Histogram(std::shared_ptr<Cells> cells, std::span<const double> bounds)
        : cells_(std::move(cells)), bounds_(bounds) {}
    std::shared_ptr<Cells> cells_;  // word 0 the sum, then one word a bucket; the last is +Inf
    std::span<const double> bounds_;
};

// Prometheus's default buckets, in seconds.
inline constexpr double kDefaultBuckets[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                             0.5,   1,    2.5,   5,    10};

inline constexpr std::size_t kSeriesMax = 10'000;  // of one family

enum class Kind : std::uint8_t { counter, gauge, histogram };

// What a family of series is: one name, and labels in which they differ.
struct About {
    std::string name;  // [a-zA-Z_:][a-zA-Z0-9_:]*, base units, counters end in _total
    std::string help;
    std::vector<std::string> labels{};    // [a-zA-Z_][a-zA-Z0-9_]*; bounded sets of values only
    std::size_t series_max = kSeriesMax;  // more are counted together, every label being "other"
};

class Family;

// The handles of a family; a value, as long as the registry lives.
template <class Handle>
class Handles {
public:
    // One value for each label, in About's order. Makes the series when it is not there.
    Handle with(std::initializer_list<std::string_view> values) const;

private:
    friend class Registry;
    explicit Handles(Family& family) : family_(&family) {}
    Family* family_;
};
using Counters = Handles<Counter>;
using Gauges = Handles<Gauge>;
using Histograms = Handles<Histogram>;

// Takes what a reading says; see Registry::on_read.
class Emitter {
public:
    // One value for each label, in About's order; each combination once.
    void emit(double value, std::initializer_list<std::string_view> values = {});

private:
    friend class Registry;
    Emitter(const About& about, std::string& out) : about_(about), out_(out) {}
    const About& about_;
    std::string& out_;
};

// All families of one program. Given to constructors by reference; outlives who counts.
class Registry {
public:
    // `cores` have a line of their own in every series (1 to rt::kCoresMax).
    explicit Registry(int cores);
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // Makes the family, or answers the one there is: every core may ask. Asking for one name with
    // another kind or other labels is a bug.
    Counters counters(const About& about);
    Gauges gauges(const About& about);
    // `bounds` ascend, +Inf is added, and they must outlive the registry (constants).
    Histograms histograms(const About& about, std::span<const double> bounds = kDefaultBuckets);

    // Families without labels have one series, there from the start with 0.
    Counter counter(const About& about) { return counters(about).with({}); }
    Gauge gauge(const About& about) { return gauges(about).with({}); }
    Histogram histogram(const About& about, std::span<const double> bounds = kDefaultBuckets) {
        return histograms(about, bounds).with({});
    }

    // A family that is worked out anew each time it is read, for values kept elsewhere anyway
    // (replicas, queue lengths): prometheus() calls `read` on its thread. It stays until the
    // Reading is destroyed, on the thread that reads.
    class Reading;
    [[nodiscard]] Reading on_read(Kind kind, About about, std::function<void(Emitter&)> read);

    // Forgets every series that has this label (a function was removed).
    void drop(std::string_view label, std::string_view value);

    // Everything in the Prometheus text format 0.0.4, to be sent as kPrometheusType. Families in
    // the order of their names; those without series are left out.
    std::string prometheus() const;

    std::size_t series_count() const;

private:
    struct State;
    Family& family(Kind kind, const About& about, std::span<const double> bounds);
    std::shared_ptr<State> state_;
};

class Registry::Reading {
public:
    Reading() = default;
    Reading(Reading&&) noexcept = default;
    Reading& operator=(Reading&& other) noexcept;
    ~Reading() { end(); }
    void end() noexcept;

private:
    friend class Registry;
    Reading(std::weak_ptr<State> state, std::string name)
        : state_(std::move(state)), name_(std::move(name)) {}
    std::weak_ptr<State> state_;
    std::string name_;
};

inline constexpr std::string_view kPrometheusType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace fathom::observe
