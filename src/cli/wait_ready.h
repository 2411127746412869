// After a deploy: until each function has a ready replica, or the reason why it has none.
#pragma once

#include <string>
#include <vector>

#include "cli/cli.h"
#include "cli/gateway.h"
#include "function/function.h"

namespace fathom::cli {

// Answers one text for each function that did not become ready within `wait_max` (all together),
// with the gateway's reason and the last log lines. Waits for nobody where the gateway is not
// Fathom, nor for functions that want no replica.
// Errors: those of Gateway::send
Result<std::vector<std::string>> wait_ready(Ports& ports, const Gateway& gateway,
                                            const std::vector<function::FunctionSpec>& functions,
                                            Duration wait_max);

}  // namespace fathom::cli
