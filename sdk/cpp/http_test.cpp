#include <gtest/gtest.h>

#include "fathom.h"

namespace fathom::detail {
namespace {

int status_of(std::string_view block) {
    Head head;
    return parse_head(block, head).status;
}

TEST(SdkHead, HasTheRequestLineAndTheFields) {
    Head head;
    const auto refusal = parse_head(
        "POST /a/b?c=d&e HTTP/1.1\r\nHost: x\r\nx-one:  1 \t\r\nContent-Length: 12", head);
    ASSERT_FALSE(refusal) << refusal.text;
    EXPECT_EQ(head.method, "POST");
    EXPECT_EQ(head.path, "/a/b");
    EXPECT_EQ(head.query, "c=d&e");
    EXPECT_EQ(head.field("X-One"), "1");
    EXPECT_EQ(head.field("X-Two"), "");
    EXPECT_EQ(head.body_bytes, 12);
    EXPECT_TRUE(head.keep_alive);
}

TEST(SdkHead, ClosesWhenAskedToAndForHttp10) {
    Head head;
    ASSERT_FALSE(parse_head("GET / HTTP/1.1\r\nHost: x\r\nConnection: close", head));
    EXPECT_FALSE(head.keep_alive);
    ASSERT_FALSE(parse_head("GET / HTTP/1.0", head));
    EXPECT_FALSE(head.keep_alive);
}

TEST(SdkHead, RefusesWhatTwoReadersCouldReadDifferently) {
    const std::string start = "POST / HTTP/1.1\r\nHost: x\r\n";
    for (const auto* fields : {"Content-Length: 1\r\nContent-Length: 1",
                               "Content-Length: 1, 1",
                               "Content-Length: +1",
                               "Content-Length: -1",
                               "Content-Length: 1 1",
                               "Content-Length:",
                               "Content-Length: 0x1",
                               "Content-Length: 99999999999999999999",
                               "Content-Length: 1\r\nTransfer-Encoding: chunked",
                               "Transfer-Encoding: gzip, chunked",
                               "Transfer-Encoding: chunked, identity",
                               "Transfer-Encoding: identity",
                               "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                               "Host: y",
                               "X : 1",
                               "X",
                               ": 1",
                               "X: a\r\n b",
                               " X: 1",
                               "X: a\rb",
                               "X: a\nb",
                               "X: a\x01",
                               "X: a\x7F",
                               "X\t: 1",
                               "X(: 1"})
        EXPECT_EQ(status_of(start + fields), 400) << fields;
}

TEST(SdkHead, RefusesMalformedRequestLines) {
    for (const auto* line :
         {"", "GET", "GET /", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1",
          "GET x HTTP/1.1", "GET http://x/ HTTP/1.1", "OPTIONS * HTTP/1.1", "CONNECT x:1 HTTP/1.1",
          "G{T / HTTP/1.1", "GET /\x01 HTTP/1.1", "GET /\xC3\xA9 HTTP/1.1", "GET /#a HTTP/1.1",
          "GET / http/1.1", "GET /\tHTTP/1.1"})
        EXPECT_EQ(status_of(std::string(line) + "\r\nHost: x"), 400) << line;
    EXPECT_EQ(status_of("GET / HTTP/2.0\r\nHost: x"), 505);
    EXPECT_EQ(status_of("GET / HTTP/1.10\r\nHost: x"), 505);
    EXPECT_EQ(status_of("GET / HTTP/1.1"), 400) << "Host is missing";
}

// A connection whose caller has sent `text` and nothing more.
std::unique_ptr<Connection> connection_with(std::string_view text) {
    int ends[2] = {};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    EXPECT_EQ(::send(ends[1], text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    ::close(ends[1]);
    return std::make_unique<Connection>(ends[0]);
}

// The body of a chunked request, read `room` bytes at a time.
std::string read_chunked(std::string_view text, std::size_t room) {
    const auto connection = connection_with(text);
    Head head;
    head.is_chunked = true;
    Body body(*connection, head);
    std::string whole;
    std::string piece(room, '\0');
    while (const auto got = body.read(piece.data(), piece.size())) whole.append(piece, 0, got);
    return whole;
}

TEST(SdkBody, JoinsChunks) {
    const auto* text = "3\r\nabc\r\n00B;ext=\"a\"\r\n0123456789-\r\n0\r\nTrailer: x\r\n\r\n";
    EXPECT_EQ(read_chunked(text, 1), "abc0123456789-");
    EXPECT_EQ(read_chunked(text, 4096), "abc0123456789-");
}

TEST(SdkBody, RefusesMalformedChunks) {
    for (const auto* text :
         {"-1\r\na\r\n0\r\n\r\n", "+1\r\na\r\n0\r\n\r\n", "0x1\r\na\r\n0\r\n\r\n", "\r\n", "g\r\n",
          " 1\r\na\r\n", "1 \r\na\r\n", "1\na\r\n", "1\r\nab\r\n", "1\r\na\n0\r\n\r\n",
          "fffffffffffffffffff\r\n", "1;a\rb\r\na\r\n"})
        EXPECT_THROW((void)read_chunked(text, 64), Refusal) << text;
}

TEST(SdkBody, KnowsACutBody) {
    for (const auto* text : {"", "1", "1\r\n", "1\r\na", "1\r\na\r\n", "0\r\n", "0\r\nT: x\r\n"})
        EXPECT_THROW((void)read_chunked(text, 64), Gone) << text;
}

TEST(SdkQuery, IsDecoded) {
    Head head;
    head.query = "a=1&b=x%20y+z&a=2&&c&d=%zz&%65=f";
    const auto connection = connection_with("");
    Body body(*connection, head);
    const Request request(head, body, 1);
    EXPECT_EQ(request.query("a"), "1");
    EXPECT_EQ(request.query("b"), "x y z");
    EXPECT_EQ(request.query("c"), "");
    EXPECT_EQ(request.query("d"), "%zz");
    EXPECT_EQ(request.query("e"), "f");
    EXPECT_EQ(request.query("g"), std::nullopt);
}

TEST(SdkResponse, RefusesFieldsThatWouldSplitTheAnswer) {
    std::string out;
    EXPECT_TRUE(Response("x").header("X-A", "b").print_head(out));
    EXPECT_FALSE(Response("x").header("X-A", "b\r\nX-B: c").print_head(out));
    EXPECT_FALSE(Response("x").header("X A", "b").print_head(out));
    EXPECT_FALSE(Response("x", 99).print_head(out));
}

}  // namespace
}  // namespace fathom::detail
