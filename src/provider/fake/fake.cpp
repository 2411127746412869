#include "provider/fake/fake.h"

#include <algorithm>

namespace fathom::provider {

struct Fake::LogBook {
    std::deque<LogLine> lines;  // at most kLinesMax
    std::uint64_t first = 0;    // number of the oldest line kept
    bool is_closed = false;
    rt::Signal grown;
    static constexpr std::size_t kLinesMax = 10'000;
};

class Fake::Reader final : public LogReader {
public:
    Reader(std::shared_ptr<LogBook> book, LogQuery query)
        : book_(std::move(book)), query_(std::move(query)), next_(book_->first) {
        const auto wanted = static_cast<std::uint64_t>(std::max<std::int64_t>(query_.tail, 0));
        if (wanted == 0) return;
        std::uint64_t found = 0;
        next_ = book_->first + book_->lines.size();
        while (next_ > book_->first && found < wanted) {
            next_ -= 1;
            if (is_wanted(book_->lines[next_ - book_->first])) found += 1;
        }
    }

    Async<std::vector<LogLine>> read() override {
        for (;;) {
            auto lines = take();
            const bool may_wait = query_.follow == LogQuery::Follow::yes && !book_->is_closed;
            if (!lines.empty() || !may_wait) co_return lines;
            book_->grown.lower();
            co_await book_->grown.wait();
        }
    }

private:
    bool is_wanted(const LogLine& line) const {
        if (!query_.instance.empty() && line.instance != query_.instance) return false;
        return line.at >= query_.since;
    }
    std::vector<LogLine> take() {
        std::vector<LogLine> lines;
        const auto end = book_->first + book_->lines.size();
        for (next_ = std::max(next_, book_->first); next_ < end; ++next_) {
            const auto& line = book_->lines[next_ - book_->first];
            if (is_wanted(line)) lines.push_back(line);
        }
        return lines;
    }

    std::shared_ptr<LogBook> book_;
    LogQuery query_;
    std::uint64_t next_;
};

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
    book->is_closed = true;
    publish();
    book->grown.raise();
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
    co_return std::make_unique<Reader>(found->second, std::move(query));
}

void Fake::make_ready(const FunctionName& name) {
    auto found = deployments_.find(name);
    if (found == deployments_.end()) return;
    for (auto& replica : found->second.replicas) {
        if (replica.state == ReplicaState::starting) replica.state = ReplicaState::ready;
    }
    publish();
}

bool Fake::edit_replica(const std::string& id, std::function<void(Deployment&, std::size_t)> edit) {
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
    auto& book = *found->second;
    book.lines.push_back({clock_.wall(), std::move(instance), std::move(text)});
    if (book.lines.size() > LogBook::kLinesMax) {
        book.lines.pop_front();
        book.first += 1;
    }
    book.grown.raise();
}

unsigned Fake::wakes(const FunctionName& name) const {
    auto found = wakes_.find(name);
    return found == wakes_.end() ? 0 : found->second;
}

}  // namespace fathom::provider
