// Which function, which replica, and waiting for one.
#include <algorithm>
#include <charconv>

#include "invoke/invoker.h"

namespace fathom::invoke {
namespace {

void configure(LocalRoute& route, const function::FunctionSpec& spec, const Limits& limits) {
    route.call_max = function::exec_timeout_of(spec, limits.call_max);
    const bool is_own = spec.environment.contains("exec_timeout");
    if (route.call_max == Duration::zero()) route.call_max = limits.call_max;
    route.call_max_set_by =
        is_own ? "the function's environment" : "the gateway's upstream_timeout";
    const auto text = spec.annotation(kInFlightMax);
    route.in_flight_max = 0;
    std::from_chars(text.data(), text.data() + text.size(), route.in_flight_max);
}

// Keeps the connections to replicas that stay.
void connect(LocalRoute& route, int cores) {
    auto before = std::exchange(route.replicas, {});
    for (const auto& replica : route.shared.deployment->replicas) {
        if (replica.state != provider::ReplicaState::ready) continue;
        auto known = std::ranges::find_if(
            before, [&](const auto& local) { return local && local->replica.id == replica.id; });
        if (known != before.end()) {
            (*known)->replica = replica;
            route.replicas.push_back(std::move(*known));
            continue;
        }
        http::ClientLimits client;
        // A replica that serves few connections must not be held by an idle one of another core.
        if (replica.capacity > 0 && cores > 1) client.idle_per_upstream_max = 0;
        route.replicas.push_back(std::make_shared<LocalReplica>(
            replica, std::make_unique<http::Upstream>(replica.endpoint, client)));
    }
}

// Takes a place, if the replica has one left.
bool take_place(provider::ReplicaLoad& load, unsigned capacity) {
    if (capacity == 0) {
        load.in_flight.fetch_add(1);
        return true;
    }
    // Never one too many, not even for a moment: another core would look just then, see no room,
    // and wait for a call that ended already.
    auto now = load.in_flight.load();
    while (now < capacity) {
        if (load.in_flight.compare_exchange_weak(now, now + 1)) return true;
    }
    return false;
}

struct WaitForTurn {
    rt::Link& queue;
    rt::Waker waker{};
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
        waker.handle = handle;
        waker.enter_before(queue);
    }
    void await_resume() const noexcept {}
};

struct CountWaiting {
    explicit CountWaiting(std::uint32_t& in) : count(in) { ++count; }
    CountWaiting(const CountWaiting&) = delete;
    CountWaiting& operator=(const CountWaiting&) = delete;
    ~CountWaiting() { --count; }
    std::uint32_t& count;
};

}  // namespace

void Slot::give_back() noexcept {
    if (replica_ == nullptr) return;
    replica_->replica.load->in_flight.fetch_sub(1);
    auto& load = *route_->shared.load;
    if (replica_->replica.capacity > 0 && load.waiting_cores.load() != 0) {
        directory_->room_on(load, route_->name);
    }
    replica_.reset();
    route_.reset();
}

void InvokerState::update(const std::shared_ptr<const Routes>& fresh) {
    routes = fresh;
    std::erase_if(by_name, [&](const auto& entry) {
        if (fresh->contains(entry.first)) return false;
        rt::this_core().wake_all(entry.second->waiting_calls);  // to be told that it is gone
        return true;
    });
    for (const auto& [name, local] : by_name) {
        const auto& route = fresh->find(name)->second;
        if (local->shared.deployment == route.deployment) continue;
        adopt(*local, route);
        rt::this_core().wake_all(local->waiting_calls);
    }
}

void InvokerState::adopt(LocalRoute& local, const Route& route) {
    local.shared = route;
    configure(local, *route.deployment->spec, limits);
    connect(local, static_cast<int>(directory.seats_.size()));
}

void InvokerState::look_again(std::string_view name) {
    const auto found = by_name.find(name);
    if (found != by_name.end()) rt::this_core().wake_all(found->second->waiting_calls);
}

std::shared_ptr<LocalRoute> InvokerState::find(std::string_view function) {
    if (auto known = find_exactly(function)) return known;
    // No namespace: the default one. Built aside, as names are short.
    if (function.size() > 2 * function::kDefaultNamespace.size() + 256) return nullptr;
    std::string full(function);
    full += '.';
    full += function::kDefaultNamespace;
    return find_exactly(full);
}

std::shared_ptr<LocalRoute> InvokerState::find_exactly(std::string_view full_name) {
    if (const auto found = by_name.find(full_name); found != by_name.end()) return found->second;
    if (routes == nullptr) return nullptr;
    const auto route = routes->find(full_name);
    if (route == routes->end()) return nullptr;
    // The first call of it on this core: what nobody calls takes no memory here.
    auto local = std::make_shared<LocalRoute>(route->first, metrics);
    adopt(*local, route->second);
    by_name.emplace(route->first, local);
    return local;
}

Slot InvokerState::try_take(const std::shared_ptr<LocalRoute>& route) {
    auto& replicas = route->replicas;
    const auto count = replicas.size();
    const std::shared_ptr<LocalReplica>* least = nullptr;
    std::uint32_t least_in_flight = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const auto& candidate = replicas[(route->turn + i) % count];
        const auto& load = *candidate->replica.load;
        // In order with waiting_cores, which take() writes before it looks here.
        const auto in_flight = load.in_flight.load();
        const auto capacity = candidate->replica.capacity;
        if ((capacity > 0 && in_flight >= capacity) ||
            load.is_gone.load(std::memory_order_relaxed)) {
            continue;
        }
        if (least == nullptr || in_flight < least_in_flight) {
            least = &candidate;
            least_in_flight = in_flight;
        }
    }
    if (least == nullptr) return {};
    if (++route->turn >= count) route->turn = 0;
    if (!take_place(*(*least)->replica.load, (*least)->replica.capacity)) return {};
    (*least)->replica.load->calls.fetch_add(1, std::memory_order_relaxed);
    return {directory, route, *least};
}

Async<Slot> InvokerState::take(std::shared_ptr<LocalRoute> route, Deadline deadline) {
    if (route->waiting >= limits.waiting_max) {
        co_return fail(Errc::overloaded, "{} calls of {} wait for a replica already",
                       route->waiting, route->name);
    }
    const CountWaiting counted(route->waiting);
    const auto bit = 1ULL << (rt::this_core_index() % 64);
    const auto wait = [](rt::Link& queue) -> Async<> {
        co_await WaitForTurn{queue};
        co_return Result<>{};
    };
    for (;;) {
        // Announced before looking: room given back after the look finds the bit.
        route->shared.load->waiting_cores.fetch_or(bit);
        if (auto slot = try_take(route)) co_return slot;
        if (find(route->name) != route) {
            co_return fail(Errc::not_found, "function {} was removed", route->name);
        }
        if (route->replicas.empty()) directory.wake(route->shared.deployment->spec->name);
        if (auto woken = co_await within(deadline, wait(route->waiting_calls)); !woken) {
            const auto& trouble = route->shared.deployment->trouble;
            co_return fail(Errc::timed_out, "no replica of {} took the call{}{}", route->name,
                           trouble.empty() ? "" : ": ", trouble);
        }
    }
}

}  // namespace fathom::invoke
