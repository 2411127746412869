#include "watchdog/forking.h"

#include "watchdog/buffered_call.h"
#include "watchdog/streamed_call.h"
#include "watchdog/text.h"

namespace fathom::watchdog {
namespace {

bool is_classic_method(std::string_view method) {
    for (const std::string_view each : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
        if (method == each) return true;
    }
    return false;
}

}  // namespace

ErrorOutput ForkingParts::error_output() const {
    if (config.has_combined_output) return {.kind = ErrorOutput::Kind::with_output};
    return {.fd = errors ? errors->write_end() : 2};
}

Result<char* const*> ForkingParts::environment_of(const http::RequestHead& head) {
    if (config.mode == Mode::classic && !config.has_cgi_headers) return environment.plain();
    return environment.with_request(head, config.mode);
}

ForkingFunction::ForkingFunction(Loop& loop, const Config& config, Log& log,
                                 const Environment& environment)
    : parts_{.loop = loop,
             .config = config,
             .log = log,
             .command = Command(config.command, config.search_path),
             .environment = ChildEnvironment(environment)} {}

Result<> ForkingFunction::start() {
    const auto& config = parts_.config;
    if (config.mode == Mode::classic || !config.has_log_prefix) return {};
    parts_.errors.emplace(
        parts_.loop, parts_.log,
        LinePump::Options{.label = "stderr", .fd = 2, .bytes_max = config.log_line_bytes_max});
    return parts_.errors->open();
}

std::unique_ptr<Call> ForkingFunction::call(Connection& connection) {
    if (parts_.config.mode == Mode::streaming) return StreamedCall::start(parts_, connection);
    if (parts_.config.mode == Mode::classic && !is_classic_method(connection.head().method)) {
        connection.answer(405, {}, "");
        return nullptr;
    }
    return std::make_unique<BufferedCall>(parts_, connection);
}

Duration exec_timeout_of(const Config& config, const http::RequestHead& head) {
    if (config.mode == Mode::classic) return config.exec_timeout;
    const auto text = head.headers.find("X-Timeout");
    if (!text) return config.exec_timeout;
    const auto wished = parse_duration(*text, BareSeconds::refused);
    return wished && *wished > Duration(0) && *wished <= config.exec_timeout ? *wished
                                                                             : config.exec_timeout;
}

void log_access(Log& log, const Config& config, const http::RequestHead& head,
                const AccessLine& line) {
    if (head.headers.get("User-Agent").starts_with("kube-probe")) return;
    std::string text(head.method);
    text += ' ';
    text += head.target;
    text += " - ";
    append_number(text, line.status);
    text += ' ';
    text += http::reason_of(line.status);
    text += " - ContentLength: ";
    append_size(text, line.content_bytes);
    text += " (";
    append_seconds(text, line.took, 4);
    text += "s)";
    if (config.logs_call_id) {
        const auto id = head.headers.get("X-Call-Id");
        text += " [";
        text += id.empty() ? "none" : id;
        text += ']';
    }
    log.line(text);
}

}  // namespace fathom::watchdog
