#include "state/stored_deployments.h"

#include "function/json.h"

namespace fathom::state {
namespace {

struct Row {
    function::FunctionName name;
    std::int64_t revision;
    std::int64_t desired;
    std::int64_t created_at_ns;
    std::string spec;
};

Result<> store(Connection& connection, const Row& row) {
    auto statement = connection.prepare(
        "INSERT INTO deployments (namespace, name, revision, desired, created_at_ns, spec) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (namespace, name) DO UPDATE SET "
        "revision = ?3, desired = ?4, created_at_ns = ?5, spec = ?6");
    if (!statement) return fail(std::move(statement).error());
    statement->bind(1, row.name.space);
    statement->bind(2, row.name.name);
    statement->bind(3, row.revision);
    statement->bind(4, row.desired);
    statement->bind(5, row.created_at_ns);
    statement->bind(6, row.spec);
    return statement->run();
}

Result<StoredDeployment> read(const Statement& row) {
    auto spec = function::read_deployment(row.text(5));
    if (!spec) {
        return fail(std::move(spec).error().because(
            fmt::format("the stored deployment of {}.{} is damaged", row.text(1), row.text(0))));
    }
    return StoredDeployment{.spec = std::move(*spec),
                            .revision = static_cast<std::uint64_t>(row.number(2)),
                            .desired = static_cast<unsigned>(row.number(3)),
                            .created_at = Clock::Wall(Duration(row.number(4)))};
}

}  // namespace

// On a connection of its own, so that it sees whole transactions while the writer works.
Result<std::vector<StoredDeployment>> StoredDeployments::load() {
    auto connection = Connection::open(path_, Connection::Mode::read_only);
    if (!connection) return fail(std::move(connection).error());
    const auto count = connection->number("SELECT count(*) FROM deployments");
    if (!count) return fail(count.error());
    auto rows = connection->prepare(
        "SELECT namespace, name, revision, desired, created_at_ns, spec FROM deployments "
        "ORDER BY namespace, name");
    if (!rows) return fail(std::move(rows).error());
    std::vector<StoredDeployment> deployments;
    deployments.reserve(static_cast<std::size_t>(*count));  // growing would cost twice the memory
    for (;;) {
        const auto has_row = rows->step();
        if (!has_row) return fail(has_row.error());
        if (!*has_row) return deployments;
        auto deployment = read(*rows);
        if (!deployment) return fail(std::move(deployment).error());
        deployments.push_back(std::move(*deployment));
    }
}

Async<> StoredDeployments::put(StoredDeployment deployment) {
    Row row{.name = deployment.spec.name,
            .revision = static_cast<std::int64_t>(deployment.revision),
            .desired = deployment.desired,
            .created_at_ns = deployment.created_at.time_since_epoch().count(),
            .spec = function::write_deployment(deployment.spec)};
    if (row.spec.size() > function::kDeploymentBytesMax) {
        co_return fail(Errc::too_large, "the deployment of {} has {} bytes; accepted: at most {}",
                       row.name.text(), row.spec.size(), function::kDeploymentBytesMax);
    }
    auto change = [row = std::move(row)](Connection& connection) { return store(connection, row); };
    co_return co_await writer_.write(std::move(change));
}

Async<> StoredDeployments::erase(function::FunctionName name) {
    auto change = [name = std::move(name)](Connection& connection) -> Result<> {
        auto statement =
            connection.prepare("DELETE FROM deployments WHERE namespace = ?1 AND name = ?2");
        if (!statement) return fail(std::move(statement).error());
        statement->bind(1, name.space);
        statement->bind(2, name.name);
        return statement->run();
    };
    co_return co_await writer_.write(std::move(change));
}

}  // namespace fathom::state
