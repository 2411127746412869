#include "http/head.h"

#include <gtest/gtest.h>

namespace fathom::http {
namespace {

TEST(Heads, CompareNamesWithoutCase) {
    EXPECT_TRUE(equals_ignoring_case("Content-Type", "content-TYPE"));
    EXPECT_FALSE(equals_ignoring_case("Content-Type", "Content-Typ"));
    EXPECT_FALSE(equals_ignoring_case("a@", "a`"));
}

TEST(Heads, FindTheFirstOfSeveralValues) {
    Headers headers;
    headers.add("Accept", "a");
    headers.add("ACCEPT", "b");
    EXPECT_EQ(headers.get("accept"), "a");
    EXPECT_EQ(headers.count("accept"), 2U);
    EXPECT_EQ(headers.find("host"), std::nullopt);
}

TEST(Heads, KnowWhatStaysOnOneConnection) {
    for (const auto* name :
         {"Connection", "keep-alive", "Proxy-Connection", "TRANSFER-ENCODING", "te", "Trailer",
          "Upgrade", "Proxy-Authenticate", "Proxy-Authorization"}) {
        EXPECT_TRUE(is_hop_by_hop(name)) << name;
    }
    for (const auto* name : {"Host", "Content-Length", "Date", "Authorization", "", "X-Connection",
                             "Set-Cookie", "connectioo", "Expect"}) {
        EXPECT_FALSE(is_hop_by_hop(name)) << name;
    }
}

TEST(Heads, ForwardWhatConnectionDoesNotName) {
    Headers from;
    from.add("Connection", "keep-alive, X-Private");
    from.add("X-Private", "1");
    from.add("X-Public", "2");
    from.add("TE", "trailers");
    Headers to;
    add_end_to_end(to, from);
    ASSERT_EQ(to.size(), 1U);
    EXPECT_EQ(to.begin()->name, "X-Public");
}

TEST(Heads, WriteDatesAsTheRfcDoes) {
    const auto text = date_text(Clock::Wall{std::chrono::seconds(784111777)});
    EXPECT_EQ(std::string_view(text.data(), text.size()), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(Heads, DecodePercentEscapes) {
    EXPECT_EQ(percent_decode("a%2Fb%20c+d").value(), "a/b c+d");
    EXPECT_EQ(percent_decode("a+b", Plus::is_space).value(), "a b");
    EXPECT_EQ(percent_decode("%41").value(), "A");
    for (const auto* broken : {"%", "%4", "%4x", "a%", "%00"}) {
        EXPECT_FALSE(percent_decode(broken)) << broken;
    }
}

TEST(Heads, FindTheLastValueOfAQueryKey) {
    EXPECT_EQ(query_value("a=1&b=2&a=3", "a"), "3");
    EXPECT_EQ(query_value("a=1&b", "b"), "");
    EXPECT_EQ(query_value("a=x%20y+z", "a"), "x y z");
    EXPECT_EQ(query_value("%61=1", "a"), "1");
    EXPECT_EQ(query_value("a=%zz", "a"), std::nullopt);
    EXPECT_EQ(query_value("", "a"), std::nullopt);
}

}  // namespace
}  // namespace fathom::http
