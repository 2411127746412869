#include "provider/local/fleet.h"

#include <algorithm>
#include <tuple>

#include "provider/local/launch_spec.h"

namespace fathom::provider {

Fleet::Fleet(LocalParts parts, LocalOptions options)
    : parts_(parts),
      options_(std::move(options)),
      logs_({options_.log_memory_bytes, options_.log_file_bytes, options_.log_folder}, parts.pool,
            parts.clock) {}

Fleet::~Fleet() {
    parts_.keeper.on_exit(nullptr);
    parts_.keeper.on_lost(nullptr);
}

Async<> Fleet::open(sandbox::Keeper::Hello hello) {
    auto stored = parts_.deployments.load();
    if (!stored) co_return fail(std::move(stored).error().because("reading the deployments"));
    for (const auto& deployment : *stored) {
        functions_.emplace(deployment.spec.name, make_function(deployment));
    }
    parts_.keeper.on_exit(
        [this](const std::string& id, sandbox::Exit exit) { hear_exit(id, std::move(exit)); });
    parts_.keeper.on_lost([this] { lose_keeper(); });
    tasks_.spawn(logs_.write_files());
    for (auto& kept : hello.replicas) adopt(std::move(kept));
    publish_all();
    for (const auto& [name, function] : functions_) settle_later(name);
    parts_.log.info("provider.open", {{"functions", functions_.size()},
                                      {"adopted", by_id_.size()},
                                      {"sandbox", sandbox::text_of(hello.abilities.level)}});
    co_return Result<>{};
}

void Fleet::close() {
    is_closed_ = true;
    parts_.keeper.on_lost(nullptr);
    tasks_.cancel();
}

Fleet::Function Fleet::make_function(const state::StoredDeployment& stored) {
    Function function;
    function.spec = std::make_shared<const FunctionSpec>(stored.spec);
    function.revision = stored.revision;
    function.desired = stored.desired;
    function.created_at = stored.created_at;
    return function;
}

void Fleet::watch(std::function<void(std::shared_ptr<const Table>)> changed) {
    changed_ = std::move(changed);
    changed_(table_);
}

Fleet::Function* Fleet::find(const FunctionName& name) {
    auto found = functions_.find(name);
    return found == functions_.end() ? nullptr : &found->second;
}

Fleet::Turn::~Turn() {
    fleet.turns_.erase(name);
    fleet.turn_ended_.raise();
}

Async<> Fleet::take_turn(FunctionName name) {
    while (turns_.contains(name)) {
        turn_ended_.lower();
        co_await turn_ended_.wait();
    }
    turns_.insert(name);
    co_return Result<>{};
}

Async<> Fleet::store(FunctionName name, const Function& function) {
    state::StoredDeployment stored;
    stored.spec = *function.spec;
    stored.revision = function.revision;
    stored.desired = function.desired;
    stored.created_at = function.created_at;
    auto put = co_await parts_.deployments.put(std::move(stored));
    if (!put) co_return fail(std::move(put).error().because("storing " + name.text()));
    co_return Result<>{};
}

Result<> Fleet::check_deploy(const FunctionSpec& spec, DeployMode mode) const {
    if (auto checked = function::check(spec); !checked) return checked;
    if (auto egress = egress_of(spec); !egress) return fail(std::move(egress).error());
    const bool exists = functions_.contains(spec.name);
    if (mode == DeployMode::create && exists) {
        return fail(Errc::conflict, "function {} exists already", spec.name.text());
    }
    if (mode == DeployMode::update && !exists) {
        return fail(Errc::not_found, "function {} is not deployed", spec.name.text());
    }
    if (auto image = parts_.images.find(spec.image); !image) {
        return fail(std::move(image).error());
    }
    return {};
}

Async<> Fleet::deploy(FunctionSpec spec, DeployMode mode) {
    const auto name = spec.name;
    if (auto turn = co_await take_turn(name); !turn) co_return turn;
    const Turn turn{*this, name};
    if (auto checked = check_deploy(spec, mode); !checked) co_return checked;

    Function next;
    if (const auto* now = find(name)) {
        next = *now;
    } else {
        next.created_at = parts_.clock.wall();
        next.desired = function::scaling_of(spec).min;
    }
    const bool is_changed = !next.spec || *next.spec != spec;
    if (!spec.label("com.openfaas.scale.min").empty()) {
        next.desired = function::scaling_of(spec).min;
    }
    if (is_changed) next.revision += 1;
    next.spec = std::make_shared<const FunctionSpec>(std::move(spec));
    if (auto stored = co_await store(name, next); !stored) co_return stored;

    // Replicas came and went while the disk was written.
    auto& function = functions_[name];
    next.replicas = std::move(function.replicas);
    next.has_retry = function.has_retry;
    next.failures = 0;
    next.retry_at = {};
    next.trouble.clear();
    next.failed.reset();
    function = std::move(next);
    parts_.log.info("function.deployed", {{"function", name.text()},
                                          {"revision", function.revision},
                                          {"replicas", function.desired}});
    settle(name);
    co_return Result<>{};
}

Async<> Fleet::remove(FunctionName name) {
    if (auto turn = co_await take_turn(name); !turn) co_return turn;
    const Turn turn{*this, name};
    if (find(name) == nullptr) {
        co_return fail(Errc::not_found, "function {} is not deployed", name.text());
    }
    auto erased = co_await parts_.deployments.erase(name);
    if (!erased) co_return fail(std::move(erased).error().because("removing " + name.text()));
    auto function = std::move(functions_.extract(name).mapped());
    publish(name);
    logs_.close(name);
    for (const auto& replica : function.replicas) begin_stop(replica);
    parts_.log.info("function.removed", {{"function", name.text()}});
    co_return Result<>{};
}

Async<> Fleet::scale(FunctionName name, unsigned replicas) {
    if (replicas > options_.replicas_max) {
        co_return fail(Errc::invalid, "replicas {} is not from 0 to {}", replicas,
                       options_.replicas_max);
    }
    if (auto turn = co_await take_turn(name); !turn) co_return turn;
    const Turn turn{*this, name};
    const auto* now = find(name);
    if (now == nullptr) {
        co_return fail(Errc::not_found, "function {} is not deployed", name.text());
    }
    if (now->desired != replicas) {
        Function next = *now;
        next.desired = replicas;
        if (auto stored = co_await store(name, next); !stored) co_return stored;
        if (auto* function = find(name)) function->desired = replicas;
    }
    settle(name);
    co_return Result<>{};
}

void Fleet::wake(const FunctionName& name) {
    auto* function = find(name);
    if (function == nullptr || is_closed_) return;
    if (function->desired == 0) {
        function->desired = std::max(1u, function::scaling_of(*function->spec).min);
        tasks_.spawn(persist(name));
    }
    const bool is_on_its_way =
        std::ranges::any_of(function->replicas, [&](const RunningPtr& replica) {
            return replica->revision == function->revision && !replica->is_stopping;
        });
    if (is_on_its_way) return;
    // Calls end a back-off, but no more often than the shortest one: they may be many.
    const auto now = rt::this_core().now();
    if (now - function->started_at >= options_.backoff_min) function->retry_at = {};
    if (function->retry_at <= now || !function->has_retry) settle(name);
}

// What wake() changed goes to the disk while the replica starts.
Async<> Fleet::persist(FunctionName name) {
    if (auto turn = co_await take_turn(name); !turn) co_return turn;
    const Turn turn{*this, name};
    const auto* now = find(name);
    if (now == nullptr) co_return Result<>{};
    const Function copy = *now;
    auto stored = co_await store(name, copy);
    if (!stored) {
        parts_.log.warn("function.not_stored",
                        {{"function", name.text()}, {"why", stored.error()}});
    }
    co_return Result<>{};
}

Async<std::unique_ptr<LogReader>> Fleet::logs(LogQuery query) {
    if (find(query.name) == nullptr) {
        co_return fail(Errc::not_found, "function {} is not deployed", query.name.text());
    }
    co_return co_await logs_.open(std::move(query));
}

// Settles at the end of this turn of the core, once however often it is asked for.
void Fleet::settle_later(const FunctionName& name) {
    const bool is_first = unsettled_.empty();
    unsettled_.insert(name);
    if (!is_first) return;
    rt::this_core().defer([this, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired()) return;
        for (const auto& next : std::exchange(unsettled_, {})) settle(next);
    });
}

void Fleet::settle(const FunctionName& name) {
    auto* function = find(name);
    if (function == nullptr || is_closed_) return;
    unsigned live = 0;
    unsigned ready = 0;
    for (const auto& replica : function->replicas) {
        if (replica->revision != function->revision || replica->is_stopping) continue;
        live += 1;
        if (replica->state == ReplicaState::ready) ready += 1;
    }
    if (live > function->desired) stop_surplus(*function, live);
    if (live < function->desired) start_missing(name, *function, live);
    if (ready >= function->desired) {
        for (const auto& replica : std::vector(function->replicas)) {
            if (replica->revision != function->revision) begin_stop(replica);
        }
    }
    publish(name);
}

void Fleet::start_missing(const FunctionName& name, Function& function, unsigned live) {
    if (is_keeper_lost_) return;
    const auto now = rt::this_core().now();
    if (function.retry_at > now) {
        if (!std::exchange(function.has_retry, true)) tasks_.spawn(retry(name));
        return;
    }
    // While it fails, one at a time shows whether it still does.
    const unsigned wanted =
        function.failures > 0 ? std::min(live + 1, function.desired) : function.desired;
    if (function.failures > 0 && live > 0) return;
    function.started_at = now;
    std::vector<RunningPtr> started;
    for (; live < wanted; ++live) {
        started.push_back(make_running(name, function.revision));
        function.replicas.push_back(started.back());
    }
    for (auto& replica : started) tasks_.spawn(live_on(std::move(replica)));
}

Async<> Fleet::retry(FunctionName name) {
    for (;;) {
        auto* function = find(name);
        if (function == nullptr) co_return Result<>{};
        const auto at = function->retry_at;
        if (at <= rt::this_core().now()) {
            function->has_retry = false;
            break;
        }
        co_await rt::sleep_until(at);
    }
    settle_later(name);
    co_return Result<>{};
}

// Starting ones first, then those with the least to do, then the youngest.
void Fleet::stop_surplus(Function& function, unsigned live) {
    struct Candidate {
        bool is_ready;
        std::uint32_t in_flight;
        std::size_t age;  // 0: the youngest
        RunningPtr replica;
    };
    std::vector<Candidate> candidates;
    for (std::size_t i = 0; i < function.replicas.size(); ++i) {
        const auto& replica = function.replicas[i];
        if (replica->revision != function.revision || replica->is_stopping) continue;
        candidates.push_back({replica->state == ReplicaState::ready, replica->load->in_flight,
                              function.replicas.size() - i, replica});
    }
    std::ranges::sort(candidates, {}, [](const Candidate& candidate) {
        return std::tuple(candidate.is_ready, candidate.in_flight, candidate.age);
    });
    const auto surplus = live - function.desired;
    for (unsigned i = 0; i < surplus; ++i) begin_stop(candidates[i].replica);
}

std::shared_ptr<const Deployment> Fleet::describe(const Function& function) {
    auto deployment = std::make_shared<Deployment>();
    deployment->spec = function.spec;
    deployment->revision = function.revision;
    deployment->desired = function.desired;
    deployment->created_at = function.created_at;
    deployment->trouble = function.trouble;
    for (const auto& running : function.replicas) {
        deployment->replicas.push_back({running->id, running->revision, running->state,
                                        running->capacity, running->endpoint, running->why,
                                        running->load});
    }
    if (function.failed) deployment->replicas.push_back(*function.failed);
    return deployment;
}

void Fleet::publish(const FunctionName& name) {
    auto table = std::make_shared<Table>(*table_);
    if (const auto* function = find(name)) {
        (*table)[name] = describe(*function);
    } else {
        table->erase(name);
    }
    table_ = std::move(table);
    if (changed_) changed_(table_);
}

void Fleet::publish_all() {
    auto table = std::make_shared<Table>();
    for (const auto& [name, function] : functions_) table->emplace(name, describe(function));
    table_ = std::move(table);
    if (changed_) changed_(table_);
}

}  // namespace fathom::provider
