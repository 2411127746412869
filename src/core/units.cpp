#include "core/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace fathom {
namespace {

struct Scale {
    std::string_view suffix;
    long double factor;
};

constexpr std::array<Scale, 15> kByteScales = {{
    {"Ki", 0x1p10L},
    {"Mi", 0x1p20L},
    {"Gi", 0x1p30L},
    {"Ti", 0x1p40L},
    {"Pi", 0x1p50L},
    {"Ei", 0x1p60L},
    {"k", 1e3L},
    {"K", 1e3L},
    {"M", 1e6L},
    {"G", 1e9L},
    {"T", 1e12L},
    {"P", 1e15L},
    {"E", 1e18L},
    {"m", 1e-3L},
    {"", 1.0L},
}};

// Go's units, longest first where one is the beginning of another.
struct TimeUnit {
    std::string_view name;
    std::int64_t nanoseconds;
};
constexpr std::array<TimeUnit, 8> kTimeUnits = {{{"ns", 1},
                                                 {"us", 1'000},
                                                 {"\u00b5s", 1'000},
                                                 {"\u03bcs", 1'000},
                                                 {"ms", 1'000'000},
                                                 {"s", 1'000'000'000},
                                                 {"m", 60'000'000'000},
                                                 {"h", 3'600'000'000'000}}};
constexpr long double kDurationMaxNs = 100.0L * 365 * 24 * 3600 * 1e9L;

// Takes a leading unsigned decimal number off `text`; an exponent only where `exponent` allows.
enum class Exponent { allowed, none };
std::optional<long double> take_number(std::string_view& text, Exponent exponent) {
    if (text.empty() || !((text[0] >= '0' && text[0] <= '9') || text[0] == '.')) return {};
    const auto format =
        exponent == Exponent::allowed ? std::chars_format::general : std::chars_format::fixed;
    long double number = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, format);
    if (error != std::errc()) return {};
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

std::optional<long double> parse_scaled(std::string_view text) {
    const auto number = take_number(text, Exponent::allowed);
    if (!number) return {};
    for (const auto& scale : kByteScales) {
        if (text == scale.suffix) return *number * scale.factor;
    }
    return {};
}

// 1500 in units of 1000 is "1.5"; exact, and never with an exponent.
std::string in_units(std::uint64_t count, std::uint64_t unit) {
    auto text = fmt::format("{}", count / unit);
    auto left = count % unit;
    if (left > 0) text += '.';
    for (; left > 0; left %= unit) {
        unit /= 10;
        text += static_cast<char>('0' + left / unit);
    }
    return text;
}

}  // namespace

Result<Bytes> parse_bytes(std::string_view text) {
    const auto value = parse_scaled(text);
    if (!value || *value > 0x1p63L - 1) {
        return fail(Errc::invalid,
                    "\"{}\" is not a size; accepted: a number with Ki, Mi, Gi, k, M, G or nothing, "
                    "such as 128Mi",
                    text);
    }
    return static_cast<Bytes>(std::ceil(*value));
}

Result<Millicores> parse_cpu(std::string_view text) {
    const auto value = parse_scaled(text);
    if (!value || *value > 1e6L) {
        return fail(Errc::invalid,
                    "\"{}\" is not an amount of CPU; accepted: cores such as 0.5 or 2, or "
                    "millicores such as 100m",
                    text);
    }
    return Millicores{static_cast<std::int64_t>(std::ceil(*value * 1000 - 1e-9L))};
}

Result<Duration> parse_duration(std::string_view text, BareSeconds bare) {
    const auto refuse = [whole = text] {
        return fail(Errc::invalid, "\"{}\" is not a duration; accepted: such as 30s, 1m30s, 100ms",
                    whole);
    };
    if (text == "0") return Duration{0};
    if (bare == BareSeconds::accepted && !text.empty() &&
        text.find_first_not_of("0123456789") == std::string_view::npos) {
        std::int64_t count = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
        if (error != std::errc() || static_cast<long double>(count) * 1e9L > kDurationMaxNs) {
            return refuse();
        }
        return Duration{count * 1'000'000'000};
    }
    if (text.empty()) return refuse();

    long double total = 0;
    while (!text.empty()) {
        const auto number = take_number(text, Exponent::none);
        if (!number) return refuse();
        const TimeUnit* unit = nullptr;
        for (const auto& candidate : kTimeUnits) {
            if (text.starts_with(candidate.name) &&
                (unit == nullptr || candidate.name.size() > unit->name.size())) {
                unit = &candidate;
            }
        }
        if (unit == nullptr) return refuse();
        text.remove_prefix(unit->name.size());
        total += *number * static_cast<long double>(unit->nanoseconds);
        if (total > kDurationMaxNs) return refuse();
    }
    return Duration{static_cast<std::int64_t>(std::llround(total))};
}

std::string to_text(Duration duration) {
    if (duration == Duration::zero()) return "0s";
    const bool is_negative = duration.count() < 0;
    // The distance from 0 of the most negative number fits only without a sign.
    const auto count = static_cast<std::uint64_t>(duration.count());
    auto left = is_negative ? 0 - count : count;
    std::string text = is_negative ? "-" : "";
    if (left < 1'000) return text + fmt::format("{}ns", left);
    if (left < 1'000'000) return text + in_units(left, 1'000) + "us";
    if (left < 1'000'000'000) return text + in_units(left, 1'000'000) + "ms";
    const auto hours = left / 3'600'000'000'000;
    left %= 3'600'000'000'000;
    const auto minutes = left / 60'000'000'000;
    left %= 60'000'000'000;
    if (hours > 0) text += fmt::format("{}h", hours);
    if (hours > 0 || minutes > 0) text += fmt::format("{}m", minutes);
    return text + in_units(left, 1'000'000'000) + "s";
}

}  // namespace fathom
