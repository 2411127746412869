#include <fstream>

#include "state/deployments_conformance.h"
#include "state/sqlite.h"
#include "state/testing.h"

namespace fathom::state {
namespace {

class InMemory {
public:
    Deployments& deployments() { return *deployments_; }
    void reopen() {}

private:
    std::unique_ptr<Deployments> deployments_ = make_memory_deployments();
};

class OnDisk {
public:
    OnDisk() { reopen(); }
    Deployments& deployments() { return database_->deployments(); }
    void reopen() {
        database_.reset();
        auto database = Database::open(folder_ / "state.db", pool_);
        ASSERT_TRUE(database.has_value()) << database.error().message();
        database_ = std::move(*database);
    }

private:
    TemporaryFolder folder_;
    rt::BlockingPool pool_{{.threads = 2}};
    std::unique_ptr<Database> database_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(InMemory, DeploymentsConformance, InMemory);
INSTANTIATE_TYPED_TEST_SUITE_P(OnDisk, DeploymentsConformance, OnDisk);

class DatabaseTest : public testing::Test {
protected:
    std::unique_ptr<Database> open() {
        auto database = Database::open(path_, pool_);
        EXPECT_TRUE(database.has_value()) << database.error().message();
        return database ? std::move(*database) : nullptr;
    }

    TemporaryFolder folder_;
    std::string path_ = folder_ / "state.db";
    rt::BlockingPool pool_{{.threads = 2}};
};

Async<> put_together(Deployments& deployments, int count) {
    TaskGroup tasks;
    for (int i = 0; i < count; ++i) {
        tasks.spawn(deployments.put(sample(fmt::format("function-{:04}", i))));
    }
    co_return co_await tasks.wait_empty();
}

TEST_F(DatabaseTest, KeepsAThousandDeployments) {
    {
        const auto database = open();
        ASSERT_TRUE(rt::run(put_together(database->deployments(), 1000)).has_value());
    }
    const auto database = open();
    const auto loaded = database->deployments().load();
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message();
    ASSERT_EQ(loaded->size(), 1000U);
    EXPECT_EQ(loaded->at(999), sample("function-0999"));
}

TEST_F(DatabaseTest, SyncsBeforeItAnswers) {
    const auto database = open();
    auto connection = Connection::open(path_, Connection::Mode::read_only);
    ASSERT_TRUE(connection.has_value());
    auto mode = connection->prepare("PRAGMA journal_mode");
    ASSERT_TRUE(mode->step().value());
    EXPECT_EQ(mode->text(0), "wal");
}

TEST_F(DatabaseTest, RefusesAFileThatIsNoDatabase) {
    std::ofstream(path_) << std::string(5000, 'x');
    const auto database = Database::open(path_, pool_);
    ASSERT_FALSE(database.has_value());
    EXPECT_EQ(database.error().code(), Errc::unavailable);
    EXPECT_NE(database.error().message().find("file is not a database"), std::string::npos)
        << database.error().message();
}

TEST_F(DatabaseTest, RefusesAPlaceThatDoesNotExist) {
    const auto database = Database::open(folder_ / "nowhere/state.db", pool_);
    ASSERT_FALSE(database.has_value());
    EXPECT_NE(database.error().message().find("nowhere/state.db"), std::string::npos)
        << database.error().message();
}

TEST_F(DatabaseTest, NamesTheFunctionOfADamagedRow) {
    const auto database = open();
    ASSERT_TRUE(rt::run(database->deployments().put(sample("echo"))).has_value());
    auto connection = Connection::open(path_, Connection::Mode::read_write);
    ASSERT_TRUE(connection->run("UPDATE deployments SET spec = '{'").has_value());
    const auto loaded = database->deployments().load();
    ASSERT_FALSE(loaded.has_value());
    EXPECT_NE(loaded.error().message().find("the stored deployment of echo.openfaas-fn is damaged"),
              std::string::npos);
}

TEST_F(DatabaseTest, RefusesADeploymentItCouldNotReadBack) {
    const auto database = open();
    auto large = sample("large");
    large.spec.environment["a"].assign(2_MiB, 'x');
    const auto put = rt::run(database->deployments().put(large));
    ASSERT_FALSE(put.has_value());
    EXPECT_EQ(put.error().code(), Errc::too_large);
}

}  // namespace
}  // namespace fathom::state
