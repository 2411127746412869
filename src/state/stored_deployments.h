// Private: the deployments table.
#pragma once

#include <string>
#include <vector>

#include "state/state.h"
#include "state/writer.h"

namespace fathom::state {

class StoredDeployments final : public Deployments {
public:
    StoredDeployments(std::string path, Writer& writer) : path_(std::move(path)), writer_(writer) {}

    Result<std::vector<StoredDeployment>> load() override;
    Async<> put(StoredDeployment deployment) override;
    Async<> erase(function::FunctionName name) override;

private:
    std::string path_;
    Writer& writer_;
};

}  // namespace fathom::state
