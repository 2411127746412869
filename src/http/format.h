// Heads and chunks as bytes: the other direction of http/parse.h. They append, and do no I/O.
//
// Framing and hop-by-hop fields in `headers` are left out, ours are written instead: so a head that
// was read can be sent on as it is. A field whose name or value has bytes that may not stand there
// (a line break from careless code) is left out too.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/head.h"

namespace fathom::http {

// The head of a request, in HTTP/1.1. Host is that of `head.headers`, else `head.authority`, else
// `host`; Expect is left out: nobody here waits with the body.
// Errors: invalid    the method or the target cannot stand in a request line
Result<> append_request_head(std::string& out, const RequestHead& head, std::string_view host);

// To whom a response goes, and what we add.
struct ResponseForm {
    bool is_to_head = false;  // HEAD: a length may be said, no body follows
    int version_minor = 1;    // of the request; HTTP/1.0 gets no chunks
    bool keep_alive = true;   // the connection stays open (head.keep_alive is not looked at)
    std::string_view date{};  // Date and Server, where `headers` has none; empty: not sent
    std::string_view server{};
};
// The head of a response. Answers how the body that follows is delimited: none where there must be
// none, fixed as `head.body` says, chunked where that is chunked or until_close, and until_close
// instead of chunked for HTTP/1.0 (the head then says `Connection: close`).
BodyLength append_response_head(std::string& out, const ResponseHead& head,
                                const ResponseForm& form);

// "1f40\r\n": what stands before a chunk; after it stands "\r\n".
struct ChunkHead {
    std::array<char, 18> text{};
    std::size_t size = 0;
    std::string_view view() const noexcept { return {text.data(), size}; }
};
ChunkHead chunk_head(std::uint64_t bytes) noexcept;

// "0\r\n", the trailers, and the empty line.
void append_last_chunk(std::string& out, const Headers& trailers);

inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace fathom::http
