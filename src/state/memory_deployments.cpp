#include <map>

#include "state/state.h"

namespace fathom::state {
namespace {

class MemoryDeployments final : public Deployments {
public:
    Result<std::vector<StoredDeployment>> load() override {
        std::vector<StoredDeployment> deployments;
        deployments.reserve(by_name_.size());
        for (const auto& [key, deployment] : by_name_) deployments.push_back(deployment);
        return deployments;
    }
    Async<> put(StoredDeployment deployment) override {
        auto key = key_of(deployment.spec.name);
        by_name_.insert_or_assign(std::move(key), std::move(deployment));
        co_return Result<>();
    }
    Async<> erase(function::FunctionName name) override {
        by_name_.erase(key_of(name));
        co_return Result<>();
    }

private:
    // Namespace first, as the table on disk is ordered.
    using Key = std::pair<std::string, std::string>;
    static Key key_of(const function::FunctionName& name) { return {name.space, name.name}; }

    std::map<Key, StoredDeployment> by_name_;
};

}  // namespace

std::unique_ptr<Deployments> make_memory_deployments() {
    return std::make_unique<MemoryDeployments>();
}

}  // namespace fathom::state
