#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "http/parse.h"

namespace fathom::http {
namespace {

struct Read {
    Parsed::State state = Parsed::State::incomplete;
    int status = 0;
    std::string body;
    std::string rest;
    std::vector<std::string> trailers;
};

// Decodes `bytes` as they would arrive in pieces of `piece` bytes.
Read decode(const std::string& bytes, std::size_t piece, HeadLimits limits = {64_KiB, 100}) {
    ChunkedDecoder decoder(limits);
    Read read;
    std::size_t begin = 0;
    std::size_t here = 0;
    while (read.state == Parsed::State::incomplete && here < bytes.size()) {
        here += std::min(piece, bytes.size() - here);
        for (;;) {
            const auto step = decoder.next(std::string_view(bytes).substr(begin, here - begin));
            read.body += step.data;
            read.state = step.state;
            read.status = step.refusal.status;
            begin += step.used;
            if (step.state != Parsed::State::incomplete || step.data.empty()) break;
        }
    }
    read.rest = bytes.substr(begin);
    for (const auto& header : decoder.trailers()) {
        read.trailers.push_back(std::string(header.name) + "=" + std::string(header.value));
    }
    return read;
}

struct ChunkedCase {
    const char* name;
    std::string bytes;
    bool is_accepted;
    std::string body{};
};

std::ostream& operator<<(std::ostream& out, const ChunkedCase& one) {
    return out << one.name;
}

using namespace std::string_literals;

const std::vector<ChunkedCase>& chunked_cases() {
    static const std::vector<ChunkedCase> cases = {
        {"AnEmptyBody", "0\r\n\r\n", true},
        {"OneChunk", "5\r\nhello\r\n0\r\n\r\n", true, "hello"},
        {"TwoChunks", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", true, "hello!"},
        {"HexadecimalSizes", "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", true,
         "01234567890123456789a"},
        {"LeadingZeros", "0005\r\nhello\r\n000\r\n\r\n", true, "hello"},
        {"AnExtension", "5;a=b\r\nhello\r\n0;c\r\n\r\n", true, "hello"},
        {"LineBreaksInTheData", "4\r\n\r\n\r\n\r\n0\r\n\r\n", true, "\r\n\r\n"},
        {"ASignedSize", "+5\r\nhello\r\n0\r\n\r\n", false},
        {"ANegativeSize", "-5\r\nhello\r\n0\r\n\r\n", false},
        {"APrefixedSize", "0x5\r\nhello\r\n0\r\n\r\n", false},
        {"ASizeAfterASpace", " 5\r\nhello\r\n0\r\n\r\n", false},
        {"ASizeBeforeASpace", "5 \r\nhello\r\n0\r\n\r\n", false},
        {"ASpaceBeforeTheExtension", "5 ;a\r\nhello\r\n0\r\n\r\n", false},
        {"AnEmptySize", "\r\nhello\r\n0\r\n\r\n", false},
        {"OnlyAnExtension", ";a\r\nhello\r\n0\r\n\r\n", false},
        {"NoHexadecimalSize", "g\r\nhello\r\n0\r\n\r\n", false},
        {"AnUnderscoreInTheSize", "1_0\r\n0123456789abcdef\r\n0\r\n\r\n", false},
        {"ASizeOverflow", "10000000000000005\r\nhello\r\n0\r\n\r\n", false},
        {"ASizeOf17Zeros", "00000000000000000\r\n\r\n", false},
        {"ASizeEndingInLf", "5\nhello\r\n0\r\n\r\n", false},
        {"ASizeEndingInCr", "5\rhello\r\n0\r\n\r\n", false},
        {"AnExtensionEndingInLf", "5;a\nhello\r\n0\r\n\r\n", false},
        {"AnExtensionWithBareCr", "5;a\rb\r\nhello\r\n0\r\n\r\n", false},
        {"AnExtensionWithNul", "5;a\0\r\nhello\r\n0\r\n\r\n"s, false},
        {"AnEndlessExtension", "5;" + std::string(300, 'a') + "\r\nhello\r\n0\r\n\r\n", false},
        {"AChunkLongerThanItsSize", "4\r\nhello\r\n0\r\n\r\n", false},
        {"AChunkShorterThanItsSize", "6\r\nhello\r\n0\r\n\r\n", false},
        {"AChunkWithoutCrLf", "5\r\nhello0\r\n\r\n", false},
        {"AChunkEndingInLf", "5\r\nhello\n0\r\n\r\n", false},
        {"AChunkEndingInCr", "5\r\nhello\r0\r\n\r\n", false},
        {"AFoldedTrailer", "0\r\nA: b\r\n c\r\n\r\n", false},
        {"ATrailerWithSpaceBeforeTheColon", "0\r\nA : b\r\n\r\n", false},
        {"ATrailerEndingInLf", "0\r\nA: b\n\r\n", false},
        {"AnEndInLf", "0\r\n\n", false},
        {"AnEndInBareCr", "0\r\n\rX: y\r\n\r\n", false},
        {"ALengthAsTrailer", "0\r\nContent-Length: 5\r\n\r\n", false},
        {"ACodingAsTrailer", "0\r\nTransfer-Encoding: chunked\r\n\r\n", false},
        {"HostAsTrailer", "0\r\nHost: b\r\n\r\n", false},
    };
    return cases;
}

class Chunked : public testing::TestWithParam<ChunkedCase> {};

TEST_P(Chunked, IsReadTheSameHoweverItArrives) {
    const auto& expected = GetParam();
    for (const std::size_t piece : {SIZE_MAX / 2, std::size_t{1}, std::size_t{3}}) {
        const auto read = decode(expected.bytes + "GET", piece);
        if (expected.is_accepted) {
            EXPECT_EQ(read.state, Parsed::State::complete) << "in pieces of " << piece;
            EXPECT_EQ(read.body, expected.body);
            EXPECT_EQ(read.rest, "GET");
        } else {
            EXPECT_EQ(read.state, Parsed::State::refused) << "in pieces of " << piece;
            EXPECT_EQ(read.status, 400);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Http1, Chunked, testing::ValuesIn(chunked_cases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Chunked, ReadsTrailers) {
    const std::string bytes = "2\r\nhi\r\n0\r\nX-Sum: 7\r\nX-Note: a b\r\n\r\n";
    for (const std::size_t piece : {SIZE_MAX / 2, std::size_t{1}}) {
        const auto read = decode(bytes, piece);
        EXPECT_EQ(read.state, Parsed::State::complete);
        EXPECT_EQ(read.trailers, (std::vector<std::string>{"X-Sum=7", "X-Note=a b"}));
    }
}

TEST(Chunked, RefusesTooManyOrTooLargeTrailers) {
    EXPECT_EQ(decode("0\r\nA: 1\r\nB: 2\r\n\r\n", 99, {64_KiB, 1}).status, 431);
    EXPECT_EQ(decode("0\r\nA: " + std::string(200, 'a') + "\r\n\r\n", 9, {100, 10}).status, 431);
}

TEST(Chunked, GivesALargeChunkAwayAsItArrives) {
    ChunkedDecoder decoder;
    const auto step = decoder.next("ffffffff\r\nabc");
    EXPECT_EQ(step.data, "abc");
    EXPECT_EQ(step.used, 13U);
    EXPECT_EQ(decoder.chunk_left(), 0xffffffffU - 3);
    EXPECT_EQ(decoder.next("defg").data, "defg");
}

}  // namespace
}  // namespace fathom::http
