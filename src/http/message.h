// The words of HTTP, whatever version carries them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rt/async.h"

namespace fathom::http {

// One field line. Names keep the case they arrived in and compare without it.
struct Header {
    std::string_view name;
    std::string_view value;
};

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

// Fields in order, as views: into the connection's buffer (valid until the exchange ends) or into
// whatever the sender owns. Adding copies nothing.
class Headers {
public:
    void add(std::string_view name, std::string_view value) { fields_.push_back({name, value}); }
    void clear() noexcept { fields_.clear(); }
    // The first value of `name`, or nothing.
    std::optional<std::string_view> find(std::string_view name) const noexcept;
    // The first value of `name`, or "".
    std::string_view get(std::string_view name) const noexcept { return find(name).value_or(""); }
    std::size_t count(std::string_view name) const noexcept;
    auto begin() const noexcept { return fields_.begin(); }
    auto end() const noexcept { return fields_.end(); }
    std::size_t size() const noexcept { return fields_.size(); }

private:
    std::vector<Header> fields_;
};

// How the body of a message is delimited (RFC 9112 section 6.3).
struct BodyLength {
    enum class Kind : std::uint8_t { none, fixed, chunked, until_close } kind = Kind::none;
    std::uint64_t bytes = 0;  // for fixed
    static BodyLength none() { return {}; }
    static BodyLength fixed(std::uint64_t bytes) { return {Kind::fixed, bytes}; }
    static BodyLength chunked() { return {Kind::chunked, 0}; }
    friend bool operator==(const BodyLength&, const BodyLength&) = default;
};

struct RequestHead {
    std::string_view method;     // as sent: "GET"
    std::string_view target;     // as sent, raw: "/function/a%2Fb?x=1"
    std::string_view path;       // of target, raw: "/function/a%2Fb"
    std::string_view query;      // of target, raw, without "?"; see has_query
    bool has_query = false;      // "/a?" has one, "/a" has none
    std::string_view authority;  // Host, or that of an absolute target
    int version_minor = 1;       // HTTP/1.x
    Headers headers;             // all of them, hop-by-hop ones too
    BodyLength body;
    bool keep_alive = true;
    bool expects_continue = false;
};

struct ResponseHead {
    int status = 200;
    std::string_view reason;  // empty: the standard one
    Headers headers;
    BodyLength body;
    bool keep_alive = true;
};

// Fields that belong to one connection and are never forwarded: Connection and what it names,
// Keep-Alive, Proxy-Connection, Transfer-Encoding, TE, Trailer, Upgrade (RFC 9110 section 7.6.1),
// and Proxy-Authenticate, Proxy-Authorization, as OpenFaaS removes them.
bool is_hop_by_hop(std::string_view name) noexcept;

// The standard reason phrase of a status ("Not Found"), or "".
std::string_view reason_of(int status) noexcept;

// "Sun, 06 Nov 1994 08:49:37 GMT", renewed once a second per core.
std::string_view http_date();

// Decodes %XX; refuses a broken escape and NUL. `plus_is_space` for query strings.
enum class Plus : std::uint8_t { is_plus, is_space };
Result<std::string> percent_decode(std::string_view text, Plus plus = Plus::is_plus);
// The decoded value of `key` in a raw query; the last one wins, as in OpenFaaS. Broken escapes:
// none.
std::optional<std::string> query_value(std::string_view query, std::string_view key);

// A body that arrives piece by piece, at the reader's pace: what is not read stays with the sender.
class BodyReader {
public:
    virtual ~BodyReader() = default;
    // The next piece, valid until the next read; empty at the end.
    // Errors: too_large      over the limit set for it
    //         bad_upstream   the connection broke before the end, or the framing is wrong
    //         timed_out      slower than the connection's limits allow
    virtual Async<std::string_view> read() = 0;
    // The next piece if it is here already: no waiting, no system call. Empty optional otherwise.
    virtual std::optional<std::string_view> try_read() = 0;
    virtual BodyLength length() const = 0;
    // Whether the end was reached (true at once where there is no body).
    virtual bool is_done() const = 0;
    // Fields after a chunked body; empty before the end.
    virtual const Headers& trailers() const = 0;
    // Lowers (never lifts) the number of bytes it may have.
    virtual void limit(std::uint64_t bytes_max) = 0;
};

// All of a body, at most `bytes_max`.
// Errors: too_large, and those of BodyReader::read
Async<std::string> read_all(BodyReader& body, std::uint64_t bytes_max);

// Where the bytes of a body go.
class BodyWriter {
public:
    virtual ~BodyWriter() = default;
    // Sends `bytes`; comes back when they may be reused. Never sits on them: what is written is on
    // its way before this waits for anything else (server-sent events arrive one by one).
    // Errors: bad_upstream    the other side is gone
    //         timed_out       it takes nothing
    virtual Async<> write(std::string_view bytes) = 0;
    // Ends the body.
    virtual Async<> finish(const Headers& trailers = {}) = 0;
};

}  // namespace fathom::http
