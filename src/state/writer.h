// Private: the one writer of the database, with group commit.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rt/rt.h"
#include "state/sqlite.h"

namespace fathom::state {

// Writes that wait while a commit runs share the next one: a single one costs its own sync (311 us
// measured), a thousand together hardly more. Each has a savepoint of its own, so that one that
// fails undoes itself only.
class Writer : public std::enable_shared_from_this<Writer> {
public:
    static constexpr std::size_t kWaitingMax = 10'000;

    // Runs on a thread of the pool, inside a transaction; may be run again when the whole group
    // failed. It owns what it uses.
    using Change = std::function<Result<>(Connection&)>;

    Writer(Connection connection, rt::BlockingPool& pool);
    ~Writer();

    // Comes back on the caller's core once the change is durable. A cancelled caller's change is
    // still written. Callable from every core.
    // Errors: overloaded     kWaitingMax changes wait, or the pool is full
    //         unavailable    the disk; the change is not stored. And what `change` says.
    Async<> write(Change change);

private:
    struct Pending;
    using Group = std::vector<std::shared_ptr<Pending>>;

    void push(std::shared_ptr<Pending> pending);
    Group take_all();
    void drain();
    void start_draining();
    void commit(Group& group);
    Result<> commit_together(Group& group);
    static void deliver(Group group);

    Connection connection_;  // used by the drain() that runs, and there is one at most
    rt::BlockingPool& pool_;
    struct Node;
    std::atomic<Node*> newest_{nullptr};  // a stack: pushed by every core, taken whole by drain()
    std::atomic<std::size_t> waiting_{0};
    std::atomic<bool> is_draining_{false};
};

}  // namespace fathom::state
