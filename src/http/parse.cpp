#include "http/parse.h"

#include <algorithm>
#include <cstring>

#include "http/scan.h"

namespace fathom::http {
namespace {

Parsed refused(int status, std::string_view sentence) {
    return {.state = Parsed::State::refused, .refusal = {status, sentence}};
}

// Looks for the empty line that ends a head. A line that ends in LF alone is refused as soon as it
// is seen: its sender would wait for ever.
Parsed find_end(std::string_view bytes, HeadScan& scan, const HeadLimits& limits) {
    const auto window = bytes.substr(0, limits.bytes_max);
    for (;;) {
        const void* found = scan.next < window.size() ? std::memchr(window.data() + scan.next, '\n',
                                                                    window.size() - scan.next)
                                                      : nullptr;
        if (found == nullptr) {
            scan.next = window.size();
            if (bytes.size() >= limits.bytes_max) return refused(431, "the head is too large");
            return {};
        }
        const auto at = static_cast<std::size_t>(static_cast<const char*>(found) - window.data());
        if (at == 0 || window[at - 1] != '\r') return refused(400, "a line ends in LF without CR");
        scan.next = at + 1;
        if (at >= 3 && window[at - 2] == '\n') {
            return {.state = Parsed::State::complete, .used = at + 1};
        }
    }
}

// One pass over a head that is here whole. It ends in CR LF CR LF, which no run of allowed bytes
// crosses: no step needs to look for the end.
class HeadReader {
public:
    HeadReader(std::string_view bytes, std::size_t fields_max)
        : at_(bytes.data()), end_(bytes.data() + bytes.size()), fields_max_(fields_max) {}

    bool read_request_line(RequestHead& head);
    bool read_status_line(ResponseHead& head);
    bool read_fields(Headers& headers);
    bool finish_request(RequestHead& head);
    bool finish_response(AnswerTo asked, ResponseHead& head);
    bool refuse_framing_fields();
    const Refusal& refusal() const { return refusal_; }

private:
    bool refuse(int status, std::string_view sentence) {
        refusal_ = {status, sentence};
        return false;
    }
    bool read_target(RequestHead& head);
    bool read_absolute_target(RequestHead& head, std::string_view after_scheme);
    bool read_version(int& minor);
    bool take_line_end();
    bool note_field(const Header& header);
    bool note_length(std::string_view value);
    bool note_connection(std::string_view value);
    bool check_framing(int version_minor);
    bool stays_open(int version_minor) const {
        return !has_close_ && (version_minor > 0 || has_keep_alive_);
    }

    const char* at_;
    const char* end_;
    std::size_t fields_max_;
    Refusal refusal_{};

    std::string_view host_{};
    std::string_view expect_{};
    std::uint64_t length_ = 0;
    bool has_host_ = false;
    bool has_length_ = false;
    bool is_chunked_ = false;
    bool has_close_ = false;
    bool has_keep_alive_ = false;
    bool has_expect_ = false;
};

bool is_decimal_port(std::string_view port) {
    if (port.size() > 5) return false;
    unsigned number = 0;
    for (const char c : port) {
        if (c < '0' || c > '9') return false;
        number = number * 10 + static_cast<unsigned>(c - '0');
    }
    return number <= 65535;
}

// uri-host [ ":" port ] (RFC 9110 section 7.2), without user information.
bool is_host(std::string_view text) {
    const char* end = text.data() + text.size();
    const char* after = text.data();
    if (text.starts_with('[')) {
        const auto close = text.find(']');
        if (close == std::string_view::npos || close == 1) return false;
        const auto inside = text.substr(1, close - 1);
        if (!std::ranges::all_of(inside, [](char c) {
                return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') ||
                       c == ':' || c == '.';
            })) {
            return false;
        }
        after += close + 1;
    } else {
        after = skip(after, end, kHost);
        if (after == text.data() && !text.empty()) return false;
    }
    if (after == end) return true;
    return *after == ':' && is_decimal_port({after + 1, end});
}

bool HeadReader::take_line_end() {
    if (at_[0] != '\r' || at_[1] != '\n') return false;
    at_ += 2;
    return true;
}

bool HeadReader::read_version(int& minor) {
    constexpr std::string_view kShape = "HTTP/1.1";
    const auto left = static_cast<std::size_t>(end_ - at_);
    if (left < kShape.size() + 2 || std::memcmp(at_, "HTTP/", 5) != 0 || at_[5] < '0' ||
        at_[5] > '9' || at_[6] != '.' || at_[7] < '0' || at_[7] > '9') {
        return refuse(400, "the HTTP version is malformed");
    }
    if (at_[5] != '1' || at_[7] > '1')
        return refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    minor = at_[7] - '0';
    at_ += kShape.size();
    return true;
}

bool HeadReader::read_request_line(RequestHead& head) {
    const char* begin = at_;
    at_ = skip(at_, end_, kToken);
    if (at_ == begin || *at_ != ' ') return refuse(400, "the request line has no valid method");
    head.method = {begin, at_};

    begin = ++at_;
    at_ = skip(at_, end_, kTarget);
    if (at_ == begin || *at_ != ' ') return refuse(400, "the request line has no valid target");
    head.target = {begin, at_};
    ++at_;

    if (!read_version(head.version_minor)) return false;
    if (!take_line_end()) return refuse(400, "the request line does not end after the version");
    return read_target(head);
}

bool HeadReader::read_target(RequestHead& head) {
    const auto target = head.target;
    if (head.method == "CONNECT") {
        if (target.find(':') == std::string_view::npos || target.ends_with(':') ||
            target.starts_with(':') || !is_host(target)) {
            return refuse(400, "CONNECT takes host:port");
        }
        head.authority = target;
        return true;
    }
    auto path = target;
    if (!target.starts_with('/')) {
        constexpr std::string_view kHttp = "http://";
        constexpr std::string_view kHttps = "https://";
        if (equals_ignoring_case(target.substr(0, kHttp.size()), kHttp)) {
            return read_absolute_target(head, target.substr(kHttp.size()));
        }
        if (equals_ignoring_case(target.substr(0, kHttps.size()), kHttps)) {
            return read_absolute_target(head, target.substr(kHttps.size()));
        }
        if (target != "*" || head.method != "OPTIONS") {
            return refuse(400, "the request target is neither a path nor an http URL");
        }
    }
    const auto mark = path.find('?');
    head.path = path.substr(0, mark);
    head.has_query = mark != std::string_view::npos;
    if (head.has_query) head.query = path.substr(mark + 1);
    return true;
}

bool HeadReader::read_absolute_target(RequestHead& head, std::string_view after_scheme) {
    const auto end = std::min(after_scheme.find_first_of("/?"), after_scheme.size());
    head.authority = after_scheme.substr(0, end);
    if (head.authority.empty() || head.authority.starts_with(':') || !is_host(head.authority)) {
        return refuse(400, "the request target names no valid host");
    }
    const auto rest = after_scheme.substr(end);
    const auto mark = rest.find('?');
    head.path = rest.substr(0, mark);
    if (head.path.empty()) head.path = head.method == "OPTIONS" ? "*" : "/";
    head.has_query = mark != std::string_view::npos;
    if (head.has_query) head.query = rest.substr(mark + 1);
    return true;
}

bool HeadReader::read_status_line(ResponseHead& head) {
    int minor = 1;
    if (!read_version(minor)) return false;
    head.keep_alive = minor > 0;  // corrected by the fields
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (end_ - at_ < 6 || at_[0] != ' ' || at_[1] < '1' || at_[1] > '9' || !is_digit(at_[2]) ||
        !is_digit(at_[3])) {
        return refuse(400, "the status is not a number of three digits");
    }
    head.status = (at_[1] - '0') * 100 + (at_[2] - '0') * 10 + (at_[3] - '0');
    at_ += 4;
    if (*at_ == ' ') {
        const char* begin = ++at_;
        at_ = skip_value(at_, end_);
        head.reason = {begin, at_};
    }
    return take_line_end() || refuse(400, "the status line has bytes that are not allowed");
}

bool HeadReader::read_fields(Headers& headers) {
    while (*at_ != '\r') {
        const char* begin = at_;
        at_ = skip(at_, end_, kToken);
        if (*at_ != ':' || at_ == begin) {
            if (at_ == begin && *at_ == ':') return refuse(400, "a field has no name");
            if (*at_ != ' ' && *at_ != '\t') {
                return refuse(400, "a field name has bytes that are not allowed");
            }
            return refuse(400, at_ == begin
                                   ? "a field is folded over two lines"
                                   : "there is whitespace between a field name and its colon");
        }
        Header header{.name = {begin, at_}, .value = {}};
        ++at_;
        while (*at_ == ' ' || *at_ == '\t') ++at_;
        begin = at_;
        at_ = skip_value(at_, end_);
        const char* last = at_;
        while (last != begin && (last[-1] == ' ' || last[-1] == '\t')) --last;
        header.value = {begin, last};
        if (!take_line_end()) {
            return refuse(400, "a field value has bytes that are not allowed");
        }
        if (headers.size() == fields_max_) return refuse(431, "the head has too many fields");
        headers.add(header.name, header.value);
        if (!note_field(header)) return false;
    }
    if (at_[1] != '\n' || at_ + 2 != end_) return refuse(400, "a CR stands alone");
    return true;
}

bool HeadReader::note_field(const Header& header) {
    switch (field_of(header.name)) {
        case Field::host:
            if (has_host_) return refuse(400, "Host stands there twice");
            if (!is_host(header.value)) return refuse(400, "Host is malformed");
            has_host_ = true;
            host_ = header.value;
            return true;
        case Field::content_length:
            return note_length(header.value);
        case Field::transfer_encoding:
            if (is_chunked_ || !equals_ignoring_case(header.value, "chunked")) {
                return refuse(400, "the only transfer coding accepted is a single \"chunked\"");
            }
            is_chunked_ = true;
            return true;
        case Field::connection:
            return note_connection(header.value);
        case Field::expect:
            has_expect_ = true;
            expect_ = header.value;
            return true;
        default:
            return true;
    }
}

bool HeadReader::note_length(std::string_view value) {
    if (has_length_) return refuse(400, "Content-Length stands there twice");
    has_length_ = true;
    if (value.empty()) return refuse(400, "Content-Length is empty");
    for (const char c : value) {
        if (c < '0' || c > '9') return refuse(400, "Content-Length is not one decimal number");
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (__builtin_mul_overflow(length_, std::uint64_t{10}, &length_) ||
            __builtin_add_overflow(length_, digit, &length_)) {
            return refuse(400, "Content-Length is over 2^64-1");
        }
    }
    return true;
}

bool HeadReader::note_connection(std::string_view value) {
    while (!value.empty()) {
        const auto comma = value.find(',');
        auto option = value.substr(0, comma);
        value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
        while (option.starts_with(' ') || option.starts_with('\t')) option.remove_prefix(1);
        while (option.ends_with(' ') || option.ends_with('\t')) option.remove_suffix(1);
        if (equals_ignoring_case(option, "close")) has_close_ = true;
        if (equals_ignoring_case(option, "keep-alive")) has_keep_alive_ = true;
    }
    return true;
}

bool HeadReader::check_framing(int version_minor) {
    if (is_chunked_ && has_length_) {
        return refuse(400, "there are both Content-Length and Transfer-Encoding");
    }
    if (is_chunked_ && version_minor == 0) {
        return refuse(400, "HTTP/1.0 has no Transfer-Encoding");
    }
    return true;
}

bool HeadReader::finish_request(RequestHead& head) {
    if (!check_framing(head.version_minor)) return false;
    if (!has_host_ && head.version_minor > 0) return refuse(400, "Host is missing");
    if (head.authority.empty()) {
        head.authority = host_;
    } else if (has_host_ && !equals_ignoring_case(head.authority, host_)) {
        return refuse(400, "Host and the request target name two hosts");
    }
    if (is_chunked_) head.body = BodyLength::chunked();
    if (has_length_) head.body = BodyLength::fixed(length_);
    head.keep_alive = stays_open(head.version_minor);
    if (has_expect_ && head.version_minor > 0) {
        if (!equals_ignoring_case(expect_, "100-continue")) {
            return refuse(417, "the only expectation met here is 100-continue");
        }
        head.expects_continue = !head.body.is_empty();
    }
    return true;
}

bool HeadReader::finish_response(AnswerTo asked, ResponseHead& head) {
    const int minor = head.keep_alive ? 1 : 0;
    if (!check_framing(minor)) return false;
    head.keep_alive = stays_open(minor);
    const bool is_without_body = asked == AnswerTo::head_request || head.status < 200 ||
                                 head.status == 204 || head.status == 304 ||
                                 (asked == AnswerTo::connect_request && head.status < 300);
    if (is_without_body) {
        head.body = BodyLength::none();
    } else if (is_chunked_) {
        head.body = BodyLength::chunked();
    } else if (has_length_) {
        head.body = BodyLength::fixed(length_);
    } else {
        head.body = BodyLength::until_close();
        head.keep_alive = false;
    }
    return true;
}

// Trailers must not change how the message was understood (RFC 9110 section 6.5.1).
bool HeadReader::refuse_framing_fields() {
    if (has_length_ || is_chunked_ || has_host_) {
        return refuse(400, "a trailer may not say Content-Length, Transfer-Encoding or Host");
    }
    return true;
}

// Empties `head` but keeps the room of its field list.
template <class Head>
void reset(Head& head) {
    auto headers = std::move(head.headers);
    headers.clear();
    head = Head{};
    head.headers = std::move(headers);
}

}  // namespace

Parsed parse_request_head(std::string_view bytes, HeadScan& scan, const HeadLimits& limits,
                          RequestHead& head) {
    if (scan.next == 0 && bytes.starts_with('\r')) {
        if (bytes.size() < 2) return {};
        if (bytes[1] != '\n') return refused(400, "a CR stands alone");
        scan = {.begin = 2, .next = 2};
    }
    if (bytes.size() > scan.begin && !is_of(bytes[scan.begin], kToken)) {
        return refused(400, "this is not HTTP");
    }
    auto parsed = find_end(bytes, scan, limits);
    if (parsed.state != Parsed::State::complete) return parsed;

    reset(head);
    HeadReader reader(bytes.substr(scan.begin, parsed.used - scan.begin), limits.fields_max);
    if (reader.read_request_line(head) && reader.read_fields(head.headers) &&
        reader.finish_request(head)) {
        return parsed;
    }
    return refused(reader.refusal().status, reader.refusal().sentence);
}

Parsed parse_response_head(std::string_view bytes, HeadScan& scan, const HeadLimits& limits,
                           AnswerTo asked, ResponseHead& head) {
    constexpr std::string_view kStart = "HTTP/1.";
    const auto start = bytes.substr(0, kStart.size());
    if (start != kStart.substr(0, start.size())) return refused(400, "this is not HTTP/1.x");
    auto parsed = find_end(bytes, scan, limits);
    if (parsed.state != Parsed::State::complete) return parsed;

    reset(head);
    HeadReader reader(bytes.substr(0, parsed.used), limits.fields_max);
    if (reader.read_status_line(head) && reader.read_fields(head.headers) &&
        reader.finish_response(asked, head)) {
        return parsed;
    }
    return refused(reader.refusal().status, reader.refusal().sentence);
}

ChunkedDecoder::Step ChunkedDecoder::next(std::string_view bytes) {
    Step step;
    const auto refuse = [&](std::string_view sentence) {
        step.state = Parsed::State::refused;
        step.refusal = {400, sentence};
    };
    while (step.used < bytes.size() && step.state != Parsed::State::refused) {
        const auto rest = bytes.substr(step.used);
        switch (at_) {
            case At::size:
            case At::extension:
            case At::size_end:
                step.used += read_size(rest, step);
                break;
            case At::data: {
                const auto taken = std::min<std::uint64_t>(left_, rest.size());
                step.data = rest.substr(0, taken);
                step.used += taken;
                left_ -= taken;
                if (left_ == 0) at_ = At::data_cr;
                return step;
            }
            case At::data_cr:
                if (rest.front() != '\r') refuse("a chunk is longer than its size says");
                at_ = At::data_lf;
                ++step.used;
                break;
            case At::data_lf:
                if (rest.front() != '\n') refuse("a chunk does not end in CR LF");
                at_ = At::size;
                ++step.used;
                break;
            case At::trailers:
                read_trailers(rest, step);
                return step;
            case At::end:
                step.state = Parsed::State::complete;
                return step;
        }
    }
    if (at_ == At::end) step.state = Parsed::State::complete;
    return step;
}

// chunk-size [ ";" anything visible ] CR LF. Extensions are read over (RFC 9112 section 7.1.1).
std::size_t ChunkedDecoder::read_size(std::string_view bytes, Step& step) {
    constexpr std::size_t kLineMax = 256;
    const auto refuse = [&](std::string_view sentence) {
        step.state = Parsed::State::refused;
        step.refusal = {400, sentence};
    };
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const char c = bytes[i];
        if (++line_ > kLineMax) return refuse("the line of a chunk size is too long"), i;
        if (at_ == At::size_end) {
            if (c != '\n') return refuse("the line of a chunk size does not end in CR LF"), i;
            at_ = left_ == 0 ? At::trailers : At::data;
            digits_ = 0;
            line_ = 0;
            return i + 1;
        }
        if (at_ == At::extension) {
            if (c == '\r') {
                at_ = At::size_end;
            } else if (!is_of(c, kValue)) {
                return refuse("a chunk extension has bytes that are not allowed"), i;
            }
            continue;
        }
        const int lower_case = c | 0x20;
        const bool is_decimal = c >= '0' && c <= '9';
        if (is_decimal || (lower_case >= 'a' && lower_case <= 'f')) {
            if (++digits_ > 16) return refuse("a chunk size has more than 16 digits"), i;
            left_ = left_ * 16 +
                    static_cast<std::uint64_t>(is_decimal ? c - '0' : lower_case - 'a' + 10);
        } else if (digits_ > 0 && c == '\r') {
            at_ = At::size_end;
        } else if (digits_ > 0 && c == ';') {
            at_ = At::extension;
        } else {
            return refuse("a chunk size is not a hexadecimal number"), i;
        }
    }
    return bytes.size();
}

void ChunkedDecoder::read_trailers(std::string_view bytes, Step& step) {
    // No trailers is the rule: the empty line alone.
    const bool is_empty_line = bytes.front() == '\r';
    if (is_empty_line && bytes.size() < 2) return;
    std::size_t used = 2;
    if (!is_empty_line || bytes[1] != '\n') {
        auto parsed = find_end(bytes, scan_, trailer_limits_);
        if (parsed.state == Parsed::State::incomplete) return;
        if (parsed.state == Parsed::State::complete) {
            HeadReader reader(bytes.substr(0, parsed.used), trailer_limits_.fields_max);
            if (!reader.read_fields(trailers_) || !reader.refuse_framing_fields()) {
                parsed = refused(reader.refusal().status, reader.refusal().sentence);
            }
        }
        if (parsed.state == Parsed::State::refused) {
            step.state = parsed.state;
            step.refusal = parsed.refusal;
            return;
        }
        used = parsed.used;
    }
    step.used += used;
    at_ = At::end;
    step.state = Parsed::State::complete;
}

}  // namespace fathom::http
