// Functions as JSON, exactly as the OpenFaaS REST API spells them (FunctionDeployment and
// FunctionStatus). Used by the gateway, by the CLI, and for what is kept on disk.
//
// Reading follows Go's decoder: keys match in any case (the exact spelling wins), unknown ones are
// ignored, null is the same as absent. A wrong type is an error that names the field. Bytes that
// are no UTF-8 are written as U+FFFD.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ports.h"
#include "core/time.h"
#include "function/function.h"

namespace fathom::function {

inline constexpr Bytes kDeploymentBytesMax = 1_MiB;
inline constexpr Bytes kStatusBytesMax = 64_MiB;  // a list of many

// The body of POST and PUT /system/functions. What it says is not checked yet: check(spec).
// Errors: invalid      no JSON object, or a field of the wrong type
//         too_large    over kDeploymentBytesMax
Result<FunctionSpec> read_deployment(std::string_view json);
std::string write_deployment(const FunctionSpec& spec);

struct Usage {
    double cpu_millicores = 0;  // summed over replicas
    double memory_bytes = 0;    // summed over replicas
    friend bool operator==(const Usage&, const Usage&) = default;
};

// One function as GET /system/functions and /system/function/NAME show it.
struct Status {
    FunctionSpec spec;
    unsigned replicas = 0;   // desired
    unsigned available = 0;  // ready
    double invocation_count = 0;
    Clock::Wall created_at{};  // the epoch is unknown, and written as Go's zero time
    std::optional<Usage> usage{};
    friend bool operator==(const Status&, const Status&) = default;
};

// Left out when empty: everything but name, image and createdAt; counts when 0; labels and
// annotations only when there are none at all (an empty map is {}).
std::string write_status(const Status& status);
std::string write_statuses(std::span<const Status> statuses);  // "[]" for none

// What the CLI reads back.
// Errors: invalid, too_large as above
Result<Status> read_status(std::string_view json);
Result<std::vector<Status>> read_statuses(std::string_view json);

using fathom::parse_rfc3339;
using fathom::to_rfc3339;

}  // namespace fathom::function
