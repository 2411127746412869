#include "cli/time_layout.h"

#include <fmt/core.h>

#include <array>
#include <utility>

namespace fathom::cli {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};
constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};

struct Parts {
    int year;
    unsigned month, day, weekday, hour, minute, second, nanosecond;
};

Parts parts_of(Clock::Wall at) {
    const auto midnight = std::chrono::floor<std::chrono::days>(at);
    const std::chrono::year_month_day date(midnight);
    const std::chrono::hh_mm_ss time(at - midnight);
    return {static_cast<int>(date.year()),
            static_cast<unsigned>(date.month()),
            static_cast<unsigned>(date.day()),
            std::chrono::weekday(midnight).c_encoding(),
            static_cast<unsigned>(time.hours().count()),
            static_cast<unsigned>(time.minutes().count()),
            static_cast<unsigned>(time.seconds().count()),
            static_cast<unsigned>(time.subseconds().count())};
}

std::string fraction(unsigned nanosecond, std::size_t digits) {
    return "." + fmt::format("{:09}", nanosecond).substr(0, digits);
}

// Longer spellings before those they begin with.
using Writer = std::string (*)(const Parts&);
constexpr std::array<std::pair<std::string_view, Writer>, 30> kSpellings = {{
    {"January", [](const Parts& p) { return std::string(kMonths[p.month - 1]); }},
    {"Jan", [](const Parts& p) { return std::string(kMonths[p.month - 1].substr(0, 3)); }},
    {"Monday", [](const Parts& p) { return std::string(kDays[p.weekday]); }},
    {"Mon", [](const Parts& p) { return std::string(kDays[p.weekday].substr(0, 3)); }},
    {"MST", [](const Parts&) { return std::string("UTC"); }},
    {"2006", [](const Parts& p) { return fmt::format("{:04}", p.year); }},
    {"06", [](const Parts& p) { return fmt::format("{:02}", p.year % 100); }},
    {"01", [](const Parts& p) { return fmt::format("{:02}", p.month); }},
    {"02", [](const Parts& p) { return fmt::format("{:02}", p.day); }},
    {"03", [](const Parts& p) { return fmt::format("{:02}", (p.hour + 11) % 12 + 1); }},
    {"04", [](const Parts& p) { return fmt::format("{:02}", p.minute); }},
    {"05", [](const Parts& p) { return fmt::format("{:02}", p.second); }},
    {"15", [](const Parts& p) { return fmt::format("{:02}", p.hour); }},
    {"_2", [](const Parts& p) { return fmt::format("{:2}", p.day); }},
    {".000000000", [](const Parts& p) { return fraction(p.nanosecond, 9); }},
    {".999999999", [](const Parts& p) { return fraction(p.nanosecond, 9); }},
    {".000000", [](const Parts& p) { return fraction(p.nanosecond, 6); }},
    {".999999", [](const Parts& p) { return fraction(p.nanosecond, 6); }},
    {".000", [](const Parts& p) { return fraction(p.nanosecond, 3); }},
    {".999", [](const Parts& p) { return fraction(p.nanosecond, 3); }},
    {"Z07:00", [](const Parts&) { return std::string("Z"); }},
    {"-07:00", [](const Parts&) { return std::string("+00:00"); }},
    {"-0700", [](const Parts&) { return std::string("+0000"); }},
    {"PM", [](const Parts& p) { return std::string(p.hour < 12 ? "AM" : "PM"); }},
    {"pm", [](const Parts& p) { return std::string(p.hour < 12 ? "am" : "pm"); }},
    {"1", [](const Parts& p) { return fmt::format("{}", p.month); }},
    {"2", [](const Parts& p) { return fmt::format("{}", p.day); }},
    {"3", [](const Parts& p) { return fmt::format("{}", (p.hour + 11) % 12 + 1); }},
    {"4", [](const Parts& p) { return fmt::format("{}", p.minute); }},
    {"5", [](const Parts& p) { return fmt::format("{}", p.second); }},
}};

}  // namespace

std::string in_layout(Clock::Wall at, std::string_view layout) {
    const auto parts = parts_of(at);
    std::string text;
    while (!layout.empty()) {
        bool is_known = false;
        for (const auto& [spelling, write] : kSpellings) {
            if (!layout.starts_with(spelling)) continue;
            text += write(parts);
            layout.remove_prefix(spelling.size());
            is_known = true;
            break;
        }
        if (is_known) continue;
        text += layout.front();
        layout.remove_prefix(1);
    }
    return text;
}

}  // namespace fathom::cli
