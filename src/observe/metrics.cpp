#include "observe/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <new>

#include "core/check.h"
#include "observe/gate.h"
#include "rt/core.h"

namespace fathom::observe {
namespace {

constexpr std::size_t kLineBytes = 64;
constexpr std::size_t kLineWords = kLineBytes / sizeof(Cells::Word);
constexpr auto kRelaxed = std::memory_order_relaxed;

// Adds to one word: a plain load and store where nobody else writes it.
void add_to(Cells::Word& word, std::uint64_t count, bool is_mine_alone) noexcept {
    if (is_mine_alone) [[likely]] {
        word.store(word.load(kRelaxed) + count, kRelaxed);
    } else {
        word.fetch_add(count, kRelaxed);
    }
}

void add_double_to(Cells::Word& word, double value, bool is_mine_alone) noexcept {
    auto old = word.load(kRelaxed);
    if (is_mine_alone) [[likely]] {
        word.store(std::bit_cast<std::uint64_t>(std::bit_cast<double>(old) + value), kRelaxed);
        return;
    }
    while (!word.compare_exchange_weak(
        old, std::bit_cast<std::uint64_t>(std::bit_cast<double>(old) + value), kRelaxed)) {
    }
}

bool is_name(std::string_view text, std::string_view besides) {
    const auto is_letter = [besides](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
               besides.find(c) != std::string_view::npos;
    };
    return !text.empty() && is_letter(text[0]) && std::ranges::all_of(text, [&](char c) {
        return is_letter(c) || (c >= '0' && c <= '9');
    });
}

void append_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        if (c == '\n') {
            out += "\\n";
            continue;
        }
        if (c == '\\' || c == '"') out += '\\';
        out += c;
    }
}

void append_label(std::string& out, std::string_view name, std::string_view value) {
    if (!out.empty()) out += ',';
    out.append(name).append("=\"");
    append_escaped(out, value);
    out += '"';
}

// The labels of a series as they are exposed: a="x",b="y".
std::string label_text(const About& about, std::span<const std::string_view> values) {
    FATHOM_CHECK(values.size() == about.labels.size(), "a value for each label");
    std::string text;
    for (std::size_t at = 0; at < values.size(); ++at) {
        append_label(text, about.labels[at], values[at]);
    }
    return text;
}

void append_number(std::string& out, double value) {
    if (std::isnan(value)) {
        out += "NaN";
    } else if (std::isinf(value)) {
        out += value > 0 ? "+Inf" : "-Inf";
    } else {
        fmt::format_to(std::back_inserter(out), "{}", value);
    }
}

void append_head(std::string& out, const About& about, Kind kind) {
    constexpr std::string_view kNames[] = {"counter", "gauge", "histogram"};
    out.append("# HELP ").append(about.name).append(" ");
    for (const char c : about.help) {
        if (c == '\n') {
            out += "\\n";
        } else {
            out.append(c == '\\' ? 2 : 1, c);
        }
    }
    out.append("\n# TYPE ").append(about.name).append(" ");
    out.append(kNames[static_cast<std::size_t>(kind)]).append("\n");
}

void append_series(std::string& out, std::string_view name, std::string_view labels) {
    out += name;
    if (!labels.empty()) out.append("{").append(labels).append("}");
    out += ' ';
}

}  // namespace

// ---- Cells

void Cells::Release::operator()(Word* words) const noexcept {
    ::operator delete(words, std::align_val_t(kLineBytes));
}

Cells::Cells(int cores, std::size_t words)
    : cores_(static_cast<std::size_t>(cores)),
      stride_((words + kLineWords - 1) / kLineWords * kLineWords) {
    const auto count = stride_ * (cores_ + 1);
    auto* memory = ::operator new(count * sizeof(Word), std::align_val_t(kLineBytes));
    words_.reset(static_cast<Word*>(memory));
    std::uninitialized_value_construct_n(words_.get(), count);
}

Cells::Word* Cells::mine() noexcept {
    const auto line = static_cast<std::size_t>(rt::this_core_index()) + 1;  // -1 elsewhere: line 0
    return words_.get() + (line <= cores_ ? line * stride_ : 0);
}

std::uint64_t Cells::sum(std::size_t word) const noexcept {
    std::uint64_t total = 0;
    for (std::size_t line = 0; line <= cores_; ++line) {
        total += words_[line * stride_ + word].load(kRelaxed);
    }
    return total;
}

double Cells::sum_doubles(std::size_t word) const noexcept {
    double total = 0;
    for (std::size_t line = 0; line <= cores_; ++line) {
        total += std::bit_cast<double>(words_[line * stride_ + word].load(kRelaxed));
    }
    return total;
}

void Counter::add(std::uint64_t count) noexcept {
    auto* words = cells_->mine();
    add_to(words[0], count, cells_->are_mine_alone(words));
}

void Gauge::add(std::int64_t count) noexcept {
    auto* words = cells_->mine();
    add_to(words[0], static_cast<std::uint64_t>(count), cells_->are_mine_alone(words));
}

void Histogram::observe(double value) noexcept {
    std::size_t bucket = 0;
    while (bucket < bounds_.size() && !(value <= bounds_[bucket])) ++bucket;
    auto* words = cells_->mine();
    const bool is_mine_alone = cells_->are_mine_alone(words);
    add_to(words[1 + bucket], 1, is_mine_alone);
    add_double_to(words[0], value, is_mine_alone);
}

std::uint64_t Histogram::count() const noexcept {
    std::uint64_t total = 0;
    for (std::size_t bucket = 0; bucket <= bounds_.size(); ++bucket) {
        total += cells_->sum(1 + bucket);
    }
    return total;
}

// ---- Family

class Family {
public:
    using Series = std::map<std::string, std::shared_ptr<Cells>, std::less<>>;

    Family(Kind kind, About about, std::span<const double> bounds, int cores)
        : kind_(kind), about_(std::move(about)), bounds_(bounds), cores_(cores) {
        FATHOM_CHECK(is_name(about_.name, ":"), "a metric's name is one");
        for (const auto& label : about_.labels) {
            FATHOM_CHECK(is_name(label, "") && !label.starts_with("__") && label != "le",
                         "a label's name is one");
        }
        FATHOM_CHECK(std::ranges::is_sorted(bounds_), "the bounds of buckets ascend");
    }

    bool is_same(Kind kind, const About& about) const {
        return kind == kind_ && about.labels == about_.labels;
    }

    template <class Handle>
    Handle handle(std::span<const std::string_view> values) {
        if constexpr (std::is_same_v<Handle, Histogram>) {
            return Histogram(cells(values), bounds_);
        } else {
            return Handle(cells(values));
        }
    }

    void drop(const std::string& pair) {
        const Gate::Pass pass(gate_);
        std::erase_if(series_, [&pair](const auto& series) {
            // Pairs are split by commas; a quote inside a value is escaped, so this finds whole
            // ones.
            const std::string_view labels = series.first;
            const auto at = labels.find(pair);
            return at != std::string_view::npos && (at == 0 || labels[at - 1] == ',');
        });
    }

    std::size_t size() const {
        const Gate::Pass pass(gate_);
        return series_.size();
    }

    void append_to(std::string& out) const {
        const auto series = snapshot();
        if (series.empty()) return;
        append_head(out, about_, kind_);
        for (const auto& [labels, cells] : series) {
            if (kind_ == Kind::histogram) {
                append_histogram(out, labels, *cells);
                continue;
            }
            append_series(out, about_.name, labels);
            const auto value = cells->sum(0);
            if (kind_ == Kind::gauge) {
                fmt::format_to(std::back_inserter(out), "{}\n", static_cast<std::int64_t>(value));
            } else {
                fmt::format_to(std::back_inserter(out), "{}\n", value);
            }
        }
    }

private:
    std::shared_ptr<Cells> cells(std::span<const std::string_view> values) {
        auto labels = label_text(about_, values);
        const Gate::Pass pass(gate_);
        if (const auto known = series_.find(labels); known != series_.end()) return known->second;
        if (series_.size() >= about_.series_max) {
            labels = label_text(about_, std::vector<std::string_view>(values.size(), "other"));
        }
        auto& cells = series_[std::move(labels)];
        if (!cells) {
            const auto words = kind_ == Kind::histogram ? bounds_.size() + 2 : 1;
            cells = std::make_shared<Cells>(cores_, words);
        }
        return cells;
    }

    Series snapshot() const {
        const Gate::Pass pass(gate_);
        return series_;
    }

    void append_histogram(std::string& out, std::string_view labels, const Cells& cells) const {
        const auto name = about_.name;
        std::uint64_t below = 0;
        for (std::size_t bucket = 0; bucket <= bounds_.size(); ++bucket) {
            below += cells.sum(1 + bucket);
            out.append(name).append("_bucket{").append(labels);
            if (!labels.empty()) out += ',';
            out += "le=\"";
            append_number(out, bucket < bounds_.size() ? bounds_[bucket] : INFINITY);
            fmt::format_to(std::back_inserter(out), "\"}} {}\n", below);
        }
        append_series(out, name + "_sum", labels);
        append_number(out, cells.sum_doubles(0));
        out += '\n';
        append_series(out, name + "_count", labels);
        fmt::format_to(std::back_inserter(out), "{}\n", below);
    }

    const Kind kind_;
    const About about_;
    const std::span<const double> bounds_;
    const int cores_;
    mutable Gate gate_;
    Series series_;
};

template <class Handle>
Handle Handles<Handle>::with(std::initializer_list<std::string_view> values) const {
    return family_->handle<Handle>(values);
}
template class Handles<Counter>;
template class Handles<Gauge>;
template class Handles<Histogram>;

void Emitter::emit(double value, std::initializer_list<std::string_view> values) {
    append_series(out_, about_.name, label_text(about_, values));
    append_number(out_, value);
    out_ += '\n';
}

// ---- Registry

struct Registry::State {
    struct Reader {
        Kind kind;
        About about;
        std::function<void(Emitter&)> read;
    };

    int cores;
    mutable Gate gate{};
    // Never erased from, so a Family& stays.
    std::map<std::string, std::unique_ptr<Family>, std::less<>> families{};
    std::map<std::string, std::shared_ptr<const Reader>, std::less<>> readers{};
};

Registry::Registry(int cores) : state_(std::make_shared<State>(cores)) {
    FATHOM_CHECK(cores >= 1 && cores <= rt::kCoresMax, "1 to 256 cores");
}
Registry::~Registry() = default;

Family& Registry::family(Kind kind, const About& about, std::span<const double> bounds) {
    const Gate::Pass pass(state_->gate);
    FATHOM_CHECK(!state_->readers.contains(about.name), "a name has one meaning");
    auto& family = state_->families[about.name];
    if (!family) family = std::make_unique<Family>(kind, about, bounds, state_->cores);
    FATHOM_CHECK(family->is_same(kind, about), "a family is asked for as it was made");
    return *family;
}

Counters Registry::counters(const About& about) {
    return Counters(family(Kind::counter, about, {}));
}
Gauges Registry::gauges(const About& about) {
    return Gauges(family(Kind::gauge, about, {}));
}
Histograms Registry::histograms(const About& about, std::span<const double> bounds) {
    return Histograms(family(Kind::histogram, about, bounds));
}

Registry::Reading Registry::on_read(Kind kind, About about, std::function<void(Emitter&)> read) {
    FATHOM_CHECK(kind != Kind::histogram && is_name(about.name, ":"), "a plain family");
    auto name = about.name;
    const Gate::Pass pass(state_->gate);
    FATHOM_CHECK(!state_->families.contains(name), "a name has one meaning");
    auto& reader = state_->readers[name];
    FATHOM_CHECK(reader == nullptr, "a family has one reader");
    reader = std::make_shared<State::Reader>(kind, std::move(about), std::move(read));
    return Reading(state_, std::move(name));
}

Registry::Reading& Registry::Reading::operator=(Reading&& other) noexcept {
    if (this != &other) {
        end();
        state_ = std::move(other.state_);
        name_ = std::move(other.name_);
    }
    return *this;
}

void Registry::Reading::end() noexcept {
    const auto state = std::exchange(state_, {}).lock();
    if (!state) return;
    const Gate::Pass pass(state->gate);
    state->readers.erase(name_);
}

void Registry::drop(std::string_view label, std::string_view value) {
    std::string pair;
    append_label(pair, label, value);
    const Gate::Pass pass(state_->gate);
    for (const auto& [name, family] : state_->families) family->drop(pair);
}

std::string Registry::prometheus() const {
    std::map<std::string, const Family*> families;
    std::map<std::string, std::shared_ptr<const State::Reader>> readers;
    {
        const Gate::Pass pass(state_->gate);
        for (const auto& [name, family] : state_->families) families[name] = family.get();
        readers.insert(state_->readers.begin(), state_->readers.end());
    }
    std::map<std::string, std::string> texts;
    for (const auto& [name, family] : families) family->append_to(texts[name]);
    for (const auto& [name, reader] : readers) {
        std::string samples;
        Emitter emitter(reader->about, samples);
        reader->read(emitter);
        if (samples.empty()) continue;
        append_head(texts[name], reader->about, reader->kind);
        texts[name] += samples;
    }
    std::string all;
    for (const auto& [name, text] : texts) all += text;
    return all;
}

std::size_t Registry::series_count() const {
    const Gate::Pass pass(state_->gate);
    std::size_t count = 0;
    for (const auto& [name, family] : state_->families) count += family->size();
    return count;
}

}  // namespace fathom::observe
