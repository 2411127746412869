#include "core/ids.h"

namespace fathom {
namespace {
constexpr char kHex[] = "0123456789abcdef";
}

Uuid Uuid::random(Random& random) {
    auto high = random.next();
    auto low = random.next();
    high = (high & ~0xf000ULL) | 0x4000ULL;      // version 4
    low = (low & ~(3ULL << 62)) | (2ULL << 62);  // variant 10
    Uuid id;
    char* out = id.text_.data();
    for (int digit = 0; digit < 32; ++digit) {
        if (digit == 8 || digit == 12 || digit == 16 || digit == 20) *out++ = '-';
        const auto word = digit < 16 ? high : low;
        *out++ = kHex[(word >> (60 - 4 * (digit % 16))) & 15U];
    }
    return id;
}

std::string to_hex(std::string_view bytes) {
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const auto byte : bytes) {
        text += kHex[static_cast<unsigned char>(byte) >> 4];
        text += kHex[static_cast<unsigned char>(byte) & 15U];
    }
    return text;
}

}  // namespace fathom
