#include "observe/log.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "core/time.h"
#include "observe/log_output.h"

namespace fathom::observe {
namespace {

constexpr std::string_view kLevelNames[] = {"debug", "info", "warn", "error", "none"};
constexpr std::string_view kCut = "...";
constexpr auto kRelaxed = std::memory_order_relaxed;

// How many bytes a UTF-8 character has that begins with `lead`; 0 when none does (RFC 3629).
std::size_t size_by_lead(unsigned char lead) {
    if (lead < 0x80) return 1;
    if (lead < 0xc2) return 0;
    if (lead < 0xe0) return 2;
    if (lead < 0xf0) return 3;
    return lead < 0xf5 ? 4 : 0;
}

// Bytes of the UTF-8 character at the front of `text`; 0 when there is none.
std::size_t character_size(std::string_view text) {
    const auto byte = [text](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const auto size = size_by_lead(byte(0));
    if (size < 2) return size;
    if (text.size() < size) return 0;
    for (std::size_t at = 1; at < size; ++at) {
        if ((byte(at) & 0xc0U) != 0x80) return 0;
    }
    const bool is_overlong =
        (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xf0 && byte(1) < 0x90);
    const bool is_surrogate = byte(0) == 0xed && byte(1) > 0x9f;
    const bool is_too_large = byte(0) == 0xf4 && byte(1) > 0x8f;
    return is_overlong || is_surrogate || is_too_large ? 0 : size;
}

// Builds one line, never longer than kLogLineBytesMax: a text that does not fit ends in "...", and
// fields behind it are left out.
class Line {
public:
    explicit Line(LogFormat format) : is_json_(format == LogFormat::json) { text_.reserve(256); }

    void begin(Clock::Wall at, Level level, std::string_view event) {
        const auto time = to_rfc3339(at, TimeDigits::milliseconds);
        const auto name = kLevelNames[static_cast<std::size_t>(level)];
        if (is_json_) {
            text_ += fmt::format(R"({{"time":"{}","level":"{}","event":)", time, name);
            add_quoted(event);
        } else {
            text_ += fmt::format("{} {:<5} ", time, name);
            add_text(event);
        }
    }

    void add(const Field& field) {
        if (room() < field.key.size() + 48) return;  // 48: the longest number, quotes, "..."
        if (is_json_) {
            text_.append(",\"").append(field.key).append("\":");
        } else {
            text_.append(" ").append(field.key).append("=");
        }
        std::visit([this](auto value) { add_value(value); }, field.value.kinds());
    }

    std::string_view end() {
        text_ += is_json_ ? "}\n" : "\n";
        return text_;
    }

private:
    static constexpr std::size_t kTail = 8;  // "..." and what closes the line
    std::size_t room() const {
        return text_.size() + kTail < kLogLineBytesMax ? kLogLineBytesMax - kTail - text_.size()
                                                       : 0;
    }

    void add_value(bool value) { text_ += value ? "true" : "false"; }
    void add_value(std::int64_t value) { text_ += fmt::format("{}", value); }
    void add_value(std::uint64_t value) { text_ += fmt::format("{}", value); }
    void add_value(double value) {
        if (is_json_ && !std::isfinite(value)) {
            text_ += fmt::format("\"{}\"", value);
        } else {
            text_ += fmt::format("{:g}", value);
        }
    }
    void add_value(Duration value) { add_value(std::string_view(to_text(value))); }
    void add_value(std::string_view value) {
        if (is_json_) {
            add_quoted(value);
        } else {
            add_text(value);
        }
    }

    // As it is where a reader can tell its end, else quoted.
    void add_text(std::string_view value) {
        for (std::size_t at = 0; at < value.size(); ++at) {
            const char c = value[at];
            if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) {
                return add_quoted(value);  // bytes over 0x7f are negative: quoted as well
            }
        }
        if (value.empty() || value.size() > room()) return add_quoted(value);
        text_ += value;
    }

    // JSON's string; in text lines too. What is no UTF-8 becomes U+FFFD.
    void add_quoted(std::string_view value) {
        text_ += '"';
        while (!value.empty()) {
            if (room() < 8) {
                text_ += kCut;
                break;
            }
            const auto size = character_size(value);
            const char c = value[0];
            if (size == 0) {
                text_ += "\xef\xbf\xbd";
            } else if (c == '"' || c == '\\') {
                text_.append({'\\', c});
            } else if (c == '\n') {
                text_ += "\\n";
            } else if (c == '\t') {
                text_ += "\\t";
            } else if (size == 1 && (c < ' ' || c == 0x7f)) {
                text_ += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
            } else {
                text_ += value.substr(0, size);
            }
            value.remove_prefix(size == 0 ? 1 : size);
        }
        text_ += '"';
    }

    const bool is_json_;
    std::string text_;
};

std::uint64_t hash_of(std::string_view text, std::uint64_t hash) {  // FNV-1a
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    return hash;
}

template <class Word, std::size_t size>
Result<Word> parse_word(const std::string_view (&words)[size], std::string_view text,
                        std::string_view what) {
    for (std::size_t at = 0; at < size; ++at) {
        if (words[at] == text) return static_cast<Word>(at);
    }
    return fail(Errc::invalid, "{} \"{}\": accepted: {}", what, text, fmt::join(words, ", "));
}

}  // namespace

Result<Level> parse_level(std::string_view text) {
    return parse_word<Level>(kLevelNames, text, "log level");
}

Result<LogFormat> parse_log_format(std::string_view text) {
    constexpr std::string_view kFormats[] = {"text", "json"};
    return parse_word<LogFormat>(kFormats, text, "log format");
}

// How many lines each event and subject had in the second that runs. Kept in a small table by hash;
// those that share an entry share a rate, which only makes it a little stricter.
class Log::RateLimit {
public:
    struct Verdict {
        bool passes = true;
        std::uint32_t dropped_before = 0;  // to be told by the line that passes
    };

    Verdict ask(std::uint64_t hash, Clock::Monotonic now, unsigned lines_max) {
        auto& entry = entries_[hash % entries_.size()];
        const auto second = static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
        if (entry.second.exchange(second, kRelaxed) != second) entry.lines.store(0, kRelaxed);
        if (entry.lines.fetch_add(1, kRelaxed) < lines_max) {
            return {.passes = true, .dropped_before = entry.dropped.exchange(0, kRelaxed)};
        }
        entry.dropped.fetch_add(1, kRelaxed);
        total_.fetch_add(1, kRelaxed);
        return {.passes = false};
    }
    std::uint64_t total() const { return total_.load(kRelaxed); }

private:
    struct Entry {
        std::atomic<std::uint32_t> second{0};
        std::atomic<std::uint32_t> lines{0};
        std::atomic<std::uint32_t> dropped{0};
    };
    std::array<Entry, 512> entries_;
    std::atomic<std::uint64_t> total_{0};
};

Log::Log(Options options, const Clock& clock)
    : options_(options),
      clock_(clock),
      output_(std::make_unique<LogOutput>(options.fd)),
      rate_limit_(std::make_unique<RateLimit>()) {}
Log::~Log() = default;

void Log::write(Level level, std::string_view event, Fields fields) {
    if (!is_on(level) || level == Level::none) return;
    auto hash = hash_of(event, 0xcbf29ce484222325U);
    if (fields.size() > 0) {
        const auto& subject = fields.begin()->value.kinds();
        if (const auto* text = std::get_if<std::string_view>(&subject)) hash = hash_of(*text, hash);
    }
    const auto verdict = rate_limit_->ask(hash, clock_.now(), options_.repeats_max);
    if (!verdict.passes) return;

    Line line(options_.format);
    line.begin(clock_.wall(), level, event);
    for (const auto& field : fields) line.add(field);
    if (verdict.dropped_before > 0) line.add({"repeats_dropped", verdict.dropped_before});
    tell_blocked();
    send(line.end());
}

// Says how many lines were lost while nobody read, as soon as somebody does.
void Log::tell_blocked() {
    const auto blocked = blocked_.load(kRelaxed);
    if (blocked == 0) return;
    Line line(options_.format);
    line.begin(clock_.wall(), Level::warn, "log.lines_dropped");
    line.add({"count", blocked});
    if (output_->write(line.end())) blocked_.fetch_sub(blocked, kRelaxed);
}

void Log::send(std::string_view line) {
    if (output_->write(line)) return;
    blocked_.fetch_add(1, kRelaxed);
    blocked_total_.fetch_add(1, kRelaxed);
}

std::uint64_t Log::repeats_dropped() const noexcept {
    return rate_limit_->total();
}
std::uint64_t Log::lines_dropped() const noexcept {
    return blocked_total_.load(kRelaxed);
}

}  // namespace fathom::observe
