// Private: how an Invoker sees the world from its core.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "invoke/invoke.h"
#include "invoke/recorder.h"

namespace fathom::invoke {

// A ready replica: counters shared with the other cores, connections of this one.
struct LocalReplica {
    provider::Replica replica;
    std::unique_ptr<http::Upstream> upstream;
};

// A function. Calls keep it alive while they use it, even when it was removed meanwhile.
struct LocalRoute {
    std::string name;  // NAME.NAMESPACE
    Route shared;
    Duration call_max{};
    std::string call_max_set_by;
    std::uint32_t in_flight_max = 0;  // 0: unlimited
    std::vector<std::shared_ptr<LocalReplica>> replicas;
    std::size_t turn = 0;    // where the next search begins, so that equals take turns
    rt::Link waiting_calls;  // Wakers, oldest first
    std::uint32_t waiting = 0;
    FunctionRecorder recorder;

    LocalRoute(std::string full_name, observe::Registry& metrics)
        : name(std::move(full_name)), recorder(metrics, name) {}
};

// A place on a replica, given back when the call is over.
class Slot {
public:
    Slot() = default;
    Slot(Directory& directory, std::shared_ptr<LocalRoute> route,
         std::shared_ptr<LocalReplica> replica)
        : directory_(&directory), route_(std::move(route)), replica_(std::move(replica)) {}
    Slot(Slot&&) noexcept = default;
    Slot& operator=(Slot&& other) noexcept {
        if (this != &other) {
            give_back();
            directory_ = other.directory_;
            route_ = std::move(other.route_);
            replica_ = std::move(other.replica_);
        }
        return *this;
    }
    ~Slot() { give_back(); }

    explicit operator bool() const noexcept { return replica_ != nullptr; }
    LocalReplica* operator->() const noexcept { return replica_.get(); }

private:
    void give_back() noexcept;

    Directory* directory_ = nullptr;
    std::shared_ptr<LocalRoute> route_;
    std::shared_ptr<LocalReplica> replica_;
};

struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>{}(text);
    }
};

struct Flight;  // a call on its way (invoke.cpp)

struct InvokerState {
    InvokerState(Directory& all, Limits given, observe::Registry& registry);
    ~InvokerState();

    void update(const std::shared_ptr<const Routes>& fresh);
    void look_again(std::string_view name);
    // With or without a namespace; null where no such function is deployed.
    std::shared_ptr<LocalRoute> find(std::string_view function);
    std::shared_ptr<LocalRoute> find_exactly(std::string_view full_name);
    void adopt(LocalRoute& local, const Route& route);

    // A place on the ready replica with the least in flight, if one has room.
    Slot try_take(const std::shared_ptr<LocalRoute>& route);
    // The same, waiting for it.
    Async<Slot> take(std::shared_ptr<LocalRoute> route, Deadline deadline);

    Async<> serve(Flight& flight);
    Async<> exchange_with(Flight& flight, Slot& slot);

    Directory& directory;
    const Limits limits;
    observe::Registry& metrics;
    std::shared_ptr<const Routes> routes;  // of all functions
    // Those called on this core so far.
    std::unordered_map<std::string, std::shared_ptr<LocalRoute>, TextHash, std::equal_to<>> by_name;
};

}  // namespace fathom::invoke
