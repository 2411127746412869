// The log: events with fields, one line each.
//
//     log.info("replica.ready", {{"function", name}, {"cold_start_ms", ms}});
//
//     2026-11-21T12:46:37.123Z info  replica.ready function=echo cold_start_ms=3
//
//   error  someone should act        warn   we coped
//   info   lifecycle, never per call debug  anything
//
// The first field is the subject (which function, which file). Lines that repeat, same event and
// same subject, are held back beyond a rate, and the next one that passes says how many were
// (repeats_dropped=). A line is one write of at most 4 KiB, so lines never mix; where the write
// would block, the line is dropped and counted instead (log.lines_dropped). Safe on every thread.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "core/ports.h"
#include "core/result.h"

namespace fathom::observe {

enum class Level : std::uint8_t { debug, info, warn, error, none };
enum class LogFormat : std::uint8_t { text, json };

// Errors: invalid    names the accepted words
Result<Level> parse_level(std::string_view text);
Result<LogFormat> parse_log_format(std::string_view text);

// A text that must not be seen: logs and fmt print ***. reveal() is the only way in.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string text) : text_(std::move(text)) {}
    const std::string& reveal() const { return text_; }
    friend bool operator==(const Secret&, const Secret&) = default;

private:
    std::string text_;
};
// The value of a field. Borrows texts for the length of the statement.
class Value {
public:
    Value(std::string_view text) : value_(text) {}
    Value(const std::string& text) : value_(std::string_view(text)) {}
    Value(const char* text) : value_(std::string_view(text)) {}
    Value(bool truth) : value_(truth) {}
    Value(double number) : value_(number) {}
    Value(std::integral auto number) {
        if constexpr (std::is_signed_v<decltype(number)>) {
            value_ = static_cast<std::int64_t>(number);
        } else {
            value_ = static_cast<std::uint64_t>(number);
        }
    }
    Value(Duration duration) : value_(duration) {}  // as "1.5s"
    Value(const Error& error) : value_(std::string_view(error.message())) {}
    Value(const Secret& /*secret*/) : value_(std::string_view("***")) {}

    using Kinds =
        std::variant<std::string_view, bool, std::int64_t, std::uint64_t, double, Duration>;
    const Kinds& kinds() const { return value_; }

private:
    Kinds value_;
};

struct Field {
    std::string_view key;  // snake_case, the unit last
    Value value;
};
using Fields = std::initializer_list<Field>;

inline constexpr std::size_t kLogLineBytesMax = 4096;  // PIPE_BUF; longer lines are cut, with "..."

class LogOutput;

class Log {
public:
    struct Options {
        int fd = 2;  // borrowed; its flags stay as they are
        LogFormat format = LogFormat::text;
        Level level = Level::info;  // the least that is written
        unsigned repeats_max = 20;  // lines of one event and subject a second
    };
    // Made while the fd may be opened anew (before privileges are dropped).
    Log(Options options, const Clock& clock);
    // One that writes nothing.
    static Options quiet() { return {.fd = -1, .level = Level::none}; }
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    void debug(std::string_view event, Fields fields = {}) { write(Level::debug, event, fields); }
    void info(std::string_view event, Fields fields = {}) { write(Level::info, event, fields); }
    void warn(std::string_view event, Fields fields = {}) { write(Level::warn, event, fields); }
    void error(std::string_view event, Fields fields = {}) { write(Level::error, event, fields); }
    void write(Level level, std::string_view event, Fields fields);

    bool is_on(Level level) const noexcept { return level >= options_.level; }

    // Lines so far that were held back as repeats, and that found the fd blocked or broken.
    std::uint64_t repeats_dropped() const noexcept;
    std::uint64_t lines_dropped() const noexcept;

private:
    class RateLimit;

    void tell_blocked();
    void send(std::string_view line);

    const Options options_;
    const Clock& clock_;
    std::unique_ptr<LogOutput> output_;
    std::unique_ptr<RateLimit> rate_limit_;
    std::atomic<std::uint64_t> blocked_total_{0};
    std::atomic<std::uint64_t> blocked_{0};  // not reported yet
};

}  // namespace fathom::observe

template <>
struct fmt::formatter<fathom::observe::Secret> : fmt::formatter<fmt::string_view> {
    auto format(const fathom::observe::Secret& /*secret*/, fmt::format_context& context) const {
        return fmt::formatter<fmt::string_view>::format("***", context);
    }
};
