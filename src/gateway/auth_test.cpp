#include "gateway/auth.h"

#include <gtest/gtest.h>

namespace fathom::gateway {
namespace {

const Credentials kAdmin{.user = "admin", .password = "s3cret:with:colons"};

TEST(Auth, TakesTheRightPair) {
    // admin:s3cret:with:colons
    EXPECT_TRUE(is_authorized("Basic YWRtaW46czNjcmV0OndpdGg6Y29sb25z", kAdmin));
    EXPECT_TRUE(is_authorized("basic YWRtaW46czNjcmV0OndpdGg6Y29sb25z", kAdmin));
}

TEST(Auth, RefusesEverythingElse) {
    for (const auto* field :
         {"", "Basic", "Basic ", "Basic YWRtaW4=", "Basic !!!!",
          "Basic YWRtaW46czNjcmV0OndpdGg6Y29sb25zIQ==", "Bearer YWRtaW46czNjcmV0OndpdGg6Y29sb25z",
          "YWRtaW46czNjcmV0OndpdGg6Y29sb25z", "Basic Og=="}) {
        EXPECT_FALSE(is_authorized(field, kAdmin)) << field;
    }
}

TEST(Auth, AsksNobodyWhenNotRequired) {
    EXPECT_TRUE(is_authorized("", Credentials{.is_required = false}));
}

TEST(Base64, DecodesEveryLength) {
    EXPECT_EQ(decode_base64("Zg=="), "f");
    EXPECT_EQ(decode_base64("Zm8="), "fo");
    EXPECT_EQ(decode_base64("Zm9v"), "foo");
    EXPECT_EQ(decode_base64(""), "");
    EXPECT_EQ(decode_base64("Zm9*"), "");
}

}  // namespace
}  // namespace fathom::gateway
