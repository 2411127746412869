// Deaths: of the daemon, of the keeper, of both; and what is left afterwards.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>

#include "sandbox/sandbox.h"
#include "sandbox/testing/keeper_house.h"

namespace fathom::sandbox {
namespace {

constexpr int kWaitMs = 10'000;

LaunchSpec sample_spec(const KeeperHouse& house, std::string id) {
    LaunchSpec spec;
    spec.id = std::move(id);
    spec.function = "echo.openfaas-fn";
    spec.revision = 3;
    spec.files = (house.data() / "bundle").string();
    spec.command = {"/home/app/function/sample", "serve"};
    return spec;
}

// A process that may be somebody else's child: waits for its end without asking again and again.
class Process {
public:
    explicit Process(int pid)
        : pid_(pid), pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
    void kill() const { ::kill(pid_, SIGKILL); }
    bool ends() const {
        if (!pidfd_) return true;
        pollfd watched{pidfd_.get(), POLLIN, 0};
        return ::poll(&watched, 1, kWaitMs) == 1;
    }

private:
    int pid_;
    rt::Fd pidfd_;
};

// A daemon in a process of its own that launches two replicas and waits to be killed.
class Daemon {
public:
    explicit Daemon(const KeeperHouse& house) {
        int pipe[2];
        if (::pipe(pipe) != 0) return;
        pid_ = ::fork();
        if (pid_ == 0) {
            ::close(pipe[0]);
            (void)rt::run(live(house, pipe[1])).has_value();
            ::_exit(1);
        }
        ::close(pipe[1]);
        rt::Fd ready(pipe[0]);
        (void)!::read(ready.get(), &facts_, sizeof facts_);
    }
    ~Daemon() { kill(); }
    void kill() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }
    struct Facts {
        int guard = 0;
        int first = 0;  // pids of the sandboxes
        int second = 0;
    };
    const Facts& facts() const { return facts_; }

private:
    static Async<> live(const KeeperHouse& house, int ready) {
        auto line = start_or_find_keeper(house.options);
        if (!line) co_return fail(std::move(line).error());
        Facts facts;
        facts.guard = line->guard_pid;
        Keeper keeper(std::move(*line), house.data().string());
        if (auto hello = co_await keeper.open(); !hello) co_return fail(std::move(hello).error());
        auto first = co_await keeper.launch(sample_spec(house, "first"));
        auto second = co_await keeper.launch(sample_spec(house, "second"));
        if (!first || !second) co_return fail(Errc::internal, "not launched");
        facts.first = first->pid;
        facts.second = second->pid;
        (void)!::write(ready, &facts, sizeof facts);
        co_await rt::sleep_for(1h);
        co_return Result<>{};
    }
    int pid_ = 0;
    Facts facts_;
};

int keeper_of(int guard) {
    std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", guard));
    int keeper = 0;
    children >> keeper;
    return keeper;
}

struct Found {
    std::vector<std::string> running;
    std::map<std::string, std::string> ended;
};

// The next daemon: looks at what there is, and ends everything in order.
Async<> look_and_end(const KeeperHouse& house, KeeperLine line, Found& found) {
    Keeper keeper(std::move(line), house.data().string());
    auto hello = co_await keeper.open();
    if (!hello) co_return fail(std::move(hello).error());
    for (const auto& kept : hello->replicas) {
        if (kept.exit) {
            found.ended[kept.id] = kept.exit->text;
        } else {
            EXPECT_EQ(kept.function, "echo.openfaas-fn");
            EXPECT_EQ(kept.revision, 3u);
            found.running.push_back(kept.id);
        }
    }
    std::ranges::sort(found.running);
    co_return co_await keeper.shut_down(2s);
}

Found next_daemon(const KeeperHouse& house) {
    Found found;
    auto line = start_or_find_keeper(house.options);
    EXPECT_TRUE(line);
    if (!line) return found;
    auto ran = rt::run(look_and_end(house, std::move(*line), found));
    EXPECT_TRUE(ran) << ran.error().message();
    return found;
}

TEST(KeeperCrash, ReplicasOutliveAKilledDaemonAndTheNextOneIsToldOfThem) {
    KeeperHouse house(FATHOM_SAMPLE);
    Daemon daemon(house);
    ASSERT_GT(daemon.facts().first, 0);
    const Process guard(daemon.facts().guard);
    daemon.kill();
    auto found = next_daemon(house);
    EXPECT_EQ(found.running, (std::vector<std::string>{"first", "second"}));
    EXPECT_TRUE(guard.ends());
    EXPECT_EQ(house.leftovers(), "");
}

TEST(KeeperCrash, TheNextDaemonIsToldWhatEndedMeanwhile) {
    KeeperHouse house(FATHOM_SAMPLE);
    Daemon daemon(house);
    ASSERT_GT(daemon.facts().first, 0);
    daemon.kill();
    const Process first(daemon.facts().first);
    first.kill();
    ASSERT_TRUE(first.ends());
    auto found = next_daemon(house);
    EXPECT_EQ(found.running, std::vector<std::string>{"second"});
    EXPECT_EQ(found.ended["first"], "killed by signal 9 (SIGKILL)");
    EXPECT_EQ(house.leftovers(), "");
}

TEST(KeeperCrash, AKilledKeeperTakesItsReplicasWithItAndIsStartedAnew) {
    KeeperHouse house(FATHOM_SAMPLE);
    Daemon daemon(house);
    ASSERT_GT(daemon.facts().first, 0);
    const Process first(daemon.facts().first);
    const Process second(daemon.facts().second);
    const Process guard(daemon.facts().guard);
    const Process keeper(keeper_of(daemon.facts().guard));
    keeper.kill();
    EXPECT_TRUE(keeper.ends());
    EXPECT_TRUE(first.ends());
    EXPECT_TRUE(second.ends());
    daemon.kill();
    auto found = next_daemon(house);
    EXPECT_TRUE(found.running.empty());
    EXPECT_TRUE(guard.ends());
    EXPECT_EQ(house.leftovers(), "");
}

TEST(KeeperCrash, AfterTheDeathOfAllTheNextKeeperCleansUp) {
    KeeperHouse house(FATHOM_SAMPLE);
    Daemon daemon(house);
    ASSERT_GT(daemon.facts().first, 0);
    const Process guard(daemon.facts().guard);
    const Process keeper(keeper_of(daemon.facts().guard));
    daemon.kill();
    guard.kill();
    ASSERT_TRUE(guard.ends());
    keeper.kill();
    ASSERT_TRUE(keeper.ends());
    EXPECT_NE(house.leftovers(), "");
    auto found = next_daemon(house);
    EXPECT_TRUE(found.running.empty());
    EXPECT_EQ(house.leftovers(), "");
}

TEST(KeeperCrash, AKeeperLeftAloneEndsInOrder) {
    KeeperHouse house(FATHOM_SAMPLE);
    house.options.alone_max = std::chrono::seconds(0);
    Daemon daemon(house);
    ASSERT_GT(daemon.facts().first, 0);
    const Process guard(daemon.facts().guard);
    const Process first(daemon.facts().first);
    daemon.kill();
    EXPECT_TRUE(first.ends());
    EXPECT_TRUE(guard.ends());
    EXPECT_EQ(house.leftovers(), "");
}

TEST(KeeperCrash, AKeeperWhoseFolderIsRemovedEnds) {
    KeeperHouse house(FATHOM_SAMPLE);
    Daemon daemon(house);
    ASSERT_GT(daemon.facts().first, 0);
    const Process guard(daemon.facts().guard);
    const Process first(daemon.facts().first);
    daemon.kill();
    std::error_code ignored;
    std::filesystem::remove_all(house.data(), ignored);
    EXPECT_TRUE(first.ends());
    EXPECT_TRUE(guard.ends());
}

TEST(KeeperCrash, ASecondDaemonIsRefusedWhileTheFirstLives) {
    KeeperHouse house(FATHOM_SAMPLE);
    Daemon daemon(house);
    ASSERT_GT(daemon.facts().first, 0);
    auto line = start_or_find_keeper(house.options);
    EXPECT_FALSE(line);
    if (!line) EXPECT_EQ(line.error().code(), Errc::conflict);
    daemon.kill();
    next_daemon(house);
    EXPECT_EQ(house.leftovers(), "");
}

// What a daemon that has dropped its privileges must be able to do.
Async<> work_without_privileges(const KeeperHouse& house, KeeperLine line) {
    Keeper keeper(std::move(line), house.data().string());
    if (auto hello = co_await keeper.open(); !hello) co_return fail(std::move(hello).error());
    auto kept = co_await keeper.launch(sample_spec(house, "first"));
    if (!kept) co_return fail(std::move(kept).error());
    auto socket = co_await rt::connect({.unix_path = kept->socket, .ip = {}});
    if (!socket) co_return fail(std::move(socket).error());
    if (auto sent = co_await socket->write("GET / HTTP/1.1\r\n\r\n"); !sent) co_return sent;
    std::array<char, 64> answer;
    auto got = co_await socket->read(answer);
    if (!got) co_return fail(std::move(got).error());
    co_return co_await keeper.shut_down(1s);
}

class WithoutPrivileges : public testing::TestWithParam<Level> {};

TEST_P(WithoutPrivileges, ADaemonReachesItsReplicas) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root has privileges to drop";
    constexpr uid_t kNobody = 65534;
    KeeperHouse house(FATHOM_SAMPLE, GetParam());
    house.options.daemon_uid = kNobody;
    house.options.daemon_gid = kNobody;
    ASSERT_EQ(::chown(house.data().c_str(), kNobody, kNobody), 0);
    std::filesystem::permissions(house.data(), std::filesystem::perms(0700));
    const auto pid = ::fork();
    if (pid == 0) {
        auto line = start_or_find_keeper(house.options);
        if (!line || ::setresgid(kNobody, kNobody, kNobody) != 0 ||
            ::setresuid(kNobody, kNobody, kNobody) != 0) {
            ::_exit(1);
        }
        auto worked = rt::run(work_without_privileges(house, std::move(*line)));
        if (!worked) fmt::print(stderr, "{}\n", worked.error().message());
        ::_exit(worked ? 0 : 2);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(house.leftovers(), "");
}

INSTANTIATE_TEST_SUITE_P(Levels, WithoutPrivileges, testing::Values(Level::full, Level::process));

TEST(KeeperCrash, ManyKilledDaemonsInARowLoseNothing) {
    KeeperHouse house(FATHOM_SAMPLE);
    {
        Daemon first(house);
    }
    for (int round = 0; round < 20; ++round) {
        const auto pid = ::fork();
        if (pid == 0) {
            auto line = start_or_find_keeper(house.options);
            if (line) ::kill(::getpid(), SIGKILL);
            ::_exit(1);
        }
        int status = 0;
        ::waitpid(pid, &status, 0);
        EXPECT_TRUE(WIFSIGNALED(status));
    }
    auto found = next_daemon(house);
    EXPECT_EQ(found.running.size(), 2u);
    EXPECT_EQ(house.leftovers(), "");
}

}  // namespace
}  // namespace fathom::sandbox
