// JSON for handlers: a value, a strict parser (RFC 8259, UTF-8 checked, depth limited), a printer.
//
//     fathom::Json in = fathom::Json::parse(request.body());      // throws fathom::JsonError
//     fathom::Json out = {{"name", in["name"]}, {"count", 3}};
//     out.print();                                                // {"name":"...","count":3}
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace fathom {

// What the text is no JSON for, and at which byte.
class JsonError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

class Json {
public:
    using Array = std::vector<Json>;
    using Member = std::pair<std::string, Json>;
    using Object = std::vector<Member>;  // in order; of two members with one name the last counts
    static constexpr int kDepthMax = 64;

    Json() = default;  // null
    Json(std::nullptr_t) {}
    Json(bool value) : value_(value) {}
    template <class Number>
        requires(std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool>)
    Json(Number value) {
        if constexpr (std::is_floating_point_v<Number>)
            value_ = static_cast<double>(value);
        else
            value_ = static_cast<std::int64_t>(value);
    }
    Json(const char* text) : value_(std::string(text)) {}
    Json(std::string_view text) : value_(std::string(text)) {}
    Json(std::string text) : value_(std::move(text)) {}
    Json(Array items) : value_(std::move(items)) {}
    Json(Object members) : value_(std::move(members)) {}
    Json(std::initializer_list<Member> members) : value_(Object(members)) {}
    static Json array(std::initializer_list<Json> items) { return Json(Array(items)); }

    // Throws JsonError. A whole number outside int64 and a fraction become double.
    static Json parse(std::string_view text);
    std::string print() const;

    bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
    bool is_bool() const { return std::holds_alternative<bool>(value_); }
    bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
    bool is_integer() const { return std::holds_alternative<std::int64_t>(value_); }
    bool is_string() const { return std::holds_alternative<std::string>(value_); }
    bool is_array() const { return std::holds_alternative<Array>(value_); }
    bool is_object() const { return std::holds_alternative<Object>(value_); }

    // The value, or JsonError when it is of another type.
    bool boolean() const { return get<bool>("a boolean"); }
    std::int64_t integer() const { return get<std::int64_t>("a whole number"); }
    double number() const {
        return is_integer() ? static_cast<double>(integer()) : get<double>("a number");
    }
    const std::string& string() const { return get<std::string>("a string"); }
    const Array& items() const { return get<Array>("an array"); }
    const Object& members() const { return get<Object>("an object"); }

    // The member, or null when there is none.
    const Json& operator[](std::string_view name) const {
        static const Json null;
        if (const auto* object = std::get_if<Object>(&value_))
            for (auto at = object->rbegin(); at != object->rend(); ++at)
                if (at->first == name) return at->second;
        return null;
    }
    // Adds a member to an object (or to null, which becomes one).
    Json& set(std::string name, Json value) {
        if (is_null()) value_ = Object();
        if (!is_object()) throw JsonError("not an object");
        std::get<Object>(value_).emplace_back(std::move(name), std::move(value));
        return *this;
    }
    Json& push(Json value) {
        if (is_null()) value_ = Array();
        if (!is_array()) throw JsonError("not an array");
        std::get<Array>(value_).push_back(std::move(value));
        return *this;
    }
    bool operator==(const Json&) const = default;

private:
    template <class Type>
    const Type& get(const char* what) const {
        if (const auto* value = std::get_if<Type>(&value_)) return *value;
        throw JsonError(std::string("not ") + what);
    }
    void print_to(std::string& out) const;

    std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

namespace detail {

// How many bytes the UTF-8 character at the start of `text` takes; 0 when it is none.
// Table 3-7 of the Unicode Standard: no overlong forms, no surrogates, nothing above U+10FFFF.
inline std::size_t utf8_bytes(std::string_view text) {
    const auto byte = [&](std::size_t i) -> unsigned {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    };
    const auto within = [](unsigned value, unsigned low, unsigned high) {
        return value >= low && value <= high;
    };
    const auto follows = [&](std::size_t i) { return within(byte(i), 0x80, 0xBF); };
    const unsigned first = byte(0);
    if (first < 0x80) return text.empty() ? 0 : 1;
    if (within(first, 0xC2, 0xDF)) return follows(1) ? 2 : 0;
    if (within(first, 0xE0, 0xEF)) {
        const bool second =
            within(byte(1), first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF);
        return second && follows(2) ? 3 : 0;
    }
    if (within(first, 0xF0, 0xF4)) {
        const bool second =
            within(byte(1), first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF);
        return second && follows(2) && follows(3) ? 4 : 0;
    }
    return 0;
}

inline void append_utf8(std::string& out, std::uint32_t code) {
    const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
        put(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            put(0xE0 | code >> 12);
        } else {
            put(0xF0 | code >> 18);
            put(0x80 | (code >> 12 & 0x3F));
        }
        put(0x80 | (code >> 6 & 0x3F));
    }
    put(0x80 | (code & 0x3F));
}

class JsonParser {
public:
    explicit JsonParser(std::string_view text) : text_(text) {}

    Json document() {
        Json value = parse_value(0);
        skip_space();
        if (at_ != text_.size()) fail("the end was expected");
        return value;
    }

private:
    [[noreturn]] void fail(const char* what) const {
        throw JsonError("byte " + std::to_string(at_) + ": " + what);
    }
    bool at_end() const { return at_ == text_.size(); }
    char peek() const { return at_end() ? '\0' : text_[at_]; }
    bool take(char wanted) {
        if (at_end() || text_[at_] != wanted) return false;
        ++at_;
        return true;
    }
    void skip_space() {
        while (!at_end() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r'))
            ++at_;
    }

    Json parse_value(int depth) {
        skip_space();
        if (depth > Json::kDepthMax) fail("more than 64 values inside each other");
        switch (peek()) {
            case '{':
                return parse_object(depth);
            case '[':
                return parse_array(depth);
            case '"':
                return parse_string();
            case 't':
                return word("true", true);
            case 'f':
                return word("false", false);
            case 'n':
                return word("null", nullptr);
            default:
                return parse_number();
        }
    }

    Json word(std::string_view expected, Json value) {
        if (text_.substr(at_, expected.size()) != expected) fail("a value was expected");
        at_ += expected.size();
        return value;
    }

    Json parse_object(int depth) {
        Json::Object members;
        ++at_;
        skip_space();
        if (take('}')) return members;
        for (;;) {
            skip_space();
            if (peek() != '"') fail("the name of a member was expected");
            std::string name = parse_string();
            skip_space();
            if (!take(':')) fail("':' was expected");
            Json value = parse_value(depth + 1);
            members.emplace_back(std::move(name), std::move(value));
            skip_space();
            if (take('}')) return members;
            if (!take(',')) fail("',' or '}' was expected");
        }
    }

    Json parse_array(int depth) {
        Json::Array items;
        ++at_;
        skip_space();
        if (take(']')) return items;
        for (;;) {
            items.push_back(parse_value(depth + 1));
            skip_space();
            if (take(']')) return items;
            if (!take(',')) fail("',' or ']' was expected");
        }
    }

    std::string parse_string() {
        std::string out;
        ++at_;
        for (;;) {
            if (at_end()) fail("the string does not end");
            const char c = text_[at_];
            if (c == '"') return ++at_, out;
            if (static_cast<unsigned char>(c) < 0x20) fail("a control byte in a string");
            if (c == '\\') {
                ++at_;
                parse_escape(out);
                continue;
            }
            const std::size_t bytes = utf8_bytes(text_.substr(at_));
            if (bytes == 0) fail("not UTF-8");
            out.append(text_, at_, bytes);
            at_ += bytes;
        }
    }

    void parse_escape(std::string& out) {
        static constexpr std::string_view kLetters = "\"\\/bfnrt";
        static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
        if (take('u')) return append_utf8(out, parse_code());
        const auto which = at_end() ? kLetters.npos : kLetters.find(peek());
        if (which == kLetters.npos) fail("an unknown escape");
        out += kMeanings[which];
        ++at_;
    }

    // After \u: one code unit, or two that make a surrogate pair.
    std::uint32_t parse_code() {
        const std::uint32_t high = parse_hex();
        if (high >= 0xDC00 && high <= 0xDFFF) fail("half a surrogate pair");
        if (high < 0xD800 || high > 0xDBFF) return high;
        if (!take('\\') || !take('u')) fail("half a surrogate pair");
        const std::uint32_t low = parse_hex();
        if (low < 0xDC00 || low > 0xDFFF) fail("half a surrogate pair");
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }

    std::uint32_t parse_hex() {
        std::uint32_t value = 0;
        const auto digits = text_.substr(at_, 4);
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
        if (error != std::errc() || end != digits.data() + 4) fail("four hex digits were expected");
        at_ += 4;
        return value;
    }

    void skip_digits() {
        if (peek() < '0' || peek() > '9') fail("a value was expected");
        while (peek() >= '0' && peek() <= '9') ++at_;
    }

    Json parse_number() {
        const auto start = at_;
        bool whole = true;
        take('-');
        if (!take('0')) skip_digits();
        if (take('.')) {
            whole = false;
            skip_digits();
        }
        if (peek() == 'e' || peek() == 'E') {
            whole = false;
            ++at_;
            if (!take('+')) take('-');
            skip_digits();
        }
        const char* first = text_.data() + start;
        const char* last = text_.data() + at_;
        std::int64_t integer = 0;
        const bool fits = whole && std::from_chars(first, last, integer).ec == std::errc();
        if (fits && (integer != 0 || *first != '-')) return integer;  // -0 is a double
        double number = 0;
        if (std::from_chars(first, last, number).ec != std::errc())
            fail("a number beyond a double");
        return number;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

inline void print_string(std::string& out, std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    out += '"';
    while (!text.empty()) {
        const auto byte = static_cast<unsigned char>(text.front());
        const std::size_t bytes = utf8_bytes(text);
        if (byte == '"' || byte == '\\') {
            (out += '\\') += text.front();
        } else if (byte == '\n') {
            out += "\\n";
        } else if (byte < 0x20) {
            ((out += "\\u00") += kHex[byte >> 4]) += kHex[byte & 15];
        } else if (bytes == 0) {
            out += "\xEF\xBF\xBD";  // U+FFFD stands for what is no UTF-8
        } else {
            out += text.substr(0, bytes);
        }
        text.remove_prefix(bytes == 0 ? 1 : bytes);
    }
    out += '"';
}

inline void print_number(std::string& out, auto number) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, end);
}

}  // namespace detail

inline Json Json::parse(std::string_view text) {
    return detail::JsonParser(text).document();
}

inline std::string Json::print() const {
    std::string out;
    print_to(out);
    return out;
}

// A double that is no number (NaN, infinity) prints as null, as in JavaScript.
inline void Json::print_to(std::string& out) const {
    if (is_null()) {
        out += "null";
    } else if (const auto* flag = std::get_if<bool>(&value_)) {
        out += *flag ? "true" : "false";
    } else if (const auto* integer = std::get_if<std::int64_t>(&value_)) {
        detail::print_number(out, *integer);
    } else if (const auto* number = std::get_if<double>(&value_)) {
        if (std::isfinite(*number))
            detail::print_number(out, *number);
        else
            out += "null";
    } else if (const auto* text = std::get_if<std::string>(&value_)) {
        detail::print_string(out, *text);
    } else if (const auto* items = std::get_if<Array>(&value_)) {
        char before = '[';
        for (const Json& item : *items) {
            out += std::exchange(before, ',');
            item.print_to(out);
        }
        out += items->empty() ? "[]" : "]";
    } else {
        char before = '{';
        for (const auto& [name, value] : std::get<Object>(value_)) {
            out += std::exchange(before, ',');
            detail::print_string(out, name);
            out += ':';
            value.print_to(out);
        }
        out += before == '{' ? "{}" : "}";
    }
}

}  // namespace fathom
