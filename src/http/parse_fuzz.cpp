// The reader under arbitrary bytes: whole and cut into pieces the answer must be the same, and what
// was accepted must come out the same after it was written and read again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "http/format.h"
#include "http/parse.h"

namespace fathom::http {
namespace {

constexpr HeadLimits kLimits{.bytes_max = 4096, .fields_max = 20};

// Where the pieces end: sizes from 1 to 32 that follow from the input itself.
class Cuts {
public:
    explicit Cuts(std::uint64_t seed) : state_(seed) {}
    std::size_t next() {
        state_ = state_ * 6364136223846793005U + 1442695040888963407U;
        return 1 + static_cast<std::size_t>(state_ >> 59);
    }

private:
    std::uint64_t state_;
};

template <class Read>
Parsed in_pieces(std::string_view bytes, std::uint64_t seed, Read read) {
    Cuts cuts(seed);
    Parsed parsed = read(bytes.substr(0, 0));
    for (std::size_t here = 0; parsed.state == Parsed::State::incomplete && here < bytes.size();) {
        here = std::min(here + cuts.next(), bytes.size());
        parsed = read(bytes.substr(0, here));
    }
    return parsed;
}

void check_same(const Parsed& whole, const Parsed& pieces) {
    FATHOM_CHECK(whole.state == pieces.state, "whole and in pieces end the same way");
    FATHOM_CHECK(whole.used == pieces.used, "whole and in pieces use the same bytes");
    FATHOM_CHECK(whole.refusal.status == pieces.refusal.status, "they are refused alike");
    FATHOM_CHECK(whole.refusal.sentence == pieces.refusal.sentence, "they are refused alike");
}

void check_same(const Headers& a, const Headers& b) {
    FATHOM_CHECK(a.size() == b.size(), "the same number of fields");
    for (auto x = a.begin(), y = b.begin(); x != a.end(); ++x, ++y) {
        FATHOM_CHECK(x->name == y->name && x->value == y->value, "the same fields");
    }
}

void fuzz_request(std::string_view bytes, std::uint64_t seed) {
    RequestHead head;
    HeadScan scan;
    const auto whole = parse_request_head(bytes, scan, kLimits, head);
    RequestHead head_again;
    HeadScan scan_again;
    const auto pieces = in_pieces(bytes, seed, [&](std::string_view here) {
        return parse_request_head(here, scan_again, kLimits, head_again);
    });
    check_same(whole, pieces);
    if (whole.state != Parsed::State::complete) return;
    check_same(head.headers, head_again.headers);

    std::string out;
    FATHOM_CHECK(append_request_head(out, head, "localhost").has_value(), "it can be sent on");
    RequestHead sent;
    HeadScan sent_scan;
    const auto read = parse_request_head(out, sent_scan, {}, sent);
    FATHOM_CHECK(read.state == Parsed::State::complete && read.used == out.size(),
                 "what is sent on is one head");
    FATHOM_CHECK(sent.method == head.method && sent.target == head.target, "the same request");
    FATHOM_CHECK(sent.body.is_empty() == head.body.is_empty(), "with the same framing");
    FATHOM_CHECK(head.body.is_empty() || sent.body == head.body, "with the same framing");
}

void fuzz_response(std::string_view bytes, std::uint64_t seed, AnswerTo asked) {
    ResponseHead head;
    HeadScan scan;
    const auto whole = parse_response_head(bytes, scan, kLimits, asked, head);
    ResponseHead head_again;
    HeadScan scan_again;
    const auto pieces = in_pieces(bytes, seed, [&](std::string_view here) {
        return parse_response_head(here, scan_again, kLimits, asked, head_again);
    });
    check_same(whole, pieces);
    if (whole.state != Parsed::State::complete) return;
    check_same(head.headers, head_again.headers);

    std::string out;
    const auto framing = append_response_head(
        out, head, {.is_to_head = asked == AnswerTo::head_request, .server = "fathom"});
    ResponseHead sent;
    HeadScan sent_scan;
    const auto read = parse_response_head(out, sent_scan, {}, asked, sent);
    FATHOM_CHECK(read.state == Parsed::State::complete && read.used == out.size(),
                 "what is sent on is one head");
    FATHOM_CHECK(sent.status == head.status, "the same status");
    FATHOM_CHECK(asked != AnswerTo::request || sent.body == framing || framing.is_empty(),
                 "what it says is what we do");
}

struct Chunks {
    ChunkedDecoder decoder{{.bytes_max = 256, .fields_max = 8}};
    Parsed::State state = Parsed::State::incomplete;
    int status = 0;
    std::string body;
    std::size_t used = 0;

    void take(std::string_view bytes) {
        while (state == Parsed::State::incomplete) {
            const auto step = decoder.next(bytes.substr(used));
            FATHOM_CHECK(step.used <= bytes.size() - used, "it uses what is there");
            used += step.used;
            body += step.data;
            state = step.state;
            status = step.refusal.status;
            if (step.data.empty()) break;
        }
    }
};

void fuzz_chunks(std::string_view bytes, std::uint64_t seed) {
    Chunks whole;
    whole.take(bytes);
    Chunks pieces;
    Cuts cuts(seed);
    for (std::size_t here = 0; pieces.state == Parsed::State::incomplete && here < bytes.size();) {
        here = std::min(here + cuts.next(), bytes.size());
        pieces.take(bytes.substr(0, here));
    }
    FATHOM_CHECK(whole.state == pieces.state, "whole and in pieces end the same way");
    FATHOM_CHECK(whole.state != Parsed::State::refused || whole.status == pieces.status,
                 "they are refused alike");
    FATHOM_CHECK(whole.body == pieces.body, "the same body");
    if (whole.state != Parsed::State::complete) return;
    FATHOM_CHECK(whole.used == pieces.used, "the same bytes");
    check_same(whole.decoder.trailers(), pieces.decoder.trailers());
}

}  // namespace
}  // namespace fathom::http

// The first byte says what the rest is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fathom::http;
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::uint64_t seed = size * 2654435761U + data[0];
    switch (data[0] % 4) {
        case 0:
            fuzz_chunks(bytes, seed);
            break;
        case 1:
            fuzz_request(bytes, seed);
            break;
        case 2:
            fuzz_response(bytes, seed, AnswerTo::request);
            break;
        default:
            fuzz_response(bytes, seed, AnswerTo::head_request);
            break;
    }
    return 0;
}
