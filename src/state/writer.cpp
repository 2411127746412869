#include "state/writer.h"

#include <algorithm>
#include <map>
#include <optional>

namespace fathom::state {

// One change and who waits for it.
struct Writer::Pending {
    Change change;
    rt::Core* home;
    std::optional<Result<>> result{};  // set by the pool, before it is delivered
    rt::Signal done{};                 // touched at home only
};

struct Writer::Node {
    std::shared_ptr<Pending> pending;
    Node* older;
};

Writer::Writer(Connection connection, rt::BlockingPool& pool)
    : connection_(std::move(connection)), pool_(pool) {}

Writer::~Writer() {
    (void)take_all().size();  // nobody can wait: a waiter holds this writer
}

Async<> Writer::write(Change change) {
    if (waiting_.fetch_add(1) >= kWaitingMax) {
        waiting_.fetch_sub(1);
        co_return fail(Errc::overloaded, "{} changes wait for the disk already", kWaitingMax);
    }
    const auto self = shared_from_this();
    auto pending = std::make_shared<Pending>(std::move(change), &rt::this_core());
    push(pending);
    if (!is_draining_.exchange(true)) start_draining();
    co_await pending->done.wait();
    co_return std::move(*pending->result);
}

void Writer::push(std::shared_ptr<Pending> pending) {
    auto* node = new Node{.pending = std::move(pending), .older = newest_.load()};
    while (!newest_.compare_exchange_weak(node->older, node)) {
    }
}

Writer::Group Writer::take_all() {
    Group group;
    std::unique_ptr<Node> node(newest_.exchange(nullptr));
    while (node) {
        group.push_back(std::move(node->pending));
        node.reset(node->older);
    }
    std::ranges::reverse(group);  // oldest first
    waiting_.fetch_sub(group.size());
    return group;
}

void Writer::start_draining() {
    if (pool_.submit([self = shared_from_this()] { self->drain(); })) return;
    is_draining_.store(false);
    auto group = take_all();
    for (auto& pending : group) {
        pending->result = fail(Errc::overloaded, "the blocking pool is full; nothing was stored");
    }
    deliver(std::move(group));
}

void Writer::drain() {
    for (;;) {
        auto group = take_all();
        if (!group.empty()) {
            commit(group);
            deliver(std::move(group));
            continue;
        }
        // Whoever pushes after this store starts a new drain; who pushed before it is seen here.
        is_draining_.store(false);
        if (newest_.load() == nullptr || is_draining_.exchange(true)) return;
    }
}

void Writer::commit(Group& group) {
    auto together = commit_together(group);
    if (together) return;
    if (group.size() == 1) {
        group.front()->result = std::move(together);
        return;
    }
    // The group failed as a whole (disk full, I/O error). Alone, the small ones may still fit.
    for (auto& pending : group) {
        Group one{pending};
        if (auto alone = commit_together(one); !alone) pending->result = std::move(alone);
    }
}

// Everything in one transaction. Sets the result of each change; an error is the transaction's, and
// then nothing was stored.
Result<> Writer::commit_together(Group& group) {
    const auto rolled_back = [this](Result<> why) {
        if (connection_.is_in_transaction()) (void)connection_.run("ROLLBACK").has_value();
        return why;
    };
    if (auto begun = connection_.run("BEGIN IMMEDIATE"); !begun) return begun;
    for (auto& pending : group) {
        if (auto marked = connection_.run("SAVEPOINT caller"); !marked) return rolled_back(marked);
        pending->result = pending->change(connection_);
        if (!connection_.is_in_transaction()) {  // SQLite gave up on all of it
            if (!*pending->result) return std::move(*pending->result);
            return fail(Errc::unavailable, "the transaction was rolled back");
        }
        if (!*pending->result) {
            if (auto undone = connection_.run("ROLLBACK TO caller"); !undone) {
                return rolled_back(undone);
            }
        }
        if (auto kept = connection_.run("RELEASE caller"); !kept) return rolled_back(kept);
    }
    return rolled_back(connection_.run("COMMIT"));
}

// One message to each core, however many of its callers are served.
void Writer::deliver(Group group) {
    std::map<rt::Core*, Group> by_core;
    for (auto& pending : group) by_core[pending->home].push_back(std::move(pending));
    for (auto& [core, served] : by_core) {
        core->post([group_of_core = std::move(served)] {
            for (const auto& pending : group_of_core) pending->done.raise();
        });
    }
}

}  // namespace fathom::state
