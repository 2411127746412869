#include "core/units.h"

#include <gtest/gtest.h>

#include "core/ports.h"

namespace fathom {
namespace {

TEST(Units, ReadsMemoryAsKubernetesDoes) {
    EXPECT_EQ(*parse_bytes("128Mi"), 128_MiB);
    EXPECT_EQ(*parse_bytes("1G"), 1'000'000'000u);
    EXPECT_EQ(*parse_bytes("1.5Ki"), 1536u);
    EXPECT_EQ(*parse_bytes("1e3"), 1000u);
    EXPECT_EQ(*parse_bytes("100m"), 1u);
    EXPECT_EQ(*parse_bytes("0"), 0u);
    EXPECT_EQ(*parse_bytes("9223372036854775807"), 9'223'372'036'854'775'807u);
    EXPECT_FALSE(parse_bytes("9223372036854775808").has_value());
    EXPECT_FALSE(parse_bytes("8Ei").has_value());
}

TEST(Units, RefusesWhatIsNoSize) {
    for (const auto* text :
         {"", "Mi", "-1Mi", "1mi", "12 Mi", "1Mi ", "inf", "nan", "9e40", "16Ei", "0x10"}) {
        EXPECT_FALSE(parse_bytes(text).has_value()) << text;
    }
}

TEST(Units, ReadsCpuRoundedUp) {
    EXPECT_EQ(parse_cpu("100m")->count, 100);
    EXPECT_EQ(parse_cpu("0.5")->count, 500);
    EXPECT_EQ(parse_cpu("2")->count, 2000);
    EXPECT_EQ(parse_cpu("0.0001")->count, 1);
    EXPECT_EQ(parse_cpu("1000000")->count, 1'000'000'000);
    for (const auto* text : {"", "half", "-1", "1000001", "1e30", "1e9999", "100mm"}) {
        EXPECT_FALSE(parse_cpu(text).has_value()) << text;
    }
}

TEST(Units, ReadsGoDurationsAndBareSeconds) {
    EXPECT_EQ(*parse_duration("1h2m3.5s"), 1h + 2min + 3500ms);
    EXPECT_EQ(*parse_duration("100ms"), 100ms);
    EXPECT_EQ(*parse_duration("30"), 30s);
    EXPECT_EQ(*parse_duration("0"), 0s);
    EXPECT_EQ(*parse_duration("1.5us"), 1500ns);
    EXPECT_FALSE(parse_duration("30", BareSeconds::refused).has_value());
    EXPECT_EQ(*parse_duration("876000h"), 876'000h);  // 100 years
    for (const auto* text : {"", "s", "-1s", "1", "1 s", "1e3s", "5x", "99999999999999999999",
                             "876001h", "876000h1ns", "9223372037", "1e400h"}) {
        EXPECT_FALSE(parse_duration(text, BareSeconds::refused).has_value()) << text;
    }
}

TEST(Units, WritesDurationsAsGoDoes) {
    EXPECT_EQ(to_text(90s), "1m30s");
    EXPECT_EQ(to_text(100ms), "100ms");
    EXPECT_EQ(to_text(1500ms), "1.5s");
    EXPECT_EQ(to_text(0s), "0s");
    EXPECT_EQ(to_text(1h), "1h0m0s");
    EXPECT_EQ(to_text(1500ns), "1.5us");
    EXPECT_EQ(to_text(123'456'789ns), "123.456789ms");
    EXPECT_EQ(to_text(1h + 1ns), "1h0m0.000000001s");
    EXPECT_EQ(to_text(1min + 10'020ms), "1m10.02s");
    EXPECT_EQ(to_text(-1500ms), "-1.5s");
    EXPECT_EQ(to_text(Duration::min()), "-2562047h47m16.854775808s");
    EXPECT_EQ(to_text(Duration::max()), "2562047h47m16.854775807s");
}

TEST(Units, ReadsBackTheDurationsItWrites) {
    SeededRandom random(3);
    for (int round = 0; round < 1000; ++round) {
        const Duration duration(random.next() % (1ULL << (random.next() % 62)));
        EXPECT_EQ(*parse_duration(to_text(duration)), duration) << duration.count();
    }
}

}  // namespace
}  // namespace fathom
