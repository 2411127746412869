// A server's part on one core: its listener, its connections, its counters. Private to http.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/server.h"
#include "rt/rt.h"

namespace fathom::http {

class Connection;
struct Shard;

// A connection's place among those that hold bytes back.
struct HeldLink : rt::Link {
    explicit HeldLink(Connection& owner) : connection(owner) {}
    Connection& connection;
};

// What the cores of one server see of each other.
struct Shards {
    ServerLimits limits;
    std::string name;
    std::vector<std::unique_ptr<Shard>> all;
    std::atomic<std::size_t> open{0};  // connections on all cores
};

// Written by its core, except `open`, which the core that accepts counts up where it sends to.
struct alignas(64) ShardCounts {
    std::atomic<std::size_t> open{0};
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> requests{0};
    std::atomic<std::uint64_t> bad_requests{0};
};

struct Shard {
    Shard(Shards& owner, rt::Core& at) : shards(owner), core(at) {}

    // On its core from here on.
    void listen(rt::Listener on);
    // Takes what waits in the backlog, then closes the listener.
    Async<> stop_accepting();
    // Lets running exchanges end until `deadline`, then ends everything.
    Async<> finish(Deadline deadline);
    // Sees to it that the connection sends what it holds back before this core waits.
    void hold(HeldLink& connection);
    // Ends everything that runs here.
    void close() noexcept;

    Shards& shards;
    rt::Core& core;
    ShardCounts counts;
    bool is_draining = false;
    std::unique_ptr<Handler> handler;
    std::optional<rt::Listener> listener;
    rt::Link list;  // of Connections
    rt::Link held;  // of HeldLinks
    bool is_flushing = false;
    TaskGroup connections;
    TaskGroup accepting;
    TaskGroup control;

private:
    static Async<> accept_all(Shard& self);
    static Async<> flush_held(Shard& self);
    void place(rt::Listener::Accepted accepted);
    void adopt(rt::Listener::Accepted accepted);
    Shard& least_loaded();
};

inline void count_up(std::atomic<std::uint64_t>& counter) noexcept {
    counter.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace fathom::http
