// Classes of bytes, and fast runs over them. Private to the reader.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace fathom::http {

enum ByteClass : std::uint8_t {
    kToken = 1,   // RFC 9110 section 5.6.2
    kTarget = 2,  // of a request target: visible, not '#'; bytes over 127 as clients send them
    kValue = 4,   // of a field value: visible, space, tab, bytes over 127 (RFC 9110 section 5.5)
    kHost = 8,    // of a registered name: unreserved, sub-delims, '%' (RFC 3986 section 3.2.2)
};

inline constexpr std::array<std::uint8_t, 256> kByteClasses = [] {
    std::array<std::uint8_t, 256> classes{};
    for (unsigned c = 0; c < 256; ++c) {
        const bool is_alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool is_digit = c >= '0' && c <= '9';
        const char byte = static_cast<char>(c);
        constexpr std::string_view kTokenMarks = "!#$%&'*+-.^_`|~";
        constexpr std::string_view kHostMarks = "-._~!$&'()*+,;=%";
        unsigned bits = 0;
        if (is_alpha || is_digit || kTokenMarks.contains(byte)) bits |= kToken;
        if (c > ' ' && c != 0x7f && c != '#') bits |= kTarget;
        if ((c >= ' ' && c != 0x7f) || c == '\t') bits |= kValue;
        if (is_alpha || is_digit || kHostMarks.contains(byte)) bits |= kHost;
        classes[c] = static_cast<std::uint8_t>(bits);
    }
    return classes;
}();

constexpr bool is_of(char c, ByteClass byte_class) noexcept {
    return (kByteClasses[static_cast<unsigned char>(c)] & byte_class) != 0;
}

// The first byte in [at, end) that is not of `byte_class`, or `end`.
inline const char* skip(const char* at, const char* end, ByteClass byte_class) noexcept {
    while (at != end && is_of(*at, byte_class)) ++at;
    return at;
}

// The same for kValue, 16 bytes at a time.
inline const char* skip_value(const char* at, const char* end) noexcept {
#if defined(__SSE2__)
    const __m128i unit_separator = _mm_set1_epi8(0x1f);
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i del = _mm_set1_epi8(0x7f);
    while (end - at >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const __m128i is_control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, unit_separator), bytes);
        const __m128i is_bad = _mm_or_si128(
            _mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), is_control), _mm_cmpeq_epi8(bytes, del));
        const int mask = _mm_movemask_epi8(is_bad);
        if (mask != 0) return at + __builtin_ctz(static_cast<unsigned>(mask));
        at += 16;
    }
#endif
    return skip(at, end, kValue);
}

}  // namespace fathom::http
