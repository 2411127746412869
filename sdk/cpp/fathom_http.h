// The wire under fathom.h: a strict reader of HTTP/1.1 requests over a blocking socket. Private.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fathom::detail {

inline constexpr std::size_t kHeadBytesMax = 1 << 20;  // as the daemon's limit for all fields
inline constexpr std::size_t kLineBytesMax = 8192;     // chunk sizes and trailers
inline constexpr std::size_t kBufferBytes = 16 << 10;

// The message is ambiguous or too big: answer `status` with `text`, then close. Status 0: nothing.
struct Refusal {
    int status = 0;
    std::string text;
    explicit operator bool() const { return status != 0; }
};

struct Gone {};  // thrown: the caller closed, or the socket failed, in the middle of a message

struct Field {
    std::string_view name;
    std::string_view value;
};

inline char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

inline bool same_name(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

inline bool is_token(std::string_view text) {
    for (const char c : text) {
        const bool letter = lower(c) >= 'a' && lower(c) <= 'z';
        const bool digit = c >= '0' && c <= '9';
        if (!letter && !digit &&
            (c == 0 || std::string_view("!#$%&'*+-.^_`|~").find(c) == std::string_view::npos))
            return false;
    }
    return !text.empty();
}

// Visible ASCII, space, tab and bytes of UTF-8; no control bytes, so no CR or LF.
inline bool is_field_value(std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && byte != '\t') || byte == 0x7F) return false;
    }
    return true;
}

inline std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// Digits only, no sign, no space, no overflow.
inline bool parse_number(std::string_view text, unsigned base, std::uint64_t& value) {
    if (text.empty() || text.size() > 18) return false;
    value = 0;
    for (const char c : text) {
        unsigned digit = 99;
        if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
        if (lower(c) >= 'a' && lower(c) <= 'f') digit = static_cast<unsigned>(lower(c) - 'a' + 10);
        if (digit >= base) return false;
        value = value * base + digit;
    }
    return value <= INT64_MAX;
}

// The request line and the header fields; views into the block they were parsed from.
struct Head {
    std::string_view method;
    std::string_view path;
    std::string_view query;
    std::vector<Field> fields;
    std::uint64_t body_bytes = 0;
    bool is_chunked = false;
    bool is_http_1_1 = true;
    bool keep_alive = true;
    bool expects_continue = false;

    std::string_view field(std::string_view name) const {
        for (const Field& field : fields)
            if (same_name(field.name, name)) return field.value;
        return {};
    }
};

inline Refusal parse_request_line(std::string_view line, Head& head) {
    const auto first = line.find(' ');
    const auto last = line.rfind(' ');
    if (first == line.npos || first == last || line.find(' ', first + 1) != last)
        return {400, "the request line must be: METHOD SP TARGET SP VERSION"};
    head.method = line.substr(0, first);
    const auto target = line.substr(first + 1, last - first - 1);
    const auto version = line.substr(last + 1);
    if (!is_token(head.method)) return {400, "a malformed method"};
    if (version != "HTTP/1.1" && version != "HTTP/1.0")
        return {version.starts_with("HTTP/") ? 505 : 400, "only HTTP/1.1 is spoken here"};
    if (!target.starts_with('/')) return {400, "the request target must be a path"};
    for (const char c : target)
        if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F ||
            c == '#')
            return {400, "the request target must be a path"};
    head.is_http_1_1 = version == "HTTP/1.1";
    const auto mark = target.find('?');
    head.path = target.substr(0, mark);
    head.query = mark == target.npos ? std::string_view() : target.substr(mark + 1);
    return {};
}

// What the fields say about the message itself. Refuses what two readers could read differently.
inline Refusal check_fields(Head& head) {
    int hosts = 0;
    int lengths = 0;
    int codings = 0;
    head.keep_alive = head.is_http_1_1;
    for (const auto& [name, value] : head.fields) {
        if (same_name(name, "Host")) {
            ++hosts;
        } else if (same_name(name, "Content-Length")) {
            ++lengths;
            if (!parse_number(value, 10, head.body_bytes))
                return {400, "Content-Length must be a number"};
        } else if (same_name(name, "Transfer-Encoding")) {
            ++codings;
            if (!same_name(value, "chunked") || !head.is_http_1_1)
                return {400, "the only Transfer-Encoding accepted is chunked"};
        } else if (same_name(name, "Connection")) {
            if (!same_name(value, "keep-alive")) head.keep_alive = false;
        } else if (same_name(name, "Expect")) {
            head.expects_continue = same_name(value, "100-continue");
        }
    }
    if (hosts > 1) return {400, "Host is given twice"};
    if (hosts == 0 && head.is_http_1_1) return {400, "Host is missing"};
    if (lengths > 1) return {400, "Content-Length is given twice"};
    if (codings > 1) return {400, "Transfer-Encoding is given twice"};
    if (lengths + codings > 1) return {400, "both Content-Length and Transfer-Encoding are given"};
    head.is_chunked = codings == 1;
    return {};
}

// `block` is all before the empty line.
inline Refusal parse_head(std::string_view block, Head& head) {
    head.fields.clear();
    head.body_bytes = 0;
    head.expects_continue = false;
    bool is_request_line = true;
    while (is_request_line || !block.empty()) {
        const auto end = block.find("\r\n");
        const auto line = block.substr(0, end);
        block = end == block.npos ? std::string_view() : block.substr(end + 2);
        if (is_request_line) {
            if (auto refusal = parse_request_line(line, head)) return refusal;
            is_request_line = false;
            continue;
        }
        const auto colon = line.find(':');
        if (colon == line.npos || !is_token(line.substr(0, colon)))
            return {400, "a malformed header field"};
        const auto value = trimmed(line.substr(colon + 1));
        if (!is_field_value(value)) return {400, "a control byte in a header field"};
        head.fields.push_back({line.substr(0, colon), value});
    }
    return check_fields(head);
}

// One accepted socket, and the bytes read from it that nobody has taken yet.
class Connection {
public:
    explicit Connection(int descriptor) : descriptor_(descriptor) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() { ::close(descriptor_); }

    int descriptor() const { return descriptor_; }
    bool is_empty() const { return at_ == end_; }
    std::string_view buffered() const { return {buffer_.data() + at_, end_ - at_}; }
    void take(std::size_t bytes) { at_ += bytes; }

    // Adds bytes to the buffer, which grows when it is full. False at the end of the stream.
    bool fill() {
        if (is_empty()) at_ = end_ = 0;
        if (end_ == buffer_.size()) make_room();
        const std::size_t got = receive(buffer_.data() + end_, buffer_.size() - end_);
        end_ += got;
        return got != 0;
    }

    // Buffered bytes first, then those of the socket. 0 at the end of the stream.
    std::size_t read(char* out, std::size_t room) {
        if (is_empty()) return receive(out, room);
        const std::size_t taken = buffered().copy(out, room);
        take(taken);
        return taken;
    }

    void send(std::string_view a, std::string_view b = {}, std::string_view c = {}) {
        iovec parts[3] = {part(a), part(b), part(c)};
        msghdr message = {};
        message.msg_iov = parts;
        message.msg_iovlen = 3;
        for (std::size_t left = a.size() + b.size() + c.size(); left > 0;) {
            const ssize_t sent = ::sendmsg(descriptor_, &message, MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) continue;
            if (sent < 0) throw Gone();
            left -= static_cast<std::size_t>(sent);
            skip(message, static_cast<std::size_t>(sent));
        }
    }

private:
    static iovec part(std::string_view text) {
        return {const_cast<char*>(text.data()), text.size()};
    }
    static void skip(msghdr& message, std::size_t bytes) {
        while (message.msg_iovlen > 0 && bytes >= message.msg_iov->iov_len) {
            bytes -= message.msg_iov->iov_len;
            ++message.msg_iov;
            --message.msg_iovlen;
        }
        if (message.msg_iovlen == 0) return;
        message.msg_iov->iov_base = static_cast<char*>(message.msg_iov->iov_base) + bytes;
        message.msg_iov->iov_len -= bytes;
    }
    void make_room() {
        if (at_ > 0) {
            buffer_.erase(0, at_);
            end_ -= at_;
            at_ = 0;
        }
        buffer_.resize(end_ < kBufferBytes ? kBufferBytes : end_ * 2);
    }
    std::size_t receive(char* out, std::size_t room) {
        for (;;) {
            const ssize_t got = ::recv(descriptor_, out, room, 0);
            if (got >= 0) return static_cast<std::size_t>(got);
            if (errno != EINTR) throw Gone();
        }
    }

    int descriptor_;
    std::string buffer_;
    std::size_t at_ = 0;
    std::size_t end_ = 0;
};

// Reads a head, whose bytes stay in `block`. False when the caller closed before its first byte.
inline bool read_head(Connection& connection, std::string& block, Head& head, Refusal& refusal) {
    std::size_t searched = 0;
    for (;;) {
        const auto bytes = connection.buffered();
        const auto end = bytes.find("\r\n\r\n", searched);
        if (end != bytes.npos && end <= kHeadBytesMax) {
            block.assign(bytes.substr(0, end));
            connection.take(end + 4);
            refusal = parse_head(block, head);
            return true;
        }
        if (bytes.size() > kHeadBytesMax)
            return refusal = {431, "the request head is larger than 1 MiB"}, true;
        for (auto at = bytes.find('\n', searched); at != bytes.npos; at = bytes.find('\n', at + 1))
            if (at == 0 || bytes[at - 1] != '\r')
                return refusal = {400, "a bare LF in the request head"}, true;
        searched = bytes.size() < 3 ? 0 : bytes.size() - 3;
        if (!connection.fill()) return false;
    }
}

// The body of one request, in order.
class Body {
public:
    Body(Connection& connection, const Head& head)
        : connection_(connection),
          left_(head.is_chunked ? 0 : head.body_bytes),
          is_chunked_(head.is_chunked),
          is_over_(!head.is_chunked && head.body_bytes == 0),
          must_ask_(head.expects_continue) {}

    bool is_over() const { return is_over_; }
    // The caller waits for "100 Continue" and has not been told: it may never send the body.
    bool is_unasked() const { return must_ask_ && !is_over_ && connection_.is_empty(); }

    // Up to `room` bytes (at least 1); 0 at the end. Throws Refusal or Gone.
    std::size_t read(char* out, std::size_t room) {
        if (is_over_) return 0;
        ask();
        if (left_ == 0 && !next_chunk()) return 0;
        const std::size_t got = connection_.read(out, room < left_ ? room : left_);
        if (got == 0) throw Gone();
        left_ -= got;
        if (left_ == 0) end_chunk();
        return got;
    }

private:
    void ask() {
        if (is_unasked()) connection_.send("HTTP/1.1 100 Continue\r\n\r\n");
        must_ask_ = false;
    }

    std::string_view line() {
        for (;;) {
            const auto bytes = connection_.buffered();
            const auto end = bytes.find('\n');
            if (end != bytes.npos && end <= kLineBytesMax) {
                connection_.take(end + 1);
                if (end == 0 || bytes[end - 1] != '\r' || !is_field_value(bytes.substr(0, end - 1)))
                    throw Refusal{400, "a control byte in a line of the chunked body"};
                return bytes.substr(0, end - 1);
            }
            if (bytes.size() > kLineBytesMax)
                throw Refusal{400, "a line in the chunked body is longer than 8192 bytes"};
            if (!connection_.fill()) throw Gone();
        }
    }

    bool next_chunk() {
        const auto text = line();
        if (!parse_number(text.substr(0, text.find(';')), 16, left_))
            throw Refusal{400, "a malformed chunk size"};
        if (left_ != 0) return true;
        std::size_t trailer_bytes = 0;
        for (auto trailer = line(); !trailer.empty(); trailer = line())
            if ((trailer_bytes += trailer.size()) > kHeadBytesMax)
                throw Refusal{431, "the trailers are larger than 1 MiB"};
        is_over_ = true;
        return false;
    }

    void end_chunk() {
        if (!is_chunked_)
            is_over_ = true;
        else if (!line().empty())
            throw Refusal{400, "a chunk does not end with CRLF"};
    }

    Connection& connection_;
    std::uint64_t left_;  // of the body, or of the chunk
    bool is_chunked_;
    bool is_over_;
    bool must_ask_;
};

}  // namespace fathom::detail
