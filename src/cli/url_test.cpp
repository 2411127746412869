#include <gtest/gtest.h>

#include "cli/transport.h"

namespace fathom::cli {
namespace {

TEST(GatewayUrl, TakesHostsPortsAndPrefixes) {
    const auto url = GatewayUrl::parse("http://example.org:31112/base/");
    ASSERT_TRUE(url);
    EXPECT_EQ(url->host, "example.org");
    EXPECT_EQ(url->port, 31112);
    EXPECT_EQ(url->prefix, "/base");
    EXPECT_FALSE(url->is_local());
    EXPECT_EQ(GatewayUrl::parse("http://localhost")->port, 80);
    EXPECT_TRUE(GatewayUrl::parse("http://localhost")->is_local());
    EXPECT_EQ(GatewayUrl::parse("http://[::1]:8080")->host, "::1");
    EXPECT_EQ(GatewayUrl::parse("http://[::1]:8080")->port, 8080);
    EXPECT_TRUE(GatewayUrl::parse("http://[::1]")->is_local());
}

TEST(GatewayUrl, RefusesWhatItCannotReach) {
    for (const auto* text : {"", "ftp://x", "http://", "http://a b", "http://a:0", "http://a:x",
                             "http://u@h", "http://[::1"}) {
        const auto url = GatewayUrl::parse(text);
        ASSERT_FALSE(url) << text;
        EXPECT_EQ(url.error().code(), Errc::invalid) << text;
    }
    EXPECT_EQ(GatewayUrl::parse("https://example.org").error().code(), Errc::unsupported);
}

}  // namespace
}  // namespace fathom::cli
