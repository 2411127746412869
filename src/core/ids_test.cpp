#include "core/ids.h"

#include <gtest/gtest.h>

#include <regex>

namespace fathom {
namespace {

TEST(Uuid, IsAVersion4Uuid) {
    SeededRandom random(7);
    const std::regex form("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
    for (int round = 0; round < 100; ++round) {
        const auto id = Uuid::random(random);
        EXPECT_TRUE(std::regex_match(std::string(id.text()), form)) << id.text();
    }
}

TEST(Uuid, DiffersEachTime) {
    SystemRandom random;
    EXPECT_NE(Uuid::random(random).text(), Uuid::random(random).text());
}

TEST(Hex, WritesTwoDigitsAByte) {
    EXPECT_EQ(to_hex(std::string("\x00\xff a", 4)), "00ff2061");
}

}  // namespace
}  // namespace fathom
