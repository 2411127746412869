#include "watchdog/sniff.h"

#include <array>
#include <cstdint>

namespace fathom::watchdog {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kLookedAt = 512;

bool is_space(char c) {
    return c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == ' ';
}

char upper(char c) {
    return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c;
}

// HTML: the tag, whatever its case, then a space or '>'.
constexpr std::array kTags = {"<!DOCTYPE HTML"sv,
                              "<HTML"sv,
                              "<HEAD"sv,
                              "<SCRIPT"sv,
                              "<IFRAME"sv,
                              "<H1"sv,
                              "<DIV"sv,
                              "<FONT"sv,
                              "<TABLE"sv,
                              "<A"sv,
                              "<STYLE"sv,
                              "<TITLE"sv,
                              "<B"sv,
                              "<BODY"sv,
                              "<BR"sv,
                              "<P"sv,
                              "<!--"sv};

bool starts_with_tag(std::string_view text, std::string_view tag) {
    if (text.size() < tag.size() + 1) return false;
    for (std::size_t at = 0; at < tag.size(); ++at) {
        if (upper(text[at]) != tag[at]) return false;
    }
    return text[tag.size()] == ' ' || text[tag.size()] == '>';
}

// Bytes at the front; '?' matches any byte where the pattern says so.
struct Signature {
    std::string_view bytes;
    std::string_view type;
    bool has_wildcards = false;
};
constexpr std::array kSignatures = {
    Signature{"%PDF-"sv, "application/pdf"},
    Signature{"%!PS-Adobe-"sv, "application/postscript"},
    Signature{"\xfe\xff??"sv, "text/plain; charset=utf-16be", true},
    Signature{"\xff\xfe??"sv, "text/plain; charset=utf-16le", true},
    Signature{"\xef\xbb\xbf?"sv, "text/plain; charset=utf-8", true},
    Signature{"\0\0\1\0"sv, "image/x-icon"},
    Signature{"\0\0\2\0"sv, "image/x-icon"},
    Signature{"BM"sv, "image/bmp"},
    Signature{"GIF87a"sv, "image/gif"},
    Signature{"GIF89a"sv, "image/gif"},
    Signature{"RIFF????WEBPVP"sv, "image/webp", true},
    Signature{"\x89PNG\r\n\x1a\n"sv, "image/png"},
    Signature{"\xff\xd8\xff"sv, "image/jpeg"},
    Signature{"FORM????AIFF"sv, "audio/aiff", true},
    Signature{"ID3"sv, "audio/mpeg"},
    Signature{"OggS\0"sv, "application/ogg"},
    Signature{"MThd\0\0\0\6"sv, "audio/midi"},
    Signature{"RIFF????AVI "sv, "video/avi", true},
    Signature{"RIFF????WAVE"sv, "audio/wave", true},
    Signature{"\x1a\x45\xdf\xa3"sv, "video/webm"},
    Signature{"\0\1\0\0"sv, "font/ttf"},
    Signature{"OTTO"sv, "font/otf"},
    Signature{"ttcf"sv, "font/collection"},
    Signature{"wOFF"sv, "font/woff"},
    Signature{"wOF2"sv, "font/woff2"},
    Signature{"\x1f\x8b\x08"sv, "application/x-gzip"},
    Signature{"PK\3\4"sv, "application/zip"},
    Signature{"Rar!\x1a\7\0"sv, "application/x-rar-compressed"},
    Signature{"Rar!\x1a\7\1\0"sv, "application/x-rar-compressed"},
    Signature{"\0asm"sv, "application/wasm"},
};

bool matches(std::string_view body, const Signature& signature) {
    if (body.size() < signature.bytes.size()) return false;
    for (std::size_t at = 0; at < signature.bytes.size(); ++at) {
        const bool is_any = signature.has_wildcards && signature.bytes[at] == '?';
        if (!is_any && body[at] != signature.bytes[at]) return false;
    }
    return true;
}

// The first box is `ftyp` and one of its brands begins with "mp4".
bool is_mp4(std::string_view body) {
    if (body.size() < 12) return false;
    std::uint32_t box = 0;
    for (int at = 0; at < 4; ++at) box = box << 8 | static_cast<unsigned char>(body[at]);
    if (box % 4 != 0 || body.size() < box || body.substr(4, 4) != "ftyp") return false;
    for (std::size_t brand = 8; brand + 3 <= box; brand += 4) {
        if (brand != 12 && body.substr(brand, 3) == "mp4") return true;  // 12: the version
    }
    return false;
}

bool is_text(std::string_view body) {
    for (const char each : body) {
        const auto c = static_cast<unsigned char>(each);
        if (c <= 0x08 || c == 0x0b || (c >= 0x0e && c <= 0x1a) || (c >= 0x1c && c <= 0x1f)) {
            return false;
        }
    }
    return true;
}

}  // namespace

std::string_view sniff_content_type(std::string_view body) {
    body = body.substr(0, kLookedAt);
    auto text = body;
    while (!text.empty() && is_space(text[0])) text.remove_prefix(1);
    for (const auto tag : kTags) {
        if (starts_with_tag(text, tag)) return "text/html; charset=utf-8";
    }
    if (text.starts_with("<?xml")) return "text/xml; charset=utf-8";
    for (const auto& signature : kSignatures) {
        if (matches(body, signature)) return signature.type;
    }
    if (is_mp4(body)) return "video/mp4";
    return is_text(text) ? "text/plain; charset=utf-8" : "application/octet-stream";
}

}  // namespace fathom::watchdog
