#include "provider/provider.h"

#include <algorithm>

namespace fathom::provider {

unsigned Deployment::ready_count() const {
    return static_cast<unsigned>(
        std::ranges::count(replicas, ReplicaState::ready, &Replica::state));
}

}  // namespace fathom::provider
