#include "state/migrations.h"

#include <array>

#include "state/testing.h"

namespace fathom::state {
namespace {

constexpr auto kFirst = std::to_array<Migration>({
    {.number = 1, .name = "one", .sql = "CREATE TABLE one (x INTEGER)"},
});
constexpr auto kBoth = std::to_array<Migration>({
    {.number = 1, .name = "one", .sql = "CREATE TABLE one (x INTEGER)"},
    {.number = 2, .name = "two", .sql = "CREATE TABLE two (x INTEGER); INSERT INTO two VALUES (2)"},
});
constexpr auto kBroken = std::to_array<Migration>({
    {.number = 1, .name = "one", .sql = "CREATE TABLE one (x INTEGER)"},
    {.number = 2,
     .name = "two",
     .sql = "CREATE TABLE two (x INTEGER); INSERT INTO nowhere VALUES (1)"},
});

class MigrationsTest : public testing::Test {
protected:
    static Connection open(const std::string& path) {
        auto connection = Connection::open(path, Connection::Mode::read_write);
        EXPECT_TRUE(connection.has_value()) << connection.error().message();
        return std::move(*connection);
    }

    TemporaryFolder folder_;
    std::string path_ = folder_ / "state.db";
};

TEST_F(MigrationsTest, RunOnceEachAndInOrder) {
    auto connection = open(path_);
    ASSERT_TRUE(migrate(connection, path_, kFirst).has_value());
    ASSERT_TRUE(migrate(connection, path_, kFirst).has_value());
    ASSERT_TRUE(migrate(connection, path_, kBoth).has_value());
    ASSERT_TRUE(migrate(connection, path_, kBoth).has_value());
    EXPECT_EQ(*connection.number("SELECT count(*) FROM schema_version"), 2);
    EXPECT_EQ(*connection.number("SELECT count(*) FROM two"), 1);
}

TEST_F(MigrationsTest, KeepACopyOfWhatWasThere) {
    auto connection = open(path_);
    ASSERT_TRUE(migrate(connection, path_, kFirst).has_value());
    EXPECT_FALSE(std::filesystem::exists(path_ + ".before-1")) << "nothing was there to lose";
    ASSERT_TRUE(connection.run("INSERT INTO one VALUES (42)").has_value());
    ASSERT_TRUE(migrate(connection, path_, kBoth).has_value());

    auto copy = open(path_ + ".before-2");
    EXPECT_EQ(*copy.number("SELECT x FROM one"), 42);
    EXPECT_EQ(*copy.number("SELECT max(version) FROM schema_version"), 1);
    EXPECT_FALSE(std::filesystem::exists(path_ + ".before-2.unfinished"));
}

TEST_F(MigrationsTest, UndoAStepThatFailsAndNameIt) {
    auto connection = open(path_);
    const auto migrated = migrate(connection, path_, kBroken);
    ASSERT_FALSE(migrated.has_value());
    EXPECT_TRUE(migrated.error().message().starts_with("migration 2 (two): "))
        << migrated.error().message();
    EXPECT_EQ(*connection.number("SELECT max(version) FROM schema_version"), 1);
    EXPECT_EQ(*connection.number("SELECT count(*) FROM sqlite_schema WHERE name = 'two'"), 0);
    EXPECT_FALSE(connection.is_in_transaction());
}

TEST_F(MigrationsTest, RefuseANewerDatabaseWithTheWayBack) {
    auto connection = open(path_);
    ASSERT_TRUE(migrate(connection, path_, kBoth).has_value());
    const auto migrated = migrate(connection, path_, kFirst);
    ASSERT_FALSE(migrated.has_value());
    EXPECT_EQ(migrated.error().code(), Errc::unsupported);
    EXPECT_EQ(migrated.error().message(),
              fmt::format("{} has schema 2, and this fathom knows up to 1: start the newer fathom "
                          "again, or put {}.before-2 in its place (what was stored since is lost)",
                          path_, path_));
}

TEST(Migrations, AreNumberedWithoutGaps) {
    int expected = 1;
    for (const auto& migration : migrations()) EXPECT_EQ(migration.number, expected++);
}

}  // namespace
}  // namespace fathom::state
