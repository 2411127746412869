#include "core/result.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace fathom {
namespace {

Result<int> half(int number) {
    if (number % 2 != 0) return fail(Errc::invalid, "{} is odd", number);
    return number / 2;
}

Result<> twice_halved(int number) {
    auto first = half(number);
    if (!first) return fail(std::move(first).error().because("the first half"));
    auto second = half(*first);
    if (!second) return fail(std::move(second).error().because("the second half"));
    return {};
}

TEST(Result, CarriesAValue) {
    EXPECT_EQ(*half(4), 2);
}

TEST(Result, ChainsCausesFromTheOutside) {
    auto result = twice_halved(6);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code(), Errc::invalid);
    EXPECT_EQ(result.error().message(), "the second half: 3 is odd");
}

TEST(Result, EveryCodeHasFacts) {
    for (int code = 0; code <= static_cast<int>(Errc::internal); ++code) {
        const auto& known = facts(static_cast<Errc>(code));
        EXPECT_FALSE(known.name.empty());
        EXPECT_GE(known.http_status, 400);
        EXPECT_NE(known.exit_code, 0);
    }
}

TEST(Result, NamesTheSystemsReason) {
    Result<int> result = fail_errno(Errc::unavailable, ENOENT, "open /nowhere");
    EXPECT_EQ(result.error().message(), "open /nowhere: No such file or directory");
}

}  // namespace
}  // namespace fathom
