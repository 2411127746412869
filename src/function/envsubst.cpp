#include "function/envsubst.h"

#include <algorithm>
#include <charconv>

#include "function/glob.h"

namespace fathom::function {
namespace {

bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_name_part(char c) {
    return is_name_start(c) || (c >= '0' && c <= '9');
}
bool is_continuation(char c) {  // of a UTF-8 character
    return (static_cast<unsigned char>(c) & 0xc0U) == 0x80;
}

std::size_t count_characters(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return !is_continuation(c); }));
}

// The byte at which character number `index` begins; the end when there are fewer.
std::size_t byte_of(std::string_view text, std::size_t index) {
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (!is_continuation(text[at]) && index-- == 0) return at;
    }
    return text.size();
}

// ${V:off:len}, with numbers that may be negative. As in bash, what lies outside is empty.
std::string part(std::string_view value, std::int64_t offset, std::optional<std::int64_t> length) {
    const auto count = static_cast<std::int64_t>(count_characters(value));
    if (offset < 0) offset += count;
    if (offset < 0 || offset > count) return {};
    auto end = count;
    if (length) end = *length < 0 ? count + *length : offset + std::min(*length, count - offset);
    if (end <= offset) return {};
    const auto first = byte_of(value, static_cast<std::size_t>(offset));
    const auto last = byte_of(value, static_cast<std::size_t>(end));
    return std::string(value.substr(first, last - first));
}

char upper(char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
}
char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

std::string change_case(std::string value, std::string_view operation) {
    const auto change = operation[0] == '^' ? upper : lower;
    if (operation.size() == 2) {
        std::ranges::transform(value, value.begin(), change);
    } else if (!value.empty()) {
        value[0] = change(value[0]);
    }
    return value;
}

enum class Where { first, all, beginning, end };
std::string replace(std::string value, std::string_view from, std::string_view to, Where where) {
    if (from.empty()) return value;
    if (where == Where::beginning) {
        if (value.starts_with(from)) value.replace(0, from.size(), to);
        return value;
    }
    if (where == Where::end) {
        if (value.ends_with(from)) value.replace(value.size() - from.size(), from.size(), to);
        return value;
    }
    std::string result;
    std::string_view left = value;
    for (auto at = left.find(from); at != std::string_view::npos; at = left.find(from)) {
        result.append(left.substr(0, at)).append(to);
        left.remove_prefix(at + from.size());
        if (where == Where::first || result.size() > kSubstitutedBytesMax) break;
    }
    return result.append(left);
}

// Walks the text once, from the front; `at_` is always the next byte to read.
class Substitution {
public:
    Substitution(std::string_view text, const EnvLookup& lookup) : text_(text), lookup_(lookup) {}

    Result<std::string> whole() { return read_text("", 0); }

private:
    // Text and expressions up to one of the `stops`, which is not read, or to the end of all.
    Result<std::string> read_text(std::string_view stops, int depth);
    Result<std::string> read_expression(int depth);  // behind "${", through "}"
    Result<std::string> apply(std::string value, int depth);
    Result<std::string> read_default(std::string value, int depth);
    Result<std::string> read_part(std::string_view value, int depth);
    Result<std::string> read_trim(std::string_view value, int depth);
    Result<std::string> read_replacement(std::string value, int depth);

    bool is_at_end() const { return at_ >= text_.size(); }
    char peek(std::size_t ahead = 0) const {
        return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
    }
    bool skip(std::string_view token) {
        if (!text_.substr(at_).starts_with(token)) return false;
        at_ += token.size();
        return true;
    }
    std::unexpected<Error> refuse(std::string_view why) const {
        const auto line = 1 + std::ranges::count(text_.substr(0, begin_), '\n');
        auto shown = text_.substr(begin_, std::min<std::size_t>(at_ + 1 - begin_, 40));
        shown = shown.substr(0, shown.find('\n'));
        return fail(Errc::invalid, "line {}: \"{}\": {}", line, shown, why);
    }

    std::string_view text_;
    const EnvLookup& lookup_;
    std::size_t at_ = 0;
    std::size_t begin_ = 0;  // of the expression an error is about
};

Result<std::string> Substitution::read_text(std::string_view stops, int depth) {
    if (depth > kSubstitutionDepthMax) return refuse("nested too deeply; accepted: 32 levels");
    std::string result;
    while (!is_at_end()) {
        const char c = peek();
        if (stops.find(c) != std::string_view::npos) break;
        if (skip("${")) {
            auto value = read_expression(depth);
            if (!value) return value;
            result += *value;
        } else if (skip("$$")) {
            result += '$';
        } else {
            if (c == '\\' && !stops.empty() && stops.find(peek(1)) != std::string_view::npos) ++at_;
            result += peek();
            ++at_;
        }
        if (result.size() > kSubstitutedBytesMax) {
            return fail(Errc::too_large, "the text has over {} bytes after substitution",
                        kSubstitutedBytesMax);
        }
    }
    return result;
}

Result<std::string> Substitution::read_expression(int depth) {
    const auto outer = std::exchange(begin_, at_ - 2);
    const bool is_length = peek() == '#' && is_name_start(peek(1));
    if (is_length) ++at_;
    if (!is_name_start(peek())) {
        return refuse(
            "accepted: ${NAME}, a name of letters, digits and _, not beginning with a "
            "digit; a plain ${ is written $${");
    }
    const auto name_begin = at_;
    while (is_name_part(peek())) ++at_;
    auto value = lookup_(text_.substr(name_begin, at_ - name_begin)).value_or("");
    if (is_length) value = std::to_string(count_characters(value));

    auto result =
        is_length ? Result<std::string>(std::move(value)) : apply(std::move(value), depth + 1);
    if (!result) return result;
    if (is_at_end()) return refuse("the closing brace is missing");
    if (!skip("}")) {
        return refuse(
            "accepted behind the name: :- := = :+ :? :offset ^ ^^ , ,, # ## % %% / // /# "
            "/% or }");
    }
    begin_ = outer;
    return result;
}

Result<std::string> Substitution::apply(std::string value, int depth) {
    switch (peek()) {
        case '^':
        case ',': {
            const auto operation = text_.substr(at_, peek(1) == peek() ? 2 : 1);
            at_ += operation.size();
            return change_case(std::move(value), operation);
        }
        case '=':
            ++at_;
            return read_default(std::move(value), depth);
        case ':':
            ++at_;
            if (std::string_view("-=+?").find(peek()) != std::string_view::npos && !is_at_end()) {
                // ${V:-1} is a default, ${V: -1} counts from the end, as in bash.
                ++at_;
                return read_default(std::move(value), depth);
            }
            return read_part(value, depth);
        case '#':
        case '%':
            return read_trim(value, depth);
        case '/':
            return read_replacement(std::move(value), depth);
        default:
            return value;
    }
}

Result<std::string> Substitution::read_default(std::string value, int depth) {
    auto other = read_text("}", depth);
    if (!other || value.empty()) return other;
    return value;
}

Result<std::string> Substitution::read_part(std::string_view value, int depth) {
    auto text = read_text("}", depth);
    if (!text) return text;
    std::string_view left = *text;
    const auto take_number = [&left]() -> std::optional<std::int64_t> {
        while (left.starts_with(' ')) left.remove_prefix(1);
        std::int64_t number = 0;
        const auto [end, error] = std::from_chars(left.data(), left.data() + left.size(), number);
        if (error != std::errc() || number > 1'000'000'000 || number < -1'000'000'000) return {};
        left.remove_prefix(static_cast<std::size_t>(end - left.data()));
        while (left.starts_with(' ')) left.remove_prefix(1);
        return number;
    };
    const auto offset = take_number();
    std::optional<std::int64_t> length;
    if (left.starts_with(':')) {
        left.remove_prefix(1);
        length = take_number();
        if (!length) left = "x";
    }
    if (!offset || !left.empty()) {
        return refuse("accepted: ${NAME:offset} or ${NAME:offset:length}, whole numbers");
    }
    return part(value, *offset, length);
}

Result<std::string> Substitution::read_trim(std::string_view value, int depth) {
    const char side = peek();
    ++at_;
    const bool is_longest = peek() == side;
    if (is_longest) ++at_;
    auto pattern = read_text("}", depth);
    if (!pattern) return pattern;
    const auto ends = is_longest ? GlobMatch::longest : GlobMatch::shortest;
    if (side == '#') {
        value.remove_prefix(glob_prefix(*pattern, value, ends).value_or(0));
    } else {
        value.remove_suffix(glob_suffix(*pattern, value, ends).value_or(0));
    }
    return std::string(value);
}

Result<std::string> Substitution::read_replacement(std::string value, int depth) {
    auto where = Where::first;
    if (skip("//")) {
        where = Where::all;
    } else if (skip("/#")) {
        where = Where::beginning;
    } else if (skip("/%")) {
        where = Where::end;
    } else {
        ++at_;
    }
    auto from = read_text("/}", depth);
    if (!from) return from;
    std::string to;
    if (skip("/")) {
        auto text = read_text("}", depth);
        if (!text) return text;
        to = std::move(*text);
    }
    return replace(std::move(value), *from, to, where);
}

}  // namespace

Result<std::string> substitute(std::string_view text, const EnvLookup& lookup) {
    return Substitution(text, lookup).whole();
}

}  // namespace fathom::function
