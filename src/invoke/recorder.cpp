#include "invoke/recorder.h"

#include <algorithm>

namespace fathom::invoke {

// The gateway_* names, types and labels are OpenFaaS's: its dashboards read them.

void FunctionRecorder::started() {
    if (!started_) {
        started_ = metrics_
                       .counters({.name = "gateway_function_invocation_started",
                                  .help = "Calls that began, by function.",
                                  .labels = {"function_name"}})
                       .with({function_});
    }
    started_->increment();
}

void FunctionRecorder::waited(Duration took) {
    if (!waited_) {
        waited_ =
            metrics_
                .histograms({.name = "fathom_replica_wait_seconds",
                             .help = "What calls that found no replica with room waited for one.",
                             .labels = {"function_name"}})
                .with({function_});
    }
    waited_->observe(took);
}

FunctionRecorder::ByStatus& FunctionRecorder::of(int status) {
    const auto known = std::ranges::find(by_status_, status, &ByStatus::status);
    if (known != by_status_.end()) return *known;
    const auto code = std::to_string(status);
    return by_status_.emplace_back(
        status,
        metrics_
            .counters({.name = "gateway_function_invocation_total",
                       .help = "Calls that ended, by function and status.",
                       .labels = {"function_name", "code"}})
            .with({function_, code}),
        metrics_
            .histograms({.name = "gateway_functions_seconds",
                         .help = "What calls took, by function and status.",
                         .labels = {"function_name", "code"}})
            .with({function_, code}));
}

void FunctionRecorder::ended(int status, Duration took) {
    auto& series = of(status);
    series.calls.increment();
    series.seconds.observe(took);
}

}  // namespace fathom::invoke
