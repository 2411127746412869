#include "state/writer.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "state/deployments_conformance.h"
#include "state/testing.h"

namespace fathom::state {
namespace {

class WriterTest : public testing::Test {
protected:
    WriterTest() {
        auto connection = Connection::open(path_, Connection::Mode::read_write);
        EXPECT_TRUE(connection->run("PRAGMA journal_mode=WAL; CREATE TABLE t (x INTEGER UNIQUE)")
                        .has_value());
        writer_ = std::make_shared<Writer>(std::move(*connection), pool_);
    }
    std::int64_t count() {
        auto connection = Connection::open(path_, Connection::Mode::read_only);
        return *connection->number("SELECT count(*) FROM t");
    }

    TemporaryFolder folder_;
    std::string path_ = folder_ / "t.db";
    rt::BlockingPool pool_{{.threads = 2}};
    std::shared_ptr<Writer> writer_;
};

Writer::Change insert(std::int64_t number) {
    return [number](Connection& connection) {
        return connection.run(fmt::format("INSERT INTO t VALUES ({})", number));
    };
}

struct Tally {
    int stored = 0;
    int refused = 0;
};

Async<> write_one(std::shared_ptr<Writer> writer, Writer::Change change, Tally& tally) {
    const auto written = co_await writer->write(std::move(change));
    ++(written ? tally.stored : tally.refused);
    co_return Result<>();
}

Async<> write_many(std::shared_ptr<Writer> writer, std::vector<Writer::Change> changes,
                   Tally& tally) {
    TaskGroup tasks;
    for (auto& change : changes) tasks.spawn(write_one(writer, std::move(change), tally));
    co_return co_await tasks.wait_empty();
}

TEST_F(WriterTest, UndoesOnlyTheCallerThatFailed) {
    std::vector<Writer::Change> changes;
    for (const auto number : {1, 2, 1, 3}) changes.push_back(insert(number));
    changes.push_back([](Connection& connection) -> Result<> {  // fails after it wrote
        auto half = connection.run("INSERT INTO t VALUES (99)");
        if (!half) return half;
        return fail(Errc::invalid, "changed my mind");
    });
    Tally tally;
    ASSERT_TRUE(rt::run(write_many(writer_, std::move(changes), tally)).has_value());
    EXPECT_EQ(tally.stored, 3);
    EXPECT_EQ(tally.refused, 2);
    EXPECT_EQ(count(), 3);
}

TEST_F(WriterTest, RetriesTheOthersAloneWhenOneRollsBackTheWholeGroup) {
    std::vector<Writer::Change> changes;
    for (int number = 0; number < 20; ++number) changes.push_back(insert(number));
    // What SQLite does by itself when the disk fills up in the middle.
    changes.push_back([](Connection& connection) -> Result<> {
        auto undone = connection.run("ROLLBACK");
        return fail(Errc::unavailable, "disk full");
    });
    Tally tally;
    ASSERT_TRUE(rt::run(write_many(writer_, std::move(changes), tally)).has_value());
    EXPECT_EQ(tally.stored, 20);
    EXPECT_EQ(tally.refused, 1);
    EXPECT_EQ(count(), 20);
}

Async<> write_from(rt::Runtime& runtime, std::shared_ptr<Writer> writer, int per_core,
                   std::vector<Tally>& tallies, std::vector<TaskGroup>& groups) {
    TaskGroup tasks;
    const auto forget = [](Async<int> work) -> Async<> {
        (void)(co_await std::move(work)).has_value();
        co_return Result<>();
    };
    struct OnCore {
        static Async<int> run(std::shared_ptr<Writer> writer, int first, int count, Tally& tally) {
            std::vector<Writer::Change> changes;
            for (int i = 0; i < count; ++i) changes.push_back(insert(first + i));
            auto done = co_await write_many(writer, std::move(changes), tally);
            if (!done) co_return fail(std::move(done).error());
            co_return 0;
        }
    };
    for (int core = 0; core < runtime.core_count(); ++core) {
        auto& group = groups[static_cast<std::size_t>(core)];
        auto& tally = tallies[static_cast<std::size_t>(core)];
        auto make = [writer, core, per_core, &tally] {
            return OnCore::run(writer, core * per_core, per_core, tally);
        };
        tasks.spawn(forget(rt::on_core<int>(runtime.core(core), group, make)));
    }
    co_return co_await tasks.wait_empty();
}

TEST_F(WriterTest, ServesEveryCore) {
    SystemClock clock;
    rt::Runtime runtime({.cores = 3}, clock);
    std::vector<Tally> tallies(3);
    std::vector<TaskGroup> groups(3);  // one a core; they outlive the threads that use them
    ASSERT_TRUE(runtime.run(write_from(runtime, writer_, 200, tallies, groups)).has_value());
    for (const auto& tally : tallies) EXPECT_EQ(tally.stored, 200);
    EXPECT_EQ(count(), 600);
}

TEST_F(WriterTest, RefusesWhenThePoolIsFull) {
    rt::BlockingPool full({.threads = 1, .jobs_max = 0});
    auto connection = Connection::open(path_, Connection::Mode::read_write);
    const auto writer = std::make_shared<Writer>(std::move(*connection), full);
    for (int round = 0; round < 2; ++round) {
        const auto written = rt::run(writer->write(insert(round)));
        ASSERT_FALSE(written.has_value());
        EXPECT_EQ(written.error().code(), Errc::overloaded);
    }
    EXPECT_EQ(count(), 0);
}

// Runs `body` in a child, which has its own limits and mounts; what it returns is the exit status.
template <class Body>
int in_child(Body body) {
    const auto child = ::fork();
    if (child == 0) ::_exit(body());
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
constexpr int kSkipped = 77;

// Fills `folder` with deployments until the disk refuses; then everything acknowledged must be
// there, small writes may still fit or not, and the database opens again. 0 when so.
int fill_up(const std::string& folder) {
    rt::BlockingPool pool({.threads = 1});
    const auto path = folder + "/state.db";
    auto database = Database::open(path, pool);
    if (!database) return 10;
    std::uint64_t stored = 0;
    for (;;) {
        auto large = sample(fmt::format("f{}", stored));
        large.spec.environment["a"].assign(20'000, 'x');
        const auto put = rt::run((*database)->deployments().put(large));
        if (put) {
            if (++stored > 10'000) return 11;
            continue;
        }
        if (put.error().code() != Errc::unavailable) return 12;
        break;
    }
    const auto loaded = (*database)->deployments().load();
    if (!loaded || loaded->size() != stored || stored == 0) return 13;
    database->reset();
    auto again = Database::open(path, pool);
    if (!again) return 14;
    const auto reloaded = (*again)->deployments().load();
    return reloaded && *reloaded == *loaded ? 0 : 15;
}

TEST(FullDisk, RefusesTheWriteAndStaysIntact) {
    const TemporaryFolder folder;
    const auto status = in_child([&folder] {
        if (::unshare(CLONE_NEWNS) != 0 ||
            ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
            return kSkipped;
        }
        return fill_up(folder.path());
    });
    if (status == kSkipped) GTEST_SKIP() << "needs the right to mount a small tmpfs";
    EXPECT_EQ(status, 0);
}

TEST(FullDisk, RefusesAFileOverItsLimitAndStaysIntact) {
    const TemporaryFolder folder;
    const auto status = in_child([&folder] {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{.rlim_cur = 512 * 1024, .rlim_max = 512 * 1024};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return kSkipped;
        return fill_up(folder.path());
    });
    if (status == kSkipped) GTEST_SKIP() << "needs setrlimit";
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace fathom::state
