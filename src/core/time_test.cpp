#include "core/time.h"

#include <gtest/gtest.h>

namespace fathom {
namespace {

TEST(Time, ReadsRfc3339) {
    struct Case {
        const char* text;
        Duration since_epoch;
    };
    for (const auto& each :
         {Case{"1970-01-01T00:00:01Z", 1s}, Case{"2026-11-21T12:46:37Z", 1'795'265'197s},
          Case{"2026-11-21T12:46:37.25Z", 1'795'265'197s + 250ms},
          Case{"2026-11-21T14:46:37+02:00", 1'795'265'197s},
          Case{"2026-11-21T11:16:37.123456789-01:30", 1'795'265'197s + 123'456'789ns},
          Case{"0001-01-01T00:00:00Z", 0s}}) {
        const auto time = parse_rfc3339(each.text);
        ASSERT_TRUE(time.has_value()) << each.text;
        EXPECT_EQ(time->time_since_epoch(), each.since_epoch) << each.text;
    }
    for (const auto* text :
         {"", "2026-11-21", "2026-11-21T12:46:37", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
          "2026-01-01T24:00:00Z", "9999-01-01T00:00:00Z", "2026-01-01T00:00:00+1:00",
          "2026-01-01T00:00:00Zx", "2026-01-01T00:00:00.Z", "-026-01-01T00:00:00Z"}) {
        EXPECT_FALSE(parse_rfc3339(text).has_value()) << text;
    }
}

TEST(Time, WritesRfc3339) {
    const Clock::Wall at(1'795'265'197s + 5ms + 7ns);
    EXPECT_EQ(to_rfc3339(at), "2026-11-21T12:46:37Z");
    EXPECT_EQ(to_rfc3339(at, TimeDigits::milliseconds), "2026-11-21T12:46:37.005Z");
    EXPECT_EQ(to_rfc3339(at, TimeDigits::nanoseconds), "2026-11-21T12:46:37.005000007Z");
    EXPECT_EQ(to_rfc3339(Clock::Wall(-1s)), "1969-12-31T23:59:59Z");
    EXPECT_EQ(to_rfc3339(Clock::Wall{}), "0001-01-01T00:00:00Z");
}

}  // namespace
}  // namespace fathom
