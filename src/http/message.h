// The words of HTTP, whatever version carries them: heads (http/head.h), and bodies that move.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/head.h"
#include "rt/async.h"

namespace fathom::http {

// "Sun, 06 Nov 1994 08:49:37 GMT", renewed once a second per core.
std::string_view http_date();

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
    // its way before this waits for anything else (server-sent events arrive one by one). No bytes:
    // a head that waits for its first ones goes out.
    // Errors: bad_upstream    the other side is gone
    //         timed_out       it takes nothing
    virtual Async<> write(std::string_view bytes) = 0;
    // Ends the body.
    virtual Async<> finish(const Headers& trailers = {}) = 0;
    // Both at once, in one system call where that is possible.
    virtual Async<> write_last(std::string_view bytes, const Headers& trailers);

    // The same without a coroutine, for where it counts: true when all is sent. False when it has
    // to wait or failed: then await the call above with the same arguments, it goes on from there.
    virtual bool try_write(std::string_view /*bytes*/) { return false; }
    virtual bool try_write_last(std::string_view /*bytes*/, const Headers& /*trailers*/) {
        return false;
    }
};

// Sends all of `from` through `to`, trailers too, and ends it. Each piece goes on as it comes: what
// `to` does not take is not read from `from`.
// Errors: those of reading and of writing
Async<> pump(BodyReader& from, BodyWriter& to);

}  // namespace fathom::http
