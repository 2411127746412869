#include "http/head.h"

#include <algorithm>
#include <chrono>

namespace fathom::http {
namespace {

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

// `name` consists of token characters, so that OR-ing 0x20 maps onto a letter or '-' only what is
// that letter or '-'.
template <std::size_t N>
bool is_name(std::string_view name, const char (&lower_case)[N]) noexcept {
    if (name.size() != N - 1) return false;
    unsigned different = 0;
    for (std::size_t i = 0; i < N - 1; ++i) {
        different |= static_cast<unsigned>((name[i] | 0x20) ^ lower_case[i]);
    }
    return different == 0;
}

// The next member of a comma list, and takes it off `list`.
std::string_view take_member(std::string_view& list) noexcept {
    const auto comma = list.find(',');
    auto member = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    while (!member.empty() && (member.front() == ' ' || member.front() == '\t')) {
        member.remove_prefix(1);
    }
    while (!member.empty() && (member.back() == ' ' || member.back() == '\t')) {
        member.remove_suffix(1);
    }
    return member;
}

bool is_named_in_connection(const Headers& headers, std::string_view name) noexcept {
    for (const auto& header : headers) {
        if (field_of(header.name) != Field::connection) continue;
        for (auto list = header.value; !list.empty();) {
            if (equals_ignoring_case(take_member(list), name)) return true;
        }
    }
    return false;
}

int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
               return x == y || lower(x) == lower(y);
           });
}

std::optional<std::string_view> Headers::find(std::string_view name) const noexcept {
    for (const auto& field : fields_) {
        if (equals_ignoring_case(field.name, name)) return field.value;
    }
    return std::nullopt;
}

std::size_t Headers::count(std::string_view name) const noexcept {
    return static_cast<std::size_t>(std::ranges::count_if(
        fields_, [&](const Header& field) { return equals_ignoring_case(field.name, name); }));
}

Field field_of(std::string_view name) noexcept {
    switch (name.size()) {
        case 2:
            return is_name(name, "te") ? Field::te : Field::other;
        case 4:
            if (is_name(name, "host")) return Field::host;
            return is_name(name, "date") ? Field::date : Field::other;
        case 6:
            if (is_name(name, "server")) return Field::server;
            return is_name(name, "expect") ? Field::expect : Field::other;
        case 7:
            if (is_name(name, "upgrade")) return Field::upgrade;
            return is_name(name, "trailer") ? Field::trailer : Field::other;
        case 10:
            if (is_name(name, "connection")) return Field::connection;
            return is_name(name, "keep-alive") ? Field::keep_alive : Field::other;
        case 14:
            return is_name(name, "content-length") ? Field::content_length : Field::other;
        case 16:
            return is_name(name, "proxy-connection") ? Field::proxy_connection : Field::other;
        case 17:
            return is_name(name, "transfer-encoding") ? Field::transfer_encoding : Field::other;
        case 18:
            return is_name(name, "proxy-authenticate") ? Field::proxy_authenticate : Field::other;
        case 19:
            return is_name(name, "proxy-authorization") ? Field::proxy_authorization : Field::other;
        default:
            return Field::other;
    }
}

bool is_hop_by_hop(Field field) noexcept {
    switch (field) {
        case Field::connection:
        case Field::keep_alive:
        case Field::proxy_authenticate:
        case Field::proxy_authorization:
        case Field::proxy_connection:
        case Field::te:
        case Field::trailer:
        case Field::transfer_encoding:
        case Field::upgrade:
            return true;
        default:
            return false;
    }
}

void add_end_to_end(Headers& to, const Headers& from) {
    bool has_named = false;
    for (const auto& header : from) {
        has_named |= field_of(header.name) == Field::connection &&
                     !equals_ignoring_case(header.value, "close") &&
                     !equals_ignoring_case(header.value, "keep-alive");
    }
    to.reserve(to.size() + from.size() + 8);  // senders add a few of their own
    for (const auto& header : from) {
        if (is_hop_by_hop(header.name)) continue;
        if (has_named && is_named_in_connection(from, header.name)) continue;
        to.add(header.name, header.value);
    }
}

std::string_view reason_of(int status) noexcept {
    switch (status) {
        case 100:
            return "Continue";
        case 101:
            return "Switching Protocols";
        case 103:
            return "Early Hints";
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 202:
            return "Accepted";
        case 203:
            return "Non-Authoritative Information";
        case 204:
            return "No Content";
        case 205:
            return "Reset Content";
        case 206:
            return "Partial Content";
        case 300:
            return "Multiple Choices";
        case 301:
            return "Moved Permanently";
        case 302:
            return "Found";
        case 303:
            return "See Other";
        case 304:
            return "Not Modified";
        case 307:
            return "Temporary Redirect";
        case 308:
            return "Permanent Redirect";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 402:
            return "Payment Required";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 406:
            return "Not Acceptable";
        case 407:
            return "Proxy Authentication Required";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 410:
            return "Gone";
        case 411:
            return "Length Required";
        case 412:
            return "Precondition Failed";
        case 413:
            return "Content Too Large";
        case 414:
            return "URI Too Long";
        case 415:
            return "Unsupported Media Type";
        case 416:
            return "Range Not Satisfiable";
        case 417:
            return "Expectation Failed";
        case 421:
            return "Misdirected Request";
        case 422:
            return "Unprocessable Content";
        case 425:
            return "Too Early";
        case 426:
            return "Upgrade Required";
        case 428:
            return "Precondition Required";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        case 505:
            return "HTTP Version Not Supported";
        case 507:
            return "Insufficient Storage";
        default:
            return "";
    }
}

std::array<char, 29> date_text(Clock::Wall time) noexcept {
    using namespace std::chrono;
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock{floor<std::chrono::seconds>(time - day)};
    constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
    constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

    std::array<char, 29> text{};
    auto* out = text.data();
    auto put = [&](std::string_view piece) { out = std::ranges::copy(piece, out).out; };
    auto put_two = [&](long long number) {
        *out++ = static_cast<char>('0' + number / 10 % 10);
        *out++ = static_cast<char>('0' + number % 10);
    };
    put(kDays.substr(std::size_t{weekday{day}.c_encoding()} * 3, 3));
    put(", ");
    put_two(static_cast<unsigned>(date.day()));
    put(" ");
    put(kMonths.substr(std::size_t{static_cast<unsigned>(date.month()) - 1} * 3, 3));
    put(" ");
    const int year = static_cast<int>(date.year());
    put_two(year / 100);
    put_two(year % 100);
    put(" ");
    put_two(clock.hours().count());
    put(":");
    put_two(clock.minutes().count());
    put(":");
    put_two(clock.seconds().count());
    put(" GMT");
    return text;
}

Result<std::string> percent_decode(std::string_view text, Plus plus) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '%') {
            const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return fail(Errc::invalid,
                            "\"{}\" has a % that two hexadecimal digits do not follow", text);
            }
            c = static_cast<char>(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus == Plus::is_space) {
            c = ' ';
        }
        if (c == '\0') return fail(Errc::invalid, "a NUL byte is not accepted in a path or query");
        decoded.push_back(c);
    }
    return decoded;
}

std::optional<std::string> query_value(std::string_view query, std::string_view key) {
    std::optional<std::string> found;
    while (!query.empty()) {
        const auto end = query.find('&');
        const auto pair = query.substr(0, end);
        query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
        const auto equals = pair.find('=');
        const auto name = percent_decode(pair.substr(0, equals), Plus::is_space);
        if (!name || *name != key) continue;
        auto value = percent_decode(
            equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1),
            Plus::is_space);
        if (value) found = std::move(*value);
    }
    return found;
}

}  // namespace fathom::http
