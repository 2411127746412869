// The modes that run a process per request: classic, serializing and streaming.
#pragma once

#include <memory>
#include <optional>

#include "watchdog/process.h"
#include "watchdog/request_text.h"
#include "watchdog/run.h"
#include "watchdog/server.h"

namespace fathom::watchdog {

// What the calls of a forking function share.
struct ForkingParts {
    Loop& loop;
    const Config& config;
    Log& log;
    Command command;
    ChildEnvironment environment;
    std::optional<LinePump> errors{};  // of-watchdog modes with prefixed logs

    // Where standard error of a call goes.
    ErrorOutput error_output() const;
    // The environment of the call's process.
    // Errors: invalid    the path cannot be an environment variable
    Result<char* const*> environment_of(const http::RequestHead& head);
};

class ForkingFunction final : public Function {
public:
    ForkingFunction(Loop& loop, const Config& config, Log& log, const Environment& environment);
    Result<> start() override;
    std::unique_ptr<Call> call(Connection& connection) override;

private:
    ForkingParts parts_;
};

// The exec_timeout of one call: X-Timeout may shorten it. 0: none.
Duration exec_timeout_of(const Config& config, const http::RequestHead& head);

// "GET /path - 200 OK - ContentLength: 39B (0.0037s)", but for the probes of Kubernetes.
struct AccessLine {
    int status = 200;
    std::int64_t content_bytes = 0;
    Duration took{};
};
void log_access(Log& log, const Config& config, const http::RequestHead& head,
                const AccessLine& line);

}  // namespace fathom::watchdog
