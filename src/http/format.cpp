#include "http/format.h"

#include <charconv>
#include <cstring>

#include "http/scan.h"

namespace fathom::http {
namespace {

// Room for everything that is written besides fields: start line, framing, Date, Server.
constexpr std::size_t kExtraBytes = 256;

// Writes where there is room for certain.
class Pen {
public:
    explicit Pen(char* at) : at_(at) {}
    void put(std::string_view text) {
        std::memcpy(at_, text.data(), text.size());
        at_ += text.size();
    }
    void put(char c) { *at_++ = c; }
    void put_number(std::uint64_t number) { at_ = std::to_chars(at_, at_ + 20, number).ptr; }
    void put_field(std::string_view name, std::string_view value) {
        put(name);
        put(": ");
        put(value);
        put("\r\n");
    }
    char* at() const { return at_; }

private:
    char* at_;
};

template <class Write>
void append(std::string& out, std::size_t bytes_max, Write write) {
    const auto old = out.size();
    out.resize_and_overwrite(old + bytes_max, [&](char* data, std::size_t) {
        Pen pen(data + old);
        write(pen);
        return static_cast<std::size_t>(pen.at() - data);
    });
}

std::size_t bytes_of(const Headers& headers) {
    std::size_t bytes = 0;
    for (const auto& header : headers) bytes += header.name.size() + header.value.size() + 4;
    return bytes;
}

bool is_all(std::string_view text, ByteClass byte_class) {
    const char* begin = text.data();
    const char* end = begin + text.size();
    return skip(begin, end, byte_class) == end;
}

bool is_value(std::string_view text) {
    const char* begin = text.data();
    const char* end = begin + text.size();
    return skip_value(begin, end) == end;
}

bool is_sendable(const Header& header) {
    return !header.name.empty() && is_all(header.name, kToken) && is_value(header.value);
}

void put_framing(Pen& pen, BodyLength body) {
    if (body.kind == BodyLength::Kind::fixed) {
        pen.put("Content-Length: ");
        pen.put_number(body.bytes);
        pen.put("\r\n");
    } else if (body.kind == BodyLength::Kind::chunked) {
        pen.put("Transfer-Encoding: chunked\r\n");
    }
}

// How the body of a response is delimited on the wire, and what the head says of it.
struct ResponseFraming {
    BodyLength body;
    BodyLength said;
    bool keeps_length = false;  // the Content-Length among the fields is passed on
};

ResponseFraming framing_of(const ResponseHead& head, const ResponseForm& form) {
    if (head.status < 200 || head.status == 204) return {};
    if (form.is_to_head || head.status == 304) {
        const bool is_known = head.body.kind == BodyLength::Kind::fixed;
        return {.body = {},
                .said = is_known ? head.body : BodyLength::none(),
                .keeps_length = !is_known};
    }
    auto body = head.body;
    if (body.kind == BodyLength::Kind::none) body = BodyLength::fixed(0);
    if (body.kind == BodyLength::Kind::chunked || body.kind == BodyLength::Kind::until_close) {
        body = form.version_minor == 0 ? BodyLength::until_close() : BodyLength::chunked();
    }
    return {.body = body, .said = body};
}

}  // namespace

Result<> append_request_head(std::string& out, const RequestHead& head, std::string_view host) {
    if (head.method.empty() || !is_all(head.method, kToken)) {
        return fail(Errc::invalid, "method \"{}\" is not a word of letters", head.method);
    }
    if (head.target.empty() || !is_all(head.target, kTarget)) {
        return fail(Errc::invalid, "request target \"{}\" is empty or has spaces or control bytes",
                    head.target);
    }
    if (!head.authority.empty()) host = head.authority;
    if (!is_all(host, kTarget)) return fail(Errc::invalid, "host \"{}\" is malformed", host);
    const auto bytes_max = head.method.size() + head.target.size() + host.size() +
                           bytes_of(head.headers) + kExtraBytes;
    append(out, bytes_max, [&](Pen& pen) {
        pen.put(head.method);
        pen.put(' ');
        pen.put(head.target);
        pen.put(" HTTP/1.1\r\n");
        bool has_host = false;
        for (const auto& header : head.headers) {
            const auto field = field_of(header.name);
            has_host |= field == Field::host;
            if (field == Field::content_length || field == Field::expect) continue;
            if (is_hop_by_hop(field) || !is_sendable(header)) continue;
            pen.put_field(header.name, header.value);
        }
        if (!has_host) pen.put_field("Host", host);
        const bool is_with_content =
            head.method == "POST" || head.method == "PUT" || head.method == "PATCH";
        const bool has_none = head.body.kind == BodyLength::Kind::none;
        put_framing(pen, has_none && is_with_content ? BodyLength::fixed(0) : head.body);
        if (!head.keep_alive) pen.put("Connection: close\r\n");
        pen.put("\r\n");
    });
    return {};
}

BodyLength append_response_head(std::string& out, const ResponseHead& head,
                                const ResponseForm& form) {
    const auto framing = framing_of(head, form);
    const bool has_own_reason = !head.reason.empty() && is_value(head.reason);
    const auto reason = has_own_reason ? head.reason : reason_of(head.status);
    const auto bytes_max = reason.size() + bytes_of(head.headers) + form.date.size() +
                           form.server.size() + kExtraBytes;
    append(out, bytes_max, [&](Pen& pen) {
        pen.put("HTTP/1.1 ");
        pen.put_number(static_cast<std::uint64_t>(head.status));
        pen.put(' ');
        pen.put(reason);
        pen.put("\r\n");
        bool has_date = form.date.empty();
        bool has_server = form.server.empty();
        for (const auto& header : head.headers) {
            const auto field = field_of(header.name);
            if (field == Field::content_length && !framing.keeps_length) continue;
            if (is_hop_by_hop(field) || !is_sendable(header)) continue;
            has_date |= field == Field::date;
            has_server |= field == Field::server;
            pen.put_field(header.name, header.value);
        }
        if (!has_server) pen.put_field("Server", form.server);
        if (!has_date) pen.put_field("Date", form.date);
        put_framing(pen, framing.said);
        const bool is_until_close = framing.body.kind == BodyLength::Kind::until_close;
        if (!form.keep_alive || is_until_close) {
            pen.put("Connection: close\r\n");
        } else if (form.version_minor == 0) {
            pen.put("Connection: keep-alive\r\n");
        }
        pen.put("\r\n");
    });
    return framing.body;
}

ChunkHead chunk_head(std::uint64_t bytes) noexcept {
    ChunkHead head;
    char* at = std::to_chars(head.text.data(), head.text.data() + 16, bytes, 16).ptr;
    *at++ = '\r';
    *at++ = '\n';
    head.size = static_cast<std::size_t>(at - head.text.data());
    return head;
}

void append_last_chunk(std::string& out, const Headers& trailers) {
    append(out, bytes_of(trailers) + 5, [&](Pen& pen) {
        pen.put("0\r\n");
        for (const auto& trailer : trailers) {
            const auto field = field_of(trailer.name);
            if (field == Field::content_length || field == Field::host) continue;
            if (is_hop_by_hop(field) || !is_sendable(trailer)) continue;
            pen.put_field(trailer.name, trailer.value);
        }
        pen.put("\r\n");
    });
}

}  // namespace fathom::http
