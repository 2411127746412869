// Private: what is counted of the calls of one function on one core (docs/metrics.md).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/units.h"
#include "observe/metrics.h"

namespace fathom::invoke {

// Series come to be with their first call: a function that is never called costs none.
class FunctionRecorder {
public:
    // `function` is NAME.NAMESPACE and outlives this.
    FunctionRecorder(observe::Registry& metrics, const std::string& function)
        : metrics_(metrics), function_(function) {}

    void started();
    void waited(Duration took);
    void ended(int status, Duration took);

private:
    struct ByStatus {
        int status;
        observe::Counter calls;
        observe::Histogram seconds;
    };
    ByStatus& of(int status);

    observe::Registry& metrics_;
    const std::string& function_;
    std::optional<observe::Counter> started_;
    std::optional<observe::Histogram> waited_;
    std::vector<ByStatus> by_status_;  // a handful
};

}  // namespace fathom::invoke
