#include "gateway/auth.h"

#include <cstdint>

namespace fathom::gateway {
namespace {

int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
}

bool equals_in_constant_time(std::string_view given, std::string_view expected) {
    // The length is no secret worth keeping; where they first differ is.
    unsigned difference = given.size() == expected.size() ? 0 : 1;
    for (std::size_t i = 0; i < given.size(); ++i) {
        const auto other = expected.empty() ? '\0' : expected[i % expected.size()];
        difference |= static_cast<unsigned char>(given[i] ^ other);
    }
    return difference == 0;
}

}  // namespace

std::string decode_base64(std::string_view text) {
    while (text.ends_with('=')) text.remove_suffix(1);
    std::string bytes;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const int value = base64_value(c);
        if (value < 0) return {};
        bits = (bits << 6) | static_cast<std::uint32_t>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes += static_cast<char>((bits >> count) & 0xffU);
        }
    }
    return bytes;
}

bool is_authorized(std::string_view authorization, const Credentials& credentials) {
    if (!credentials.is_required) return true;
    constexpr std::string_view kScheme = "Basic ";
    if (authorization.size() <= kScheme.size() ||
        !http::equals_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
        return false;
    }
    const auto pair = decode_base64(authorization.substr(kScheme.size()));
    const auto expected = credentials.user + ":" + credentials.password;
    return equals_in_constant_time(pair, expected);
}

}  // namespace fathom::gateway
