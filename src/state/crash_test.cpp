// kill -9 in the middle of writing: whatever was acknowledged is there afterwards.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>

#include "rt/fd.h"
#include "state/deployments_conformance.h"
#include "state/testing.h"

namespace fathom::state {
namespace {

constexpr int kWriters = 8;

struct Acknowledged {
    std::uint32_t writer;
    std::uint32_t revision;
};

// Puts the next revision of one deployment, says so, and so on without end.
Async<> write_forever(Deployments& deployments, std::uint32_t writer, std::uint32_t first, int to) {
    for (auto revision = first;; ++revision) {
        const auto put =
            co_await deployments.put(sample(fmt::format("writer-{}", writer), revision));
        if (!put) co_return fail(put.error());
        const Acknowledged said{.writer = writer, .revision = revision};
        if (::write(to, &said, sizeof said) != sizeof said) co_return Result<>();
    }
}

Async<> write_all_forever(Deployments& deployments, std::uint32_t first, int to) {
    TaskGroup tasks;
    for (std::uint32_t writer = 0; writer < kWriters; ++writer) {
        tasks.spawn(write_forever(deployments, writer, first, to));
    }
    co_return co_await tasks.wait_empty();
}

[[noreturn]] void be_the_child(const std::string& path, std::uint32_t first, int to) {
    rt::BlockingPool pool({.threads = 2});
    auto database = Database::open(path, pool);
    if (!database) ::_exit(1);
    (void)rt::run(write_all_forever((*database)->deployments(), first, to)).has_value();
    ::_exit(2);
}

using Revisions = std::map<std::string, std::uint64_t>;

// Reads acknowledgements, kills the child after `count` of them, and reads what was still said.
Revisions kill_after(int count, pid_t child, int from) {
    Revisions acknowledged;
    Acknowledged said{};
    for (int at = 0; ::read(from, &said, sizeof said) == sizeof said; ++at) {
        acknowledged[fmt::format("writer-{}", said.writer)] = said.revision;
        if (at == count) ::kill(child, SIGKILL);
    }
    return acknowledged;
}

TEST(Crash, LosesNothingThatWasAcknowledged) {
    const TemporaryFolder folder;
    const auto path = folder / "state.db";
    rt::BlockingPool pool({.threads = 1});
    std::uint32_t first = 1;
    for (const int count : {1, 17, 64, 130, 257}) {
        int ends[2];
        ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        const rt::Fd from(ends[0]);
        rt::Fd to(ends[1]);
        const auto child = ::fork();
        if (child == 0) be_the_child(path, first, to.get());
        to = rt::Fd();
        const auto acknowledged = kill_after(count, child, from.get());
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the child failed with status " << status;

        auto database = Database::open(path, pool);
        ASSERT_TRUE(database.has_value()) << database.error().message();
        const auto loaded = (*database)->deployments().load();
        ASSERT_TRUE(loaded.has_value()) << loaded.error().message();
        Revisions stored;
        for (const auto& each : *loaded) stored[each.spec.name.name] = each.revision;
        for (const auto& [name, revision] : acknowledged) {
            EXPECT_GE(stored[name], revision) << name << " after " << count << " writes";
        }
        first += 1000;
    }
}

}  // namespace
}  // namespace fathom::state
