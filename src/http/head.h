// Heads: what stands before a body, whatever version of HTTP carries it. Plain values, no I/O.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ports.h"
#include "core/result.h"

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
    void add(std::string_view name, std::string_view value) {
        if (fields_.empty()) reserve(16);
        fields_.push_back({name, value});
    }
    // Room for as many in all.
    void reserve(std::size_t count) { fields_.reserve(count); }
    void clear() noexcept { fields_.clear(); }
    // The first value of `name`, or nothing.
    std::optional<std::string_view> find(std::string_view name) const noexcept;
    // The first value of `name`, or "".
    std::string_view get(std::string_view name) const noexcept { return find(name).value_or(""); }
    std::size_t count(std::string_view name) const noexcept;
    auto begin() const noexcept { return fields_.begin(); }
    auto end() const noexcept { return fields_.end(); }
    std::size_t size() const noexcept { return fields_.size(); }
    bool empty() const noexcept { return fields_.empty(); }

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
    static BodyLength until_close() { return {Kind::until_close, 0}; }
    // No byte of a body follows.
    bool is_empty() const noexcept {
        return kind == Kind::none || (kind == Kind::fixed && bytes == 0);
    }
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

// The fields this module itself has to know.
enum class Field : std::uint8_t {
    other,
    connection,
    content_length,
    date,
    expect,
    host,
    keep_alive,
    proxy_authenticate,
    proxy_authorization,
    proxy_connection,
    server,
    te,
    trailer,
    transfer_encoding,
    upgrade,
};
Field field_of(std::string_view name) noexcept;

// Fields that belong to one connection and are never forwarded: Connection and what it names,
// Keep-Alive, Proxy-Connection, Transfer-Encoding, TE, Trailer, Upgrade (RFC 9110 section 7.6.1),
// and Proxy-Authenticate, Proxy-Authorization, as OpenFaaS removes them.
bool is_hop_by_hop(Field field) noexcept;
inline bool is_hop_by_hop(std::string_view name) noexcept {
    return is_hop_by_hop(field_of(name));
}

// Adds those of `from` that are forwarded: neither hop-by-hop nor named in a Connection field.
void add_end_to_end(Headers& to, const Headers& from);

// The standard reason phrase of a status ("Not Found"), or "".
std::string_view reason_of(int status) noexcept;

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7).
std::array<char, 29> date_text(Clock::Wall time) noexcept;

// Decodes %XX; refuses a broken escape and NUL. `plus_is_space` for query strings.
enum class Plus : std::uint8_t { is_plus, is_space };
Result<std::string> percent_decode(std::string_view text, Plus plus = Plus::is_plus);
// The decoded value of `key` in a raw query; the last one wins, as in OpenFaaS. Broken escapes:
// none.
std::optional<std::string> query_value(std::string_view query, std::string_view key);

}  // namespace fathom::http
