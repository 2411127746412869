#include "http/parse.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

namespace fathom::http {
namespace {

// Reads `bytes` as they would arrive in pieces of `piece` bytes.
template <class Read>
Parsed read_in_pieces(const std::string& bytes, std::size_t piece, Read read) {
    Parsed parsed;
    for (std::size_t here = 0; parsed.state == Parsed::State::incomplete && here < bytes.size();) {
        here = std::min(here + piece, bytes.size());
        parsed = read(std::string_view(bytes).substr(0, here));
    }
    return parsed;
}

Parsed read_request(const std::string& bytes, RequestHead& head, std::size_t piece = SIZE_MAX / 2,
                    HeadLimits limits = {}) {
    HeadScan scan;
    return read_in_pieces(bytes, piece, [&](std::string_view here) {
        return parse_request_head(here, scan, limits, head);
    });
}

Parsed read_response(const std::string& bytes, ResponseHead& head,
                     AnswerTo asked = AnswerTo::request, std::size_t piece = SIZE_MAX / 2) {
    HeadScan scan;
    return read_in_pieces(bytes, piece, [&](std::string_view here) {
        return parse_response_head(here, scan, {}, asked, head);
    });
}

struct FramingCase {
    const char* name;
    std::string bytes;
    int status;  // 200: accepted; 0: waits for more
    BodyLength body = {};
};

std::ostream& operator<<(std::ostream& out, const FramingCase& one) {
    return out << one.name;
}

// A request with these lines between the request line and the empty line, Host included.
std::string with(std::string_view lines, std::string_view start = "POST / HTTP/1.1") {
    return std::string(start) + "\r\nHost: a\r\n" + std::string(lines) + "\r\n";
}
std::string line(std::string_view start) {
    return std::string(start) + "\r\nHost: a\r\n\r\n";
}

using namespace std::string_literals;

const std::vector<FramingCase>& framing_cases() {
    static const std::vector<FramingCase> cases = {
        // Lengths.
        {"NoBody", with(""), 200},
        {"ALength", with("Content-Length: 5\r\n"), 200, BodyLength::fixed(5)},
        {"ALengthOfZero", with("Content-Length: 0\r\n"), 200, BodyLength::fixed(0)},
        {"ALengthWithLeadingZeros", with("Content-Length: 0005\r\n"), 200, BodyLength::fixed(5)},
        {"ALengthAmongBlanks", with("content-length: \t 5 \t\r\n"), 200, BodyLength::fixed(5)},
        {"TheLargestLength", with("Content-Length: 18446744073709551615\r\n"), 200,
         BodyLength::fixed(18446744073709551615U)},
        {"ALengthOverflow", with("Content-Length: 18446744073709551616\r\n"), 400},
        {"ALongLengthOverflow", with("Content-Length: 99999999999999999999999999\r\n"), 400},
        {"TwoEqualLengths", with("Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
        {"TwoLengths", with("Content-Length: 5\r\nContent-Length: 6\r\n"), 400},
        {"AListOfEqualLengths", with("Content-Length: 5, 5\r\n"), 400},
        {"AListOfLengths", with("Content-Length: 5,6\r\n"), 400},
        {"ALengthWithPlus", with("Content-Length: +5\r\n"), 400},
        {"ALengthWithMinus", with("Content-Length: -5\r\n"), 400},
        {"AHexadecimalLength", with("Content-Length: 0x5\r\n"), 400},
        {"ALengthWithUnit", with("Content-Length: 5b\r\n"), 400},
        {"ALengthWithInnerSpace", with("Content-Length: 1 0\r\n"), 400},
        {"AFractionalLength", with("Content-Length: 5.0\r\n"), 400},
        {"AnEmptyLength", with("Content-Length:\r\n"), 400},
        {"AQuotedLength", with("Content-Length: \"5\"\r\n"), 400},
        // Transfer codings.
        {"Chunked", with("Transfer-Encoding: chunked\r\n"), 200, BodyLength::chunked()},
        {"ChunkedInCapitals", with("TRANSFER-ENCODING: CHUNKED\r\n"), 200, BodyLength::chunked()},
        {"BothLengthAndChunked", with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400},
        {"BothChunkedAndLength", with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400},
        {"ChunkedTwice", with("Transfer-Encoding: chunked, chunked\r\n"), 400},
        {"ChunkedInTwoFields", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
         400},
        {"GzipThenChunked", with("Transfer-Encoding: gzip, chunked\r\n"), 400},
        {"GzipThenChunkedInTwoFields",
         with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), 400},
        {"ChunkedThenGzip", with("Transfer-Encoding: chunked, gzip\r\n"), 400},
        {"ChunkedThenIdentity",
         with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), 400},
        {"Identity", with("Transfer-Encoding: identity\r\n"), 400},
        {"AnEmptyCoding", with("Transfer-Encoding:\r\n"), 400},
        {"ChunkedWithAComma", with("Transfer-Encoding: ,chunked\r\n"), 400},
        {"ChunkedWithAParameter", with("Transfer-Encoding: chunked;q=1\r\n"), 400},
        {"QuotedChunked", with("Transfer-Encoding: \"chunked\"\r\n"), 400},
        {"ChunkedAfterVerticalTab", with("Transfer-Encoding: \vchunked\r\n"), 400},
        {"XChunked", with("Transfer-Encoding: xchunked\r\n"), 400},
        {"ChunkedInHttp10", with("Transfer-Encoding: chunked\r\n", "POST / HTTP/1.0"), 400},
        // Field lines.
        {"AFoldedField", with("X: a\r\n b\r\n"), 400},
        {"AFoldedFieldWithTab", with("X: a\r\n\tb\r\n"), 400},
        {"AFoldedFirstField", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
        {"ASpaceBeforeTheColon", with("Content-Length : 5\r\n"), 400},
        {"ATabBeforeTheColon", with("Transfer-Encoding\t: chunked\r\n"), 400},
        {"AnEmptyName", with(": a\r\n"), 400},
        {"ANameWithoutColon", with("X\r\n"), 400},
        {"ASpaceInTheName", with("X Y: a\r\n"), 400},
        {"AByteOver127InTheName", with("X\xc3\xa4: a\r\n"), 400},
        {"AParenthesisInTheName", with("X(: a\r\n"), 400},
        {"AnEmptyValue", with("X:\r\n"), 200},
        {"AByteOver127InTheValue", with("X: \xc3\xa4\r\n"), 200},
        {"NulInTheName", with("X\0Y: a\r\n"s), 400},
        {"NulInTheValue", with("X: a\0b\r\n"s), 400},
        {"AControlByteInTheValue", with("X: a\x01\x62\r\n"), 400},
        {"DelInTheValue", with("X: a\x7f\r\n"), 400},
        {"BareCrInTheValue", with("X: a\rb\r\n"), 400},
        {"BareCrBeforeCrLf", with("X: a\r\r\n"), 400},
        {"BareCrInTheRequestLine", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400},
        {"BareCrAsALine", with("\rX: a\r\n"), 400},
        {"BareLfInTheFields", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
        {"BareLfAfterTheRequestLine", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
        {"BareLfAtTheEnd", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
        {"OnlyBareLf", "GET / HTTP/1.1\nHost: a\n\n", 400},
        // Host.
        {"NoHost", "GET / HTTP/1.1\r\n\r\n", 400},
        {"NoHostInHttp10", "GET / HTTP/1.0\r\n\r\n", 200},
        {"TwoHosts", with("Host: b\r\n"), 400},
        {"TwoEqualHosts", with("Host: a\r\n"), 400},
        {"TwoHostsInHttp10", with("Host: b\r\n", "GET / HTTP/1.0"), 400},
        {"AnEmptyHost", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 200},
        {"AHostWithPort", "GET / HTTP/1.1\r\nHost: a.b-c:8080\r\n\r\n", 200},
        {"AnIpv6Host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200},
        {"AHostWithSpace", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
        {"AHostWithUser", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
        {"AHostWithPath", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        {"AHostWithTwoPorts", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400},
        {"AHostWithALargePort", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400},
        {"AHostWithANamedPort", "GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", 400},
        {"AnOpenIpv6Host", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
        {"AnEmptyIpv6Host", "GET / HTTP/1.1\r\nHost: []\r\n\r\n", 400},
        {"OnlyAPortAsHost", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400},
        // Request targets.
        {"APath", line("GET /a/b?c=d HTTP/1.1"), 200},
        {"AnAbsoluteTarget", line("GET http://a/b HTTP/1.1"), 200},
        {"AnAbsoluteTargetInCapitals", line("GET HTTP://A/b HTTP/1.1"), 200},
        {"AnAbsoluteTargetOfAnotherHost", line("GET http://b/ HTTP/1.1"), 400},
        {"AnAbsoluteTargetWithUser", line("GET http://u@a/ HTTP/1.1"), 400},
        {"AnAbsoluteTargetWithoutHost", line("GET http:///b HTTP/1.1"), 400},
        {"AnAbsoluteTargetOfAnotherScheme", line("GET ftp://a/ HTTP/1.1"), 400},
        {"AnAuthorityForConnect", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 200},
        {"AnAuthorityWithoutPort", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"AnAuthorityWithAnEmptyPort", "CONNECT a: HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"APathForConnect", line("CONNECT / HTTP/1.1"), 400},
        {"AnAuthorityForGet", line("GET a:80 HTTP/1.1"), 400},
        {"AnAsteriskForOptions", line("OPTIONS * HTTP/1.1"), 200},
        {"AnAsteriskForGet", line("GET * HTTP/1.1"), 400},
        {"ATargetWithoutSlash", line("GET a HTTP/1.1"), 400},
        {"AFragment", line("GET /a#b HTTP/1.1"), 400},
        {"ASpaceInTheTarget", line("GET /a b HTTP/1.1"), 400},
        {"ATabInTheTarget", line("GET /a\tb HTTP/1.1"), 400},
        {"NulInTheTarget", line("GET /a\0b HTTP/1.1"s), 400},
        {"AByteOver127InTheTarget", line("GET /\xc3\xa4 HTTP/1.1"), 200},
        {"NoTarget", line("GET HTTP/1.1"), 400},
        {"TwoSpacesBeforeTheTarget", line("GET  / HTTP/1.1"), 400},
        {"TwoSpacesBeforeTheVersion", line("GET /  HTTP/1.1"), 400},
        {"ASpaceAfterTheVersion", line("GET / HTTP/1.1 "), 400},
        {"TabsInTheRequestLine", line("GET\t/\tHTTP/1.1"), 400},
        // Methods.
        {"AnUnknownMethod", line("BREW /pot HTTP/1.1"), 200},
        {"AMethodWithColon", line("GE:T / HTTP/1.1"), 400},
        {"AnEmptyMethod", line(" / HTTP/1.1"), 400},
        {"AByteOver127InTheMethod", line("GE\xc3\x84T / HTTP/1.1"), 400},
        // Versions.
        {"Http10", line("GET / HTTP/1.0"), 200},
        {"Http12", line("GET / HTTP/1.2"), 505},
        {"Http20", line("GET / HTTP/2.0"), 505},
        {"Http09WithAVersion", line("GET / HTTP/0.9"), 505},
        {"TheHttp2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"Http09", "GET /\r\n\r\n", 400},
        {"AVersionInSmallLetters", line("GET / http/1.1"), 400},
        {"AVersionWithoutMinor", line("GET / HTTP/2"), 400},
        {"AVersionOfTwoDigits", line("GET / HTTP/1.10"), 400},
        {"AVersionWithComma", line("GET / HTTP/1,1"), 400},
        {"AnotherProtocol", line("GET / RTSP/1.0"), 400},
        // Beginnings and ends.
        {"AnEmptyLineInFront", "\r\n" + line("GET / HTTP/1.1"), 200},
        {"TwoEmptyLinesInFront", "\r\n\r\n" + line("GET / HTTP/1.1"), 400},
        {"ABareLfInFront", "\n" + line("GET / HTTP/1.1"), 400},
        {"ABareCrInFront", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"ATlsHello", "\x16\x03\x01\x02"s, 400},
        {"Nothing", "", 0},
        {"HalfARequestLine", "GET / HT", 0},
        {"AHeadWithoutItsEnd", "GET / HTTP/1.1\r\nHost: a\r\n", 0},
        {"AHeadWithHalfItsEnd", "GET / HTTP/1.1\r\nHost: a\r\n\r", 0},
        // Expectations.
        {"ExpectContinue", with("Expect: 100-Continue\r\nContent-Length: 1\r\n"), 200,
         BodyLength::fixed(1)},
        {"AnUnknownExpectation", with("Expect: tea\r\n"), 417},
    };
    return cases;
}

class Framing : public testing::TestWithParam<FramingCase> {};

TEST_P(Framing, IsAnsweredTheSameHoweverItArrives) {
    const auto& expected = GetParam();
    for (const std::size_t piece : {SIZE_MAX / 2, std::size_t{1}, std::size_t{7}}) {
        RequestHead head;
        const auto parsed = read_request(expected.bytes, head, piece);
        const int status = parsed.state == Parsed::State::complete  ? 200
                           : parsed.state == Parsed::State::refused ? parsed.refusal.status
                                                                    : 0;
        EXPECT_EQ(status, expected.status)
            << "in pieces of " << piece << ": " << parsed.refusal.sentence;
        if (status == 200) {
            EXPECT_EQ(head.body, expected.body);
        } else if (status != 0) {
            EXPECT_FALSE(parsed.refusal.sentence.empty());
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Http1, Framing, testing::ValuesIn(framing_cases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Framing, HasAtLeastSixtyCases) {
    EXPECT_GE(framing_cases().size(), 60U);
}

TEST(RequestHeads, AreReadWhole) {
    const std::string bytes =
        "POST /function/a%2Fb?x=1&y HTTP/1.1\r\nHost: example.org:8080\r\nAccept: */*\r\n"
        "X-Empty: \r\nContent-Length: 3\r\n\r\nabcGET";
    RequestHead head;
    const auto parsed = read_request(bytes, head);
    ASSERT_EQ(parsed.state, Parsed::State::complete);
    EXPECT_EQ(bytes.substr(parsed.used), "abcGET");
    EXPECT_EQ(head.method, "POST");
    EXPECT_EQ(head.target, "/function/a%2Fb?x=1&y");
    EXPECT_EQ(head.path, "/function/a%2Fb");
    EXPECT_EQ(head.query, "x=1&y");
    EXPECT_TRUE(head.has_query);
    EXPECT_EQ(head.authority, "example.org:8080");
    EXPECT_EQ(head.headers.size(), 4U);
    EXPECT_EQ(head.headers.get("accept"), "*/*");
    EXPECT_EQ(head.headers.find("x-empty"), "");
    EXPECT_EQ(head.headers.find("x-missing"), std::nullopt);
    EXPECT_TRUE(head.keep_alive);
    EXPECT_FALSE(head.expects_continue);
}

TEST(RequestHeads, TellAnEmptyQueryFromNone) {
    RequestHead head;
    read_request(line("GET /a? HTTP/1.1"), head);
    EXPECT_TRUE(head.has_query);
    EXPECT_EQ(head.query, "");
    read_request(line("GET /a HTTP/1.1"), head);
    EXPECT_FALSE(head.has_query);
}

TEST(RequestHeads, TakePathAndHostFromAnAbsoluteTarget) {
    RequestHead head;
    const auto bytes = line("GET http://A/b/c?d HTTP/1.1");
    ASSERT_EQ(read_request(bytes, head).state, Parsed::State::complete);
    EXPECT_EQ(head.authority, "A");
    EXPECT_EQ(head.path, "/b/c");
    EXPECT_EQ(head.query, "d");
    const auto bare = line("GET http://a HTTP/1.1");
    ASSERT_EQ(read_request(bare, head).state, Parsed::State::complete);
    EXPECT_EQ(head.path, "/");
    const auto query_only = line("GET http://a?q=/ HTTP/1.1");
    ASSERT_EQ(read_request(query_only, head).state, Parsed::State::complete);
    EXPECT_EQ(head.path, "/");
    EXPECT_EQ(head.query, "q=/");
    const auto server = line("OPTIONS http://a HTTP/1.1");
    ASSERT_EQ(read_request(server, head).state, Parsed::State::complete);
    EXPECT_EQ(head.path, "*");
}

TEST(RequestHeads, KnowWhetherTheConnectionStays) {
    const auto stays = [](const std::string& bytes) {
        RequestHead head;
        EXPECT_EQ(read_request(bytes, head).state, Parsed::State::complete);
        return head.keep_alive;
    };
    EXPECT_TRUE(stays(with("")));
    EXPECT_FALSE(stays(with("Connection: close\r\n")));
    EXPECT_FALSE(stays(with("Connection: keep-alive, Close\r\n")));
    EXPECT_FALSE(stays(with("Connection: keep-alive\r\nConnection: close\r\n")));
    EXPECT_FALSE(stays(with("", "GET / HTTP/1.0")));
    EXPECT_TRUE(stays(with("Connection: Keep-Alive\r\n", "GET / HTTP/1.0")));
}

TEST(RequestHeads, ExpectOnlyWhereABodyFollowsInHttp11) {
    const auto expects = [](const std::string& bytes) {
        RequestHead head;
        EXPECT_EQ(read_request(bytes, head).state, Parsed::State::complete);
        return head.expects_continue;
    };
    EXPECT_TRUE(expects(with("Expect: 100-continue\r\nContent-Length: 1\r\n")));
    EXPECT_FALSE(expects(with("Expect: 100-continue\r\n")));
    EXPECT_FALSE(expects(with("Expect: 100-continue\r\nContent-Length: 1\r\n", "PUT / HTTP/1.0")));
}

TEST(RequestHeads, AreRefusedOverTheLimitOfBytes) {
    const auto padded = [](std::size_t size) {
        const auto empty = with("X: \r\n").size();
        return with("X: " + std::string(size - empty, 'a') + "\r\n");
    };
    for (const std::size_t piece : {SIZE_MAX / 2, std::size_t{1000}}) {
        RequestHead head;
        EXPECT_EQ(read_request(padded(4096), head, piece, {.bytes_max = 4096}).state,
                  Parsed::State::complete);
        const auto parsed = read_request(padded(4097), head, piece, {.bytes_max = 4096});
        ASSERT_EQ(parsed.state, Parsed::State::refused);
        EXPECT_EQ(parsed.refusal.status, 431);
    }
}

TEST(RequestHeads, AreRefusedOverTheLimitOfFields) {
    RequestHead head;
    EXPECT_EQ(read_request(with("X: 1\r\nY: 2\r\n"), head, 99, {.fields_max = 3}).state,
              Parsed::State::complete);
    const auto parsed = read_request(with("X: 1\r\nY: 2\r\nZ: 3\r\n"), head, 99, {.fields_max = 3});
    ASSERT_EQ(parsed.state, Parsed::State::refused);
    EXPECT_EQ(parsed.refusal.status, 431);
}

TEST(RequestHeads, LookAtEveryByteOnce) {
    const auto bytes = with("X: " + std::string(10000, 'a') + "\r\n");
    HeadScan scan;
    RequestHead head;
    parse_request_head(std::string_view(bytes).substr(0, 9000), scan, {}, head);
    EXPECT_EQ(scan.next, 9000U);
}

TEST(ResponseHeads, AreReadWhole) {
    const std::string bytes =
        "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
    ResponseHead head;
    const auto parsed = read_response(bytes, head);
    ASSERT_EQ(parsed.state, Parsed::State::complete);
    EXPECT_EQ(bytes.substr(parsed.used), "abc");
    EXPECT_EQ(head.status, 404);
    EXPECT_EQ(head.reason, "Not Found");
    EXPECT_EQ(head.body, BodyLength::fixed(3));
    EXPECT_FALSE(head.keep_alive);
}

struct ResponseCase {
    const char* name;
    std::string bytes;
    bool is_accepted;
    BodyLength body = {};
    bool keep_alive = true;
    AnswerTo asked = AnswerTo::request;
};

std::ostream& operator<<(std::ostream& out, const ResponseCase& one) {
    return out << one.name;
}

std::string ok(std::string_view lines) {
    return "HTTP/1.1 200 OK\r\n" + std::string(lines) + "\r\n";
}

const std::vector<ResponseCase>& response_cases() {
    static const std::vector<ResponseCase> cases = {
        {"ALength", ok("Content-Length: 3\r\n"), true, BodyLength::fixed(3)},
        {"Chunked", ok("Transfer-Encoding: chunked\r\n"), true, BodyLength::chunked()},
        {"NeitherLastsUntilClose", ok(""), true, BodyLength::until_close(), false},
        {"Both", ok("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), false},
        {"TwoLengths", ok("Content-Length: 3\r\nContent-Length: 3\r\n"), false},
        {"Gzip", ok("Transfer-Encoding: gzip\r\n"), false},
        {"ToHead", ok("Content-Length: 3\r\n"), true, {}, true, AnswerTo::head_request},
        {"ToHeadWithoutLength", ok(""), true, {}, true, AnswerTo::head_request},
        {"ToConnect", ok(""), true, {}, true, AnswerTo::connect_request},
        {"NoContent", "HTTP/1.1 204 No Content\r\n\r\n", true},
        {"NotModified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", true},
        {"Interim", "HTTP/1.1 100 Continue\r\n\r\n", true},
        {"NoReason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", true, BodyLength::fixed(0)},
        {"NoSpaceAndNoReason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", true,
         BodyLength::fixed(0)},
        {"Http10", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true, BodyLength::fixed(0),
         false},
        {"Http10KeptAlive",
         "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", true,
         BodyLength::fixed(0)},
        {"Http10Chunked", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false},
        {"ATwoDigitStatus", "HTTP/1.1 20 OK\r\n\r\n", false},
        {"AFourDigitStatus", "HTTP/1.1 2000 OK\r\n\r\n", false},
        {"AStatusBelow100", "HTTP/1.1 099 OK\r\n\r\n", false},
        {"AStatusInWords", "HTTP/1.1 OK\r\n\r\n", false},
        {"Http2", "HTTP/2.0 200 OK\r\n\r\n", false},
        {"AnotherProtocol", "220 mail ready\r\n", false},
        {"AnEmptyLineInFront", "\r\nHTTP/1.1 200 OK\r\n\r\n", false},
        {"AControlByteInTheReason", "HTTP/1.1 200 O\x01K\r\n\r\n", false},
        {"BareLf", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", false},
    };
    return cases;
}

class ResponseFraming : public testing::TestWithParam<ResponseCase> {};

TEST_P(ResponseFraming, IsAnsweredTheSameHoweverItArrives) {
    const auto& expected = GetParam();
    for (const std::size_t piece : {SIZE_MAX / 2, std::size_t{1}}) {
        ResponseHead head;
        const auto parsed = read_response(expected.bytes, head, expected.asked, piece);
        ASSERT_EQ(parsed.state,
                  expected.is_accepted ? Parsed::State::complete : Parsed::State::refused)
            << parsed.refusal.sentence;
        if (!expected.is_accepted) continue;
        EXPECT_EQ(head.body, expected.body);
        EXPECT_EQ(head.keep_alive, expected.keep_alive);
    }
}

INSTANTIATE_TEST_SUITE_P(Http1, ResponseFraming, testing::ValuesIn(response_cases()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace fathom::http
