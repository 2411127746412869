// The strict HTTP/1.1 reader (RFC 9112): plain functions over bytes, no I/O, no allocation but the
// list of fields.
//
// The caller keeps what arrived in one contiguous buffer and asks again when more is there; nothing
// is scanned twice. However the bytes were cut on the way, the answer is the same. What could be
// understood in two ways is refused, never normalised.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/units.h"
#include "http/head.h"

namespace fathom::http {

// Why a message is not accepted, and the status that says so.
struct Refusal {
    int status = 0;             // 400, 417, 431 or 505
    std::string_view sentence;  // for a person; static text
};

struct HeadLimits {
    Bytes bytes_max = 1_MiB;        // start line and fields together: 431 beyond
    std::size_t fields_max = 1000;  // 431 beyond
};

// How far the search for the end of a head came. A fresh one for each message.
struct HeadScan {
    std::size_t begin = 0;  // of the start line: 2 when an empty line came first
    std::size_t next = 0;   // the first byte not looked at
};

struct Parsed {
    enum class State : std::uint8_t { incomplete, complete, refused };
    State state = State::incomplete;
    std::size_t used = 0;  // complete: bytes of the head, the empty line included
    Refusal refusal{};     // refused
};

// Reads the head of a request at the front of `bytes`. `head` (emptied first) gets views into
// `bytes` and is only filled in when the answer is complete. One empty line in front is skipped
// (RFC 9112 section 2.2).
Parsed parse_request_head(std::string_view bytes, HeadScan& scan, const HeadLimits& limits,
                          RequestHead& head);

// What a response answers decides whether it has a body (RFC 9112 section 6.3).
enum class AnswerTo : std::uint8_t { request, head_request, connect_request };

// The same for a response. Interim ones (1xx) are responses like others, without a body.
Parsed parse_response_head(std::string_view bytes, HeadScan& scan, const HeadLimits& limits,
                           AnswerTo asked, ResponseHead& head);

// Reads a chunked body piece by piece (RFC 9112 section 7.1).
class ChunkedDecoder {
public:
    explicit ChunkedDecoder(HeadLimits trailer_limits = {64_KiB, 100})
        : trailer_limits_(trailer_limits) {}

    struct Step {
        Parsed::State state = Parsed::State::incomplete;  // complete: the body and its trailers end
        std::size_t used = 0;                             // bytes taken from the front
        std::string_view data;                            // of the body, in `bytes`; may be empty
        Refusal refusal{};
    };
    // The next piece of the body at the front of `bytes`; the bytes used up are not shown to it
    // again. Incomplete without data: it needs more. Trailers are views into `bytes`.
    Step next(std::string_view bytes);
    const Headers& trailers() const noexcept { return trailers_; }
    // Bytes left of the chunk that is being read: more of the body is certain to follow.
    std::uint64_t chunk_left() const noexcept { return left_; }

private:
    enum class At : std::uint8_t {
        size,
        extension,
        size_end,
        data,
        data_cr,
        data_lf,
        trailers,
        end
    };

    // Each takes bytes from the front of `bytes` and returns how many, or refuses through `step`.
    std::size_t read_size(std::string_view bytes, Step& step);
    void read_trailers(std::string_view bytes, Step& step);

    HeadLimits trailer_limits_;
    At at_ = At::size;
    int digits_ = 0;        // of the size that is being read
    std::size_t line_ = 0;  // bytes of the size line so far
    std::uint64_t left_ = 0;
    HeadScan scan_{};
    Headers trailers_;
};

}  // namespace fathom::http
