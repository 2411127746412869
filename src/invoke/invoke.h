// invoke: the ONE way a function is called, whoever calls it.
//
//   1 admission   the function exists; global and per-function limits of calls in flight
//   2 replica     the ready one with the least in flight; none: wake the provider and wait, bounded
//   3 exchange    a pooled connection to it; both bodies stream, in both directions at once
//   4 record      metrics, once, however it ended
//
// A Directory on core 0 turns the provider's tables into routes and sends them to every core; an
// Invoker per core calls along them. Nothing on the way of a call takes a lock, changes core or
// touches the disk. What must hold across cores (calls in flight of a function, of a replica) is a
// few atomics, taken by one fetch_add and given back by RAII.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "function/function.h"
#include "http/http.h"
#include "observe/metrics.h"
#include "provider/provider.h"
#include "rt/rt.h"

namespace fathom::invoke {

struct Limits {
    // The whole of a call, from its head to the last byte of the answer. A function's own
    // exec_timeout wins where it is set. 60 s is OpenFaaS's upstream_timeout.
    Duration call_max = 60s;
    // Waiting for a replica: one that starts, or one that serves few calls at a time.
    Duration wait_max = 60s;
    // Calls in flight over all functions; one more is refused with 503 and Retry-After.
    std::uint32_t in_flight_max = 100'000;
    // Calls of one function waiting for a replica, per core; one more is refused with 503.
    std::uint32_t waiting_max = 10'000;
};

// Annotation: calls of the function in flight at a time, over all replicas; 429 beyond. Unlimited
// by default.
inline constexpr std::string_view kInFlightMax = "com.fathom.inflight-max";

// What is counted of one function over all cores.
struct alignas(64) FunctionLoad {
    std::atomic<std::uint32_t> in_flight{0};
    std::atomic<std::uint64_t> ended{0};  // calls, since the function was deployed
    // Cores (by index modulo 64) with calls that wait for a replica to have room.
    std::atomic<std::uint64_t> waiting_cores{0};
};

struct Route {
    std::shared_ptr<const provider::Deployment> deployment;
    std::shared_ptr<FunctionLoad> load;
};
// By NAME.NAMESPACE.
using Routes = std::map<std::string, Route, std::less<>>;

struct InvokerState;  // an Invoker's inside

// Made on core 0, before any Invoker; outlives them.
class Directory {
public:
    Directory(rt::Runtime& runtime, provider::Provider& provider, observe::Registry& metrics);
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    // The provider's table as this core sees it; never null. What a deploy() changed is seen here
    // before its answer comes back to the core that asked.
    std::shared_ptr<const provider::Table> table() const;
    // Calls of it that ended, whatever their status, since it was deployed here.
    std::uint64_t invocation_count(const function::FunctionName& name) const;

private:
    friend class Invoker;
    friend class Slot;
    friend struct InvokerState;
    struct alignas(64) Seat {  // of one core; touched by its thread only
        std::shared_ptr<const provider::Table> table = std::make_shared<provider::Table>();
        std::shared_ptr<const Routes> routes = std::make_shared<Routes>();
        std::vector<InvokerState*> invokers;
    };

    const Seat& seat() const;
    void show(observe::Registry& metrics);
    void publish(std::shared_ptr<const provider::Table> table);
    void wake(const function::FunctionName& name);
    void room_on(FunctionLoad& load, const std::string& route);

    rt::Runtime& runtime_;
    provider::Provider& provider_;
    std::shared_ptr<const Routes> routes_ = std::make_shared<Routes>();  // core 0's newest
    std::vector<Seat> seats_;
    std::atomic<std::uint32_t> in_flight_{0};
    observe::Registry& metrics_;
    std::vector<observe::Registry::Reading> shown_;
};

// A call from where it entered.
struct Call {
    http::Exchange& exchange;
    std::string_view function;  // as in the URL: "fn" or "fn.ns"
    std::string_view target;    // what the function shall see: raw path and query, "/" at least
};

// Every answer to a call names it: X-Call-Id, X-Start-Time and X-Served-By, for those that no
// Invoker made.
void add_call_fields(http::Reply& reply, const http::Exchange& exchange);

class Invoker {
public:
    // On its core, during its life.
    Invoker(Directory& directory, Limits limits, observe::Registry& metrics);
    ~Invoker();
    Invoker(const Invoker&) = delete;
    Invoker& operator=(const Invoker&) = delete;

    // Answers the exchange, in every case that leaves it answerable.
    Async<> call(Call call);

private:
    std::unique_ptr<InvokerState> state_;
};

}  // namespace fathom::invoke
