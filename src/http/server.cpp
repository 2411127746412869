#include "http/server.h"

#include <algorithm>

#include "http/connection.h"
#include "http/shard.h"

namespace fathom::http {
namespace {

// Connections over the limit are told so, as long as there are not too many of those, too.
constexpr std::size_t kRefusedAtATimeMax = 256;
// A connection that just came in has its first request on its way: a drain waits so long for it.
constexpr Duration kFirstRequestWithin = 500ms;
// Accepted in a row before others have their turn.
constexpr int kAcceptedPerWake = 64;

}  // namespace

void Shard::listen(rt::Listener on) {
    listener = std::move(on);
    accepting.spawn(accept_all(*this));
}

Async<> Shard::accept_all(Shard& self) {
    for (int in_a_row = 1;; ++in_a_row) {
        auto accepted = co_await self.listener->accept();
        if (accepted) {
            self.place(std::move(*accepted));
        } else {
            co_await rt::sleep_for(100ms);
        }
        if (in_a_row % kAcceptedPerWake == 0) co_await rt::yield();
    }
}

Shard& Shard::least_loaded() {
    const auto load = [](const Shard& shard) {
        return shard.counts.open.load(std::memory_order_relaxed);
    };
    Shard* least = this;
    for (const auto& shard : shards.all) {
        if (load(*shard) < load(*least)) least = shard.get();
    }
    // A sixteenth of imbalance is not worth a hand-over.
    return load(*this) > load(*least) + load(*least) / 16 ? *least : *this;
}

void Shard::place(rt::Listener::Accepted accepted) {
    count_up(counts.accepted);
    auto& target = least_loaded();
    shards.open.fetch_add(1, std::memory_order_relaxed);
    target.counts.open.fetch_add(1, std::memory_order_relaxed);
    if (&target == this) {
        adopt(std::move(accepted));
    } else {
        target.core.post([&target, accepted = std::move(accepted)]() mutable {
            target.adopt(std::move(accepted));
        });
    }
}

void Shard::adopt(rt::Listener::Accepted accepted) {
    const auto all_open = shards.open.load(std::memory_order_relaxed);
    const auto limit = shards.limits.connections_max;
    const bool is_taken = handler != nullptr && all_open <= limit + kRefusedAtATimeMax;
    auto socket = is_taken ? rt::Socket::adopt(std::move(accepted.fd))
                           : Result<rt::Socket>(fail(Errc::overloaded, "too many connections"));
    if (!socket) {
        count_up(counts.refused);
        counts.open.fetch_sub(1, std::memory_order_relaxed);
        shards.open.fetch_sub(1, std::memory_order_relaxed);
        return;
    }
    const auto refuses = all_open > limit ? Connection::Refuses::yes : Connection::Refuses::no;
    connections.spawn(
        Connection::run(*this, std::move(*socket), std::move(accepted.peer), refuses));
}

void Shard::hold(HeldLink& connection) {
    connection.enter_before(held);
    if (std::exchange(is_flushing, true)) return;
    control.spawn(flush_held(*this));
}

Async<> Shard::flush_held(Shard& self) {
    co_await rt::yield();
    self.is_flushing = false;
    while (!self.held.is_alone()) {
        auto& link = *static_cast<HeldLink*>(self.held.next());
        link.leave();
        link.connection.flush_held();
    }
    co_return Result<>{};
}

Async<> Shard::stop_accepting() {
    is_draining = true;
    // The accepting task takes what the loop announces in these turns.
    co_await rt::yield();
    co_await rt::yield();
    accepting.cancel();
    listener.reset();
    co_return Result<>{};
}

Async<> Shard::finish(Deadline deadline) {
    const auto close_idle = [this](Connection::Fresh fresh) {
        bool has_fresh = false;
        for (auto* link = list.next(); link != &list; link = link->next()) {
            auto& connection = *static_cast<Connection*>(link);
            connection.close_if_idle(fresh);
            has_fresh |= connection.is_fresh();
        }
        return has_fresh;
    };
    if (close_idle(Connection::Fresh::spared)) {
        (void)co_await within(deadline.sooner_of(Deadline::in(kFirstRequestWithin)),
                              connections.wait_empty());
        close_idle(Connection::Fresh::too);
    }
    (void)co_await within(deadline, connections.wait_empty());
    connections.cancel();
    handler.reset();
    co_return Result<>{};
}

void Shard::close() noexcept {
    accepting.cancel();
    connections.cancel();
    control.cancel();
    listener.reset();
    handler.reset();
}

namespace {

// Runs `step` on every shard's core at the same time, until the last is done.
template <class Step>
Async<> on_every(Shards& shards, Step step) {
    TaskGroup steps;
    for (auto& shard : shards.all) {
        steps.spawn(rt::on_core<void>(shard->core, shard->control,
                                      [&shard = *shard, step] { return step(shard); }));
    }
    co_return co_await steps.wait_empty();
}

}  // namespace

struct Server::State {
    State(rt::Runtime& on, Options options)
        : runtime(on),
          shards{.limits = options.limits, .name = std::move(options.name), .all = {}} {}

    rt::Runtime& runtime;
    Shards shards;
    rt::Address address;
    bool is_drained = false;
};

Server::Server(rt::Runtime& runtime, Options options)
    : state_(std::make_unique<State>(runtime, std::move(options))) {}

Server::~Server() {
    if (!state_ || state_->is_drained) return;
    FATHOM_CHECK(state_->shards.all.size() <= 1, "a server on several cores is drained first");
    for (auto& shard : state_->shards.all) shard->close();
}

Async<> Server::start(const rt::Address& address,
                      std::function<std::unique_ptr<Handler>(rt::Core&)> make) {
    auto& self = *state_;
    // SO_REUSEPORT would share the port with any other process of ours: the first asks without it.
    auto first = rt::Listener::open(address);
    if (!first) co_return fail(std::move(first).error());
    self.address = first->address();
    const bool is_shared = self.runtime.core_count() > 1 && address.unix_path.empty();
    std::optional<rt::Listener> listener;
    if (!is_shared) listener = std::move(*first);
    if (is_shared) first = fail(Errc::unavailable, "closed");

    auto& shards = self.shards.all;
    for (int index = 0; index < self.runtime.core_count(); ++index) {
        shards.push_back(std::make_unique<Shard>(self.shards, self.runtime.core(index)));
    }
    // Every core can take connections before the first one comes.
    for (auto& shard : shards) {
        auto ready = co_await rt::on_core(shard->core, [&shard = *shard, make]() -> Result<> {
            shard.handler = make(shard.core);
            return {};
        });
        if (!ready) co_return fail(std::move(ready).error());
    }
    if (!is_shared) {
        shards.front()->listen(std::move(*listener));
        co_return Result<>{};
    }
    for (auto& shard : shards) {
        auto open = co_await rt::on_core(
            shard->core, [&shard = *shard, where = self.address]() -> Result<> {
                auto mine = rt::Listener::open(where, rt::Sharing::per_core);
                if (!mine) return fail(std::move(mine).error());
                shard.listen(std::move(*mine));
                return {};
            });
        if (!open) {
            (void)co_await drain(Deadline::in(0s));
            co_return fail(std::move(open).error());
        }
    }
    co_return Result<>{};
}

rt::Address Server::address() const {
    return state_->address;
}

Async<> Server::drain(Deadline deadline) {
    if (std::exchange(state_->is_drained, true)) co_return Result<>{};
    auto& shards = state_->shards;
    // Nobody hands a connection over any more when the first begins to finish, and no task of a
    // shard runs any more when it may be destroyed.
    (void)co_await on_every(shards, [](Shard& shard) { return shard.stop_accepting(); });
    (void)co_await on_every(shards, [deadline](Shard& shard) { return shard.finish(deadline); });
    for (auto& shard : shards.all) {
        (void)co_await rt::on_core(shard->core, [&shard = *shard]() -> Result<> {
            shard.close();
            return {};
        });
    }
    co_return Result<>{};
}

Server::Counts Server::counts() const {
    Counts sum;
    for (const auto& shard : state_->shards.all) {
        const auto& counts = shard->counts;
        sum.accepted += counts.accepted.load(std::memory_order_relaxed);
        sum.refused += counts.refused.load(std::memory_order_relaxed);
        sum.requests += counts.requests.load(std::memory_order_relaxed);
        sum.bad_requests += counts.bad_requests.load(std::memory_order_relaxed);
        sum.open += counts.open.load(std::memory_order_relaxed);
    }
    return sum;
}

}  // namespace fathom::http
