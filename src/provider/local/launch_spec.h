// From a deployment and its image to what the keeper launches. Plain functions.
#pragma once

#include "image/image.h"
#include "provider/provider.h"
#include "sandbox/sandbox.h"

namespace fathom::provider {

// Where calls out of the function may go: the annotation com.fathom.egress, "open" or "none".
// Errors: invalid    neither
Result<sandbox::Egress> egress_of(const FunctionSpec& spec);

// Environment: docs/function-contract.md. The deployment's own variables win over the image's;
// those of the contract itself (LISTEN_FDS, FATHOM_LISTEN_FD) win over all.
// Errors: invalid    a limit or annotation that cannot be read
Result<sandbox::LaunchSpec> make_launch_spec(const FunctionSpec& spec, std::uint64_t revision,
                                             const image::Image& image, std::string id);

}  // namespace fathom::provider
