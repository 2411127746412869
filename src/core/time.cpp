#include "core/time.h"

#include <chrono>
#include <optional>

namespace fathom {
namespace {

constexpr std::string_view kGoZeroTime = "0001-01-01T00:00:00Z";

// Takes `digits` decimal digits and, unless it is 0, the character `after` off the front.
std::optional<int> take(std::string_view& text, std::size_t digits, char after) {
    const auto size = digits + (after == 0 ? 0 : 1);
    if (text.size() < size || (after != 0 && text[digits] != after)) return {};
    int number = 0;
    for (const auto c : text.substr(0, digits)) {
        if (c < '0' || c > '9') return {};
        number = number * 10 + (c - '0');
    }
    text.remove_prefix(size);
    return number;
}

// "." and digits, or nothing at all. What is finer than a nanosecond is dropped.
std::optional<Duration> take_fraction(std::string_view& text) {
    if (!text.starts_with('.')) return Duration::zero();
    text.remove_prefix(1);
    if (text.empty() || text[0] < '0' || text[0] > '9') return {};
    std::int64_t nanoseconds = 0;
    std::int64_t unit = 100'000'000;
    while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
        nanoseconds += (text[0] - '0') * unit;
        unit /= 10;
        text.remove_prefix(1);
    }
    return Duration(nanoseconds);
}

// "Z" or "+hh:mm", the whole rest.
std::optional<Duration> take_offset(std::string_view text) {
    if (text == "Z" || text == "z") return Duration::zero();
    if (text.size() != 6 || (text[0] != '+' && text[0] != '-')) return {};
    const int sign = text[0] == '-' ? -1 : 1;
    text.remove_prefix(1);
    const auto hours = take(text, 2, ':');
    const auto minutes = take(text, 2, 0);
    if (!hours || !minutes || *hours > 23 || *minutes > 59) return {};
    return sign * (std::chrono::hours(*hours) + std::chrono::minutes(*minutes));
}

std::optional<Clock::Wall> parse(std::string_view text) {
    const auto year = take(text, 4, '-');
    const auto month = take(text, 2, '-');
    const auto day = take(text, 2, 'T');
    const auto hour = take(text, 2, ':');
    const auto minute = take(text, 2, ':');
    const auto second = take(text, 2, 0);
    if (!year || !month || !day || !hour || !minute || !second) return {};
    const auto date = std::chrono::year(*year) / *month / *day;
    if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return {};
    if (*year < 1678 || *year > 2261) return {};  // what 64 bits of nanoseconds hold

    const auto fraction = take_fraction(text);
    const auto offset = take_offset(text);
    if (!fraction || !offset) return {};
    return Clock::Wall(std::chrono::sys_days(date)) + std::chrono::hours(*hour) +
           std::chrono::minutes(*minute) + std::chrono::seconds(*second) + *fraction - *offset;
}

}  // namespace

std::string to_rfc3339(Clock::Wall at, TimeDigits digits) {
    if (at == Clock::Wall{}) return std::string(kGoZeroTime);
    const auto midnight = std::chrono::floor<std::chrono::days>(at);
    const std::chrono::year_month_day date(midnight);
    const std::chrono::hh_mm_ss time(at - midnight);
    auto text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                            static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                            time.hours().count(), time.minutes().count(), time.seconds().count());
    const auto nanoseconds = time.subseconds().count();
    if (digits == TimeDigits::milliseconds) text += fmt::format(".{:03}", nanoseconds / 1'000'000);
    if (digits == TimeDigits::nanoseconds) text += fmt::format(".{:09}", nanoseconds);
    return text + "Z";
}

Result<Clock::Wall> parse_rfc3339(std::string_view text) {
    if (text == kGoZeroTime) return Clock::Wall{};
    if (const auto time = parse(text)) return *time;
    return fail(Errc::invalid,
                "\"{}\" is not a time; accepted: RFC 3339 such as 2026-11-21T12:46:37Z", text);
}

}  // namespace fathom
