#include "invoke/invoke.h"
#include "invoke/invoker.h"

namespace fathom::invoke {

Directory::Directory(rt::Runtime& runtime, provider::Provider& provider, observe::Registry& metrics)
    : runtime_(runtime),
      provider_(provider),
      seats_(static_cast<std::size_t>(runtime.core_count())),
      metrics_(metrics) {
    show(metrics);
    provider_.watch(
        [this](std::shared_ptr<const provider::Table> table) { publish(std::move(table)); });
}

// Values that are kept here anyway are worked out when somebody reads the metrics.
void Directory::show(observe::Registry& metrics) {
    using observe::Emitter;
    using observe::Kind;
    const auto each = [&](std::string name, std::string help, auto value) {
        shown_.push_back(metrics.on_read(
            Kind::gauge,
            {.name = std::move(name), .help = std::move(help), .labels = {"function_name"}},
            [this, value](Emitter& out) {
                for (const auto& [function, route] : *seat().routes) {
                    out.emit(static_cast<double>(value(route)), {function});
                }
            }));
    };
    each("gateway_service_count", "Replicas there should be.",
         [](const Route& route) { return route.deployment->desired; });
    each("gateway_service_ready_count", "Replicas that take calls.",
         [](const Route& route) { return route.deployment->ready_count(); });
    each("gateway_function_invocation_inflight", "Calls in flight.",
         [](const Route& route) { return route.load->in_flight.load(); });
    shown_.push_back(metrics.on_read(
        Kind::gauge, {.name = "fathom_calls_in_flight", .help = "Calls in flight, all functions."},
        [this](Emitter& out) { out.emit(in_flight_.load()); }));
}

const Directory::Seat& Directory::seat() const {
    return seats_[static_cast<std::size_t>(rt::this_core_index())];
}

std::shared_ptr<const provider::Table> Directory::table() const {
    return seat().table;
}

std::uint64_t Directory::invocation_count(const function::FunctionName& name) const {
    const auto found = seat().routes->find(name.text());
    return found == seat().routes->end() ? 0 : found->second.load->ended.load();
}

// Load counters stay with the function for as long as it is deployed, whatever its revision.
void Directory::publish(std::shared_ptr<const provider::Table> table) {
    auto routes = std::make_shared<Routes>();
    for (const auto& [name, deployment] : *table) {
        const auto key = name.text();
        const auto known = routes_->find(key);
        auto load = known == routes_->end() ? std::make_shared<FunctionLoad>() : known->second.load;
        routes->emplace(key, Route{deployment, std::move(load)});
    }
    for (const auto& [name, gone] : *routes_) {
        if (!routes->contains(name)) metrics_.drop("function_name", name);
    }
    routes_ = std::move(routes);
    for (int index = 0; index < runtime_.core_count(); ++index) {
        auto arrive = [this, index, table, fresh = routes_] {
            auto& seat = seats_[static_cast<std::size_t>(index)];
            seat.table = table;
            seat.routes = fresh;
            for (auto* invoker : seat.invokers) invoker->update(fresh);
        };
        // Here at once: whoever asked this core for the change sees it when it is told.
        if (index == rt::this_core_index()) {
            arrive();
        } else {
            runtime_.core(index).post(std::move(arrive));
        }
    }
}

void Directory::wake(const function::FunctionName& name) {
    auto& home = runtime_.core(0);
    home.post([this, name] { provider_.wake(name); });
}

void Directory::room_on(FunctionLoad& load, const std::string& route) {
    auto cores = load.waiting_cores.exchange(0);
    for (int index = 0; index < runtime_.core_count(); ++index) {
        if ((cores & (1ULL << (index % 64))) == 0) continue;
        runtime_.core(index).post([this, index, route] {
            for (auto* invoker : seats_[static_cast<std::size_t>(index)].invokers) {
                invoker->look_again(route);
            }
        });
    }
}

}  // namespace fathom::invoke
