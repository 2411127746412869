#include "provider/fake/fake.h"

namespace fathom::provider {

Fake::Fake(const Clock& clock, Options options) : clock_(clock), options_(std::move(options)) {}
Fake::~Fake() = default;

void Fake::watch(std::function<void(std::shared_ptr<const Table>)> changed) {
    changed_ = std::move(changed);
    changed_(table_);
}

void Fake::publish() {
    auto table = std::make_shared<Table>();
    for (const auto& [name, deployment] : deployments_) {
        table->emplace(name, std::make_shared<const Deployment>(deployment));
    }
    table_ = std::move(table);
    if (changed_) changed_(table_);
}

void Fake::start_replica(Deployment& deployment) {
    const auto& name = deployment.spec->name;
    Replica replica;
    replica.id = fmt::format("{}-fake-{}", name.name, ++starts_);
    replica.revision = deployment.revision;
    replica.capacity = function::concurrency_of(*deployment.spec);
    replica.load = std::make_shared<ReplicaLoad>();
    if (options_.endpoint) replica.endpoint = options_.endpoint(name, replica.id);
    if (options_.readiness == Readiness::at_once) replica.state = ReplicaState::ready;
    deployment.replicas.push_back(std::move(replica));
}

// Makes the replicas be what the deployment says.
void Fake::settle(Deployment& deployment) {
    auto& replicas = deployment.replicas;
    std::erase_if(replicas, [&](const Replica& replica) {
        const bool must_go =
            replica.revision != deployment.revision || replica.state == ReplicaState::failed;
        if (must_go) replica.load->is_gone = true;
        return must_go;
    });
    while (replicas.size() > deployment.desired) {
        replicas.back().load->is_gone = true;
        replicas.pop_back();
    }
    while (replicas.size() < deployment.desired) start_replica(deployment);
}

Async<> Fake::deploy(FunctionSpec spec, DeployMode mode) {
    if (auto checked = function::check(spec); !checked) co_return fail(std::move(checked).error());
    auto found = deployments_.find(spec.name);
    const bool exists = found != deployments_.end();
    if (mode == DeployMode::create && exists) {
        co_return fail(Errc::conflict, "function {} exists already", spec.name.text());
    }
    if (mode == DeployMode::update && !exists) {
        co_return fail(Errc::not_found, "function {} is not deployed", spec.name.text());
    }
    if (!options_.images.empty() && !options_.images.contains(spec.image)) {
        co_return fail(Errc::not_found, "image \"{}\" is not here", spec.image);
    }
    auto& deployment = deployments_[spec.name];
    const bool has_min = !spec.label("com.openfaas.scale.min").empty();
    if (!exists || has_min) deployment.desired = function::scaling_of(spec).min;
    if (!exists) {
        deployment.created_at = clock_.wall();
        logs_[spec.name] = std::make_shared<LogBook>();
    }
    deployment.revision += 1;
    deployment.spec = std::make_shared<const FunctionSpec>(std::move(spec));
    settle(deployment);
    publish();
    co_return Result<>{};
}

Async<> Fake::remove(FunctionName name) {
    auto found = deployments_.find(name);
    if (found == deployments_.end()) {
        co_return fail(Errc::not_found, "function {} is not deployed", name.text());
    }
    found->second.desired = 0;
    settle(found->second);
    deployments_.erase(found);
    auto book = logs_.extract(name).mapped();
    publish();
    book->close();
    co_return Result<>{};
}

Async<> Fake::scale(FunctionName name, unsigned replicas) {
    auto found = deployments_.find(name);
    if (found == deployments_.end()) {
        co_return fail(Errc::not_found, "function {} is not deployed", name.text());
    }
    found->second.desired = replicas;
    settle(found->second);
    publish();
    co_return Result<>{};
}

void Fake::wake(const FunctionName& name) {
    wakes_[name] += 1;
    auto found = deployments_.find(name);
    if (found == deployments_.end() || found->second.desired > 0) return;
    found->second.desired = 1;
    settle(found->second);
    publish();
}

Async<std::unique_ptr<LogReader>> Fake::logs(LogQuery query) {
    auto found = logs_.find(query.name);
    if (found == logs_.end()) {
        co_return fail(Errc::not_found, "function {} is not deployed", query.name.text());
    }
    co_return LogBook::read(found->second, std::move(query));
}

void Fake::make_ready(const FunctionName& name) {
    auto found = deployments_.find(name);
    if (found == deployments_.end()) return;
    for (auto& replica : found->second.replicas) {
        if (replica.state == ReplicaState::starting) replica.state = ReplicaState::ready;
    }
    publish();
}

bool Fake::edit_replica(const std::string& id,
                        const std::function<void(Deployment&, std::size_t)>& edit) {
    for (auto& [name, deployment] : deployments_) {
        for (std::size_t i = 0; i < deployment.replicas.size(); ++i) {
            if (deployment.replicas[i].id != id) continue;
            edit(deployment, i);
            publish();
            return true;
        }
    }
    return false;
}

bool Fake::end_replica(const std::string& id, std::string why) {
    return edit_replica(id, [&](Deployment& deployment, std::size_t i) {
        deployment.replicas[i].load->is_gone = true;
        deployment.replicas.erase(deployment.replicas.begin() + static_cast<std::ptrdiff_t>(i));
        deployment.trouble = why;
        settle(deployment);
    });
}

void Fake::set_state(const std::string& id, ReplicaState state, std::string why) {
    edit_replica(id, [&](Deployment& deployment, std::size_t i) {
        deployment.replicas[i].state = state;
        deployment.replicas[i].why = why;
    });
}

void Fake::write_log(const FunctionName& name, std::string instance, std::string text) {
    auto found = logs_.find(name);
    if (found == logs_.end()) return;
    found->second->add({clock_.wall(), std::move(instance), std::move(text)});
}

unsigned Fake::wakes(const FunctionName& name) const {
    auto found = wakes_.find(name);
    return found == wakes_.end() ? 0 : found->second;
}

}  // namespace fathom::provider
