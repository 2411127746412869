#include "function/glob.h"

#include <algorithm>
#include <bitset>
#include <string>
#include <vector>

namespace fathom::function {
namespace {

// One element of a pattern: any number of bytes, or one byte out of a set.
struct Element {
    bool is_star = false;
    std::bitset<256> bytes;
};

Element one_byte(char c) {
    Element element;
    element.bytes.set(static_cast<unsigned char>(c));
    return element;
}

// The class at the front of `pattern` ("[...]"), taken off. One that is not closed is a plain '['.
Element take_class(std::string_view& pattern) {
    std::size_t at = 1;
    const bool is_negated = at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^');
    if (is_negated) ++at;
    const auto close = pattern.find(']', at + 1);  // a ']' in front stands for itself
    if (close == std::string_view::npos) {
        pattern.remove_prefix(1);
        return one_byte('[');
    }
    Element element;
    for (; at < close; ++at) {
        const unsigned low = static_cast<unsigned char>(pattern[at]);
        unsigned high = low;
        if (at + 2 < close && pattern[at + 1] == '-') {
            high = static_cast<unsigned char>(pattern[at + 2]);
            at += 2;
        }
        for (auto byte = low; byte <= high; ++byte) element.bytes.set(byte);
    }
    if (is_negated) element.bytes.flip();
    pattern.remove_prefix(close + 1);
    return element;
}

std::vector<Element> read_pattern(std::string_view pattern) {
    std::vector<Element> elements;
    while (!pattern.empty()) {
        if (pattern[0] == '[') {
            elements.push_back(take_class(pattern));
            continue;
        }
        if (pattern[0] == '*') {
            elements.push_back({.is_star = true, .bytes = {}});
        } else if (pattern[0] == '?') {
            elements.push_back({.is_star = false, .bytes = std::bitset<256>().set()});
        } else {
            if (pattern[0] == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
            elements.push_back(one_byte(pattern[0]));
        }
        pattern.remove_prefix(1);
    }
    return elements;
}

// Which beginnings of `text` the elements match: one flag for each length, one pass per element.
std::vector<char> matching_lengths(const std::vector<Element>& elements, std::string_view text) {
    std::vector<char> reached(text.size() + 1, 0);
    reached[0] = 1;
    for (const auto& element : elements) {
        if (element.is_star) {
            const auto first = std::ranges::find(reached, 1);
            std::fill(first, reached.end(), 1);
            continue;
        }
        for (auto length = text.size(); length > 0; --length) {
            const auto byte = static_cast<unsigned char>(text[length - 1]);
            reached[length] = reached[length - 1] != 0 && element.bytes[byte] ? 1 : 0;
        }
        reached[0] = 0;
    }
    return reached;
}

std::optional<std::size_t> pick(const std::vector<char>& lengths, GlobMatch which) {
    if (which == GlobMatch::shortest) {
        const auto first = std::ranges::find(lengths, 1);
        if (first == lengths.end()) return {};
        return static_cast<std::size_t>(first - lengths.begin());
    }
    const auto last = std::find(lengths.rbegin(), lengths.rend(), 1);
    if (last == lengths.rend()) return {};
    return static_cast<std::size_t>(lengths.rend() - last) - 1;
}

bool is_over_limit(std::string_view pattern, std::string_view text) {
    return pattern.size() > kGlobBytesMax || text.size() > kGlobTextBytesMax;
}

}  // namespace

std::optional<std::size_t> glob_prefix(std::string_view pattern, std::string_view text,
                                       GlobMatch which) {
    if (is_over_limit(pattern, text)) return {};
    return pick(matching_lengths(read_pattern(pattern), text), which);
}

std::optional<std::size_t> glob_suffix(std::string_view pattern, std::string_view text,
                                       GlobMatch which) {
    if (is_over_limit(pattern, text)) return {};
    auto elements = read_pattern(pattern);
    std::ranges::reverse(elements);
    const std::string backwards(text.rbegin(), text.rend());
    return pick(matching_lengths(elements, backwards), which);
}

}  // namespace fathom::function
