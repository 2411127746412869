// http mode: one long-lived process, to which every request is passed on.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "watchdog/process.h"
#include "watchdog/request_text.h"
#include "watchdog/server.h"
#include "watchdog/upstream_link.h"

namespace fathom::watchdog {

class ProxyingFunction final : public Function {
public:
    // `on_death` gets the reason when the process ends in a way that must end the watchdog too.
    ProxyingFunction(Loop& loop, const Config& config, Log& log, const Environment& environment,
                     std::function<void()> on_death);

    Result<> start() override;
    std::unique_ptr<Call> call(Connection& connection) override;
    // Waits until the function accepts connections: it is not ready before.
    std::unique_ptr<Call> ready(Connection& connection) override;
    void terminate() override;

    // For its calls. An idle connection, or a new one.
    std::unique_ptr<UpstreamLink> take_link();
    void give_back(std::unique_ptr<UpstreamLink> link);
    // Once it has answered anything, a refused connection means trouble and not "not yet".
    bool has_answered() const { return has_answered_; }
    void note_answer() { has_answered_ = true; }
    bool is_running() const { return pid_ > 0; }
    Loop& loop() { return loop_; }
    const Config& config() const { return config_; }
    Log& log() { return log_; }

private:
    Result<> open_logs();
    void on_exit(int wait_status);

    Loop& loop_;
    const Config& config_;
    Log& log_;
    Command command_;
    ChildEnvironment environment_;
    std::function<void()> on_death_;
    std::optional<LinePump> output_;
    std::optional<LinePump> errors_;
    std::vector<std::unique_ptr<UpstreamLink>> idle_;
    pid_t pid_ = -1;
    bool is_terminating_ = false;
    bool has_answered_ = false;
};

}  // namespace fathom::watchdog
