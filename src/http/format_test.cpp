#include "http/format.h"

#include <gtest/gtest.h>

namespace fathom::http {
namespace {

RequestHead request(std::string_view method, BodyLength body = {}) {
    RequestHead head;
    head.method = method;
    head.target = "/a?b";
    head.body = body;
    return head;
}

std::string text_of(const RequestHead& head) {
    std::string out;
    EXPECT_TRUE(append_request_head(out, head, "localhost"));
    return out;
}

std::string text_of(const ResponseHead& head, const ResponseForm& form = {}) {
    std::string out;
    append_response_head(out, head, form);
    return out;
}

TEST(RequestBytes, HaveHostAndFraming) {
    EXPECT_EQ(text_of(request("GET")), "GET /a?b HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(text_of(request("POST")),
              "POST /a?b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(text_of(request("PUT", BodyLength::fixed(12))),
              "PUT /a?b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\n");
    EXPECT_EQ(text_of(request("PUT", BodyLength::chunked())),
              "PUT /a?b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(RequestBytes, LeaveOutWhatBelongsToTheOtherConnection) {
    auto head = request("GET");
    head.headers.add("Host", "a");
    head.headers.add("Connection", "close");
    head.headers.add("Content-Length", "7");
    head.headers.add("Transfer-Encoding", "chunked");
    head.headers.add("Expect", "100-continue");
    head.headers.add("Accept", "*/*");
    EXPECT_EQ(text_of(head), "GET /a?b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n");
}

TEST(RequestBytes, AreRefusedWithASpaceInTheTarget) {
    std::string out;
    auto head = request("GET");
    head.target = "/a b";
    EXPECT_EQ(append_request_head(out, head, "a").error().code(), Errc::invalid);
    head.target = "/";
    head.method = "G T";
    EXPECT_EQ(append_request_head(out, head, "a").error().code(), Errc::invalid);
    EXPECT_EQ(out, "");
}

TEST(ResponseBytes, HaveReasonFramingServerAndDate) {
    ResponseHead head;
    head.status = 404;
    head.body = BodyLength::fixed(3);
    head.headers.add("X", "1");
    EXPECT_EQ(text_of(head, {.date = "today", .server = "fathom"}),
              "HTTP/1.1 404 Not Found\r\nX: 1\r\nServer: fathom\r\nDate: today\r\n"
              "Content-Length: 3\r\n\r\n");
    head.headers.add("date", "then");
    head.headers.add("server", "other");
    EXPECT_EQ(text_of(head, {.keep_alive = false, .date = "today", .server = "fathom"}),
              "HTTP/1.1 404 Not Found\r\nX: 1\r\ndate: then\r\nserver: other\r\n"
              "Content-Length: 3\r\nConnection: close\r\n\r\n");
}

TEST(ResponseBytes, SayZeroWhereNoBodyFollows) {
    EXPECT_EQ(text_of(ResponseHead{}), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST(ResponseBytes, HaveNoBodyWhereNoneMayBe) {
    std::string out;
    ResponseHead head;
    head.body = BodyLength::fixed(5);
    EXPECT_TRUE(append_response_head(out, head, {.is_to_head = true}).is_empty());
    EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");

    out.clear();
    head.body = BodyLength::none();
    head.headers.add("Content-Length", "9");
    EXPECT_TRUE(append_response_head(out, head, {.is_to_head = true}).is_empty());
    EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");

    out.clear();
    head.status = 204;
    EXPECT_TRUE(append_response_head(out, head, {}).is_empty());
    EXPECT_EQ(out, "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST(ResponseBytes, LastUntilCloseInsteadOfChunkedForHttp10) {
    std::string out;
    ResponseHead head;
    head.body = BodyLength::chunked();
    EXPECT_EQ(append_response_head(out, head, {}).kind, BodyLength::Kind::chunked);
    EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    out.clear();
    EXPECT_EQ(append_response_head(out, head, {.version_minor = 0}).kind,
              BodyLength::Kind::until_close);
    EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
}

TEST(ResponseBytes, BecomeChunkedWhereTheyLastedUntilClose) {
    std::string out;
    ResponseHead head;
    head.body = BodyLength::until_close();
    EXPECT_EQ(append_response_head(out, head, {}).kind, BodyLength::Kind::chunked);
}

TEST(ResponseBytes, KeepHttp10OpenInWords) {
    EXPECT_EQ(text_of(ResponseHead{}, {.version_minor = 0}),
              "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
}

TEST(ResponseBytes, NeverCarryALineBreakOfAField) {
    ResponseHead head;
    head.reason = "Fine\r\nX: 1";
    head.headers.add("Location", "/a\r\nSet-Cookie: evil=1");
    head.headers.add("Bad Name", "1");
    head.headers.add("", "1");
    EXPECT_EQ(text_of(head), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST(ChunkBytes, HaveSizesInHexadecimal) {
    EXPECT_EQ(chunk_head(8000).view(), "1f40\r\n");
    EXPECT_EQ(chunk_head(UINT64_MAX).view(), "ffffffffffffffff\r\n");
    std::string out;
    append_last_chunk(out, {});
    EXPECT_EQ(out, "0\r\n\r\n");
    Headers trailers;
    trailers.add("X-Sum", "7");
    trailers.add("Content-Length", "7");
    out.clear();
    append_last_chunk(out, trailers);
    EXPECT_EQ(out, "0\r\nX-Sum: 7\r\n\r\n");
}

}  // namespace
}  // namespace fathom::http
