#include "state/files.h"
#include "state/migrations.h"
#include "state/state.h"
#include "state/stored_deployments.h"
#include "state/writer.h"

namespace fathom::state {
namespace {

// synchronous=FULL: a commit is on disk when it returns. A small page cache is enough: rows are
// read once, at start.
constexpr const char* kPragmas =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
    "PRAGMA cache_size=-256; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;";

class SqliteDatabase final : public Database {
public:
    SqliteDatabase(std::string path, Connection connection, rt::BlockingPool& pool)
        : writer_(std::make_shared<Writer>(std::move(connection), pool)),
          deployments_(std::move(path), *writer_) {}
    Deployments& deployments() override { return deployments_; }

private:
    std::shared_ptr<Writer> writer_;
    StoredDeployments deployments_;
};

}  // namespace

Result<std::unique_ptr<Database>> Database::open(std::string path, rt::BlockingPool& pool) {
    auto connection = Connection::open(path, Connection::Mode::read_write);
    if (!connection) return fail(std::move(connection).error());
    if (auto set = connection->run(kPragmas); !set) {
        return fail(std::move(set).error().because("opening the database"));
    }
    if (auto migrated = migrate(*connection, path, migrations()); !migrated) {
        return fail(std::move(migrated).error());
    }
    return std::make_unique<SqliteDatabase>(std::move(path), std::move(*connection), pool);
}

}  // namespace fathom::state
