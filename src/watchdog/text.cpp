#include "watchdog/text.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

namespace fathom::watchdog {
namespace {

bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

// The next letter of a canonical field name; `at_start` of a word.
char canonical(char c, bool at_start) {
    if (at_start && is_lower(c)) return char(c - 'a' + 'A');
    if (!at_start && is_upper(c)) return char(c - 'A' + 'a');
    return c;
}

void append_canonical(std::string& out, std::string_view name, char hyphen) {
    bool at_start = true;
    for (const char c : name) {
        out += c == '-' ? hyphen : canonical(c, at_start);
        at_start = c == '-';
    }
}

void append_padded(std::string& out, std::uint64_t number, int digits) {
    std::array<char, 20> text;
    for (int at = digits - 1; at >= 0; --at, number /= 10) text[at] = char('0' + number % 10);
    out.append(text.data(), digits);
}

// The length of a well-formed UTF-8 sequence at the front of `text`, or 0.
std::size_t utf8_length(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
    for (std::size_t at = 1; at < length; ++at) {
        if ((static_cast<unsigned char>(text[at]) & 0xc0) != 0x80) return 0;
    }
    const auto second = static_cast<unsigned char>(text[1]);
    const bool is_overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
    const bool is_outside = (lead == 0xed && second > 0x9f) || (lead == 0xf4 && second > 0x8f);
    return is_overlong || is_outside ? 0 : length;
}

}  // namespace

void append_number(std::string& out, std::int64_t number) {
    std::array<char, 20> text;
    const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), number);
    out.append(text.data(), end);
}

void append_seconds(std::string& out, Duration duration, int decimals) {
    std::int64_t unit = 1;  // nanoseconds of the last digit
    for (int digit = decimals; digit < 9; ++digit) unit *= 10;
    const std::int64_t per_second = 1'000'000'000 / unit;
    const std::int64_t units = (duration.count() + unit / 2) / unit;
    append_number(out, units / per_second);
    out += '.';
    append_padded(out, static_cast<std::uint64_t>(units % per_second), decimals);
}

std::string seconds_text(Duration duration, int decimals) {
    std::string text;
    append_seconds(text, duration, decimals);
    return text;
}

void append_size(std::string& out, std::int64_t bytes) {
    static constexpr std::array<std::string_view, 7> kUnits = {"B",  "kB", "MB", "GB",
                                                               "TB", "PB", "EB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1000.0 && unit + 1 < kUnits.size(); ++unit) value /= 1000.0;
    // Four significant digits, without the zeros at the end.
    const int decimals = value >= 100 ? 1 : value >= 10 ? 2 : 3;
    std::int64_t scale = 1;
    for (int digit = 0; digit < decimals; ++digit) scale *= 10;
    const auto scaled = static_cast<std::int64_t>(value * static_cast<double>(scale) + 0.5);
    append_number(out, bytes < 0 ? bytes : scaled / scale);
    if (bytes >= 0 && scaled % scale != 0) {
        out += '.';
        append_padded(out, static_cast<std::uint64_t>(scaled % scale), decimals);
        while (out.back() == '0') out.pop_back();
    }
    out += kUnits[unit];
}

void append_log_time(std::string& out, Clock::Wall time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
    append_padded(out, static_cast<std::uint64_t>(static_cast<int>(date.year())), 4);
    out += '/';
    append_padded(out, static_cast<unsigned>(date.month()), 2);
    out += '/';
    append_padded(out, static_cast<unsigned>(date.day()), 2);
    out += ' ';
    append_padded(out, static_cast<std::uint64_t>(clock.hours().count()), 2);
    out += ':';
    append_padded(out, static_cast<std::uint64_t>(clock.minutes().count()), 2);
    out += ':';
    append_padded(out, static_cast<std::uint64_t>(clock.seconds().count()), 2);
}

void append_variable_name(std::string& out, std::string_view field_name) {
    append_canonical(out, field_name, '_');
}

std::string canonical_name(std::string_view field_name) {
    std::string name;
    append_canonical(name, field_name, '-');
    return name;
}

void append_base64(std::string& out, std::string_view bytes) {
    static constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const auto group = bytes.substr(at, 3);
        std::uint32_t bits = 0;
        for (std::size_t byte = 0; byte < 3; ++byte) {
            bits <<= 8;
            if (byte < group.size()) bits |= static_cast<unsigned char>(group[byte]);
        }
        for (std::size_t digit = 0; digit < 4; ++digit) {
            const bool is_padding = digit > group.size();
            out += is_padding ? '=' : kDigits[(bits >> (18 - 6 * digit)) & 63];
        }
    }
}

void append_json(std::string& out, std::string_view text) {
    static constexpr std::string_view kHex = "0123456789abcdef";
    out += '"';
    while (!text.empty()) {
        const auto length = utf8_length(text);
        const auto c = static_cast<unsigned char>(text[0]);
        if (length == 0) {
            out += "\\ufffd";
        } else if (c == '"' || c == '\\') {
            out += '\\';
            out += char(c);
        } else if (c < 0x20 || c == '<' || c == '>' || c == '&') {
            out += "\\u00";
            out += kHex[c >> 4];
            out += kHex[c & 15];
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
    out += '"';
}

void write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto count = ::write(fd, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return;
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
}

}  // namespace fathom::watchdog
