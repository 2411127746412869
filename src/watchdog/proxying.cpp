#include "watchdog/proxying.h"

#include <signal.h>

#include "watchdog/proxied_call.h"

namespace fathom::watchdog {
namespace {

constexpr std::size_t kIdleMax = 64;

}  // namespace

ProxyingFunction::ProxyingFunction(Loop& loop, const Config& config, Log& log,
                                   const Environment& environment, std::function<void()> on_death)
    : loop_(loop),
      config_(config),
      log_(log),
      command_(config.command, config.search_path),
      environment_(environment),
      on_death_(std::move(on_death)) {}

Result<> ProxyingFunction::open_logs() {
    if (!config_.has_log_prefix) return {};  // bare lines: the process writes them itself
    const auto bytes_max = config_.log_line_bytes_max;
    output_.emplace(loop_, log_,
                    LinePump::Options{.label = "stdout", .fd = 1, .bytes_max = bytes_max});
    errors_.emplace(loop_, log_,
                    LinePump::Options{.label = "stderr", .fd = 2, .bytes_max = bytes_max});
    if (const auto opened = output_->open(); !opened) return fail(opened.error());
    return errors_->open();
}

Result<> ProxyingFunction::start() {
    if (const auto opened = open_logs(); !opened) return fail(opened.error());
    std::string words;
    for (const auto& word : config_.command) words += (words.empty() ? "" : " ") + word;
    log_.line("Forking: " + words);
    const auto started = command_.start(environment_.plain(),
                                        {.in = 0,
                                         .out = output_ ? output_->write_end() : 1,
                                         .err = errors_ ? errors_->write_end() : 2},
                                        Parting::dies_too);
    if (!started) return fail(started.error());
    pid_ = *started;
    loop_.on_exit(pid_, [this](int status) { on_exit(status); });
    return {};
}

// A process that ended well may have left a server behind; then we go on, and answer 500 if not.
void ProxyingFunction::on_exit(int wait_status) {
    pid_ = -1;
    if (output_) output_->flush();
    if (errors_) errors_->flush();
    const auto text = exit_text(wait_status);
    if (text.empty() || is_terminating_) return;
    log_.line("Forked function has terminated: " + text);
    on_death_();
}

void ProxyingFunction::terminate() {
    is_terminating_ = true;
    if (pid_ > 0) ::kill(pid_, SIGTERM);
}

std::unique_ptr<Call> ProxyingFunction::call(Connection& connection) {
    return ProxiedCall::start(*this, connection);
}

std::unique_ptr<Call> ProxyingFunction::ready(Connection& connection) {
    if (has_answered_) return Function::ready(connection);
    return std::make_unique<ReadyCall>(*this, connection);
}

std::unique_ptr<UpstreamLink> ProxyingFunction::take_link() {
    while (!idle_.empty()) {
        auto link = std::move(idle_.back());
        idle_.pop_back();
        if (link->is_open()) return link;
    }
    return std::make_unique<UpstreamLink>(loop_, *config_.upstream);
}

void ProxyingFunction::give_back(std::unique_ptr<UpstreamLink> link) {
    link->listen(nullptr);
    link->mark_used();
    if (link->is_open() && idle_.size() < kIdleMax)
        idle_.push_back(std::move(link));
    else
        loop_.discard(std::move(link));
}

}  // namespace fathom::watchdog
