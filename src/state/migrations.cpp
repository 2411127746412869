#include "state/migrations.h"

#include <array>

#include "state/files.h"

namespace fathom::state {
namespace {

constexpr auto kMigrations = std::to_array<Migration>({
    {.number = 1, .name = "deployments", .sql = R"(
        CREATE TABLE deployments (
            namespace     TEXT NOT NULL,
            name          TEXT NOT NULL,
            revision      INTEGER NOT NULL,
            desired       INTEGER NOT NULL,
            created_at_ns INTEGER NOT NULL,
            spec          TEXT NOT NULL,  -- as the REST API takes it (function/json.h)
            PRIMARY KEY (namespace, name)
        ) STRICT, WITHOUT ROWID;
    )"},
});

// The whole database as one file, beside it, durable before it gets its name.
Result<> keep_copy(Connection& connection, const std::string& path, int number) {
    const auto copy = fmt::format("{}.before-{}", path, number);
    const auto unfinished = copy + ".unfinished";
    if (auto removed = remove_file(unfinished); !removed) return removed;
    auto into = connection.prepare("VACUUM INTO ?1");
    if (!into) return fail(std::move(into).error());
    into->bind(1, unfinished);
    if (auto done = into->run(); !done) return done;
    return sync_and_rename(unfinished, copy);
}

Result<> apply(Connection& connection, const Migration& migration) {
    auto done =
        connection.run(fmt::format("BEGIN IMMEDIATE; {}; INSERT INTO schema_version (version, "
                                   "name) VALUES ({}, '{}'); COMMIT;",
                                   migration.sql, migration.number, migration.name));
    if (done) return {};
    if (connection.is_in_transaction()) (void)connection.run("ROLLBACK").has_value();
    return fail(std::move(done).error().because(
        fmt::format("migration {} ({})", migration.number, migration.name)));
}

}  // namespace

std::span<const Migration> migrations() {
    return kMigrations;
}

Result<> migrate(Connection& connection, const std::string& path, std::span<const Migration> all) {
    const auto newest = all.back().number;
    auto made = connection.run(
        "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, name TEXT NOT "
        "NULL) STRICT");
    if (!made) return made;
    const auto version = connection.number("SELECT max(version) FROM schema_version");
    if (!version) return fail(version.error());
    if (*version > newest) {
        return fail(Errc::unsupported,
                    "{} has schema {}, and this fathom knows up to {}: start the newer fathom "
                    "again, or put {}.before-{} in its place (what was stored since is lost)",
                    path, *version, newest, path, *version);
    }
    if (*version > 0 && *version < newest) {
        auto kept = keep_copy(connection, path, newest);
        if (!kept) return fail(std::move(kept).error().because("keeping a copy before migrating"));
    }
    for (const auto& migration : all) {
        if (migration.number <= *version) continue;
        if (auto done = apply(connection, migration); !done) return done;
    }
    return {};
}

}  // namespace fathom::state
