#include "watchdog/streamed_call.h"

#include "watchdog/text.h"

namespace fathom::watchdog {

std::unique_ptr<Call> StreamedCall::start(ForkingParts& parts, Connection& connection) {
    auto call = std::make_unique<StreamedCall>(parts, connection);
    const auto environment = parts.environment_of(connection.head());
    if (!environment) {
        connection.answer(400, {{"Content-Type", "text/plain; charset=utf-8"}},
                          environment.error().message() + "\n");
        return nullptr;
    }
    const auto input =
        connection.head().body.is_empty() ? Run::Input::whole : Run::Input::piecewise;
    const auto started =
        call->run_.start(parts.command, *environment, parts.error_output(), {}, input);
    if (!started) {
        parts.log.line(started.error().message());
        connection.answer(500, {{"Content-Type", "text/plain; charset=utf-8"}},
                          started.error().message());
        return nullptr;
    }
    const auto limit = exec_timeout_of(parts.config, connection.head());
    if (limit > Duration(0)) call->timeout_.arm(limit);
    return call;
}

StreamedCall::StreamedCall(ForkingParts& parts, Connection& connection)
    : parts_(parts),
      connection_(connection),
      run_(parts.loop, *this),
      timeout_(parts.loop, [this] { run_.kill(); }),
      started_(parts.loop.clock().now()) {}

void StreamedCall::begin() {
    http::ResponseHead head;
    head.body = http::BodyLength::chunked();
    head.headers.add("Content-Type", parts_.config.content_type);
    connection_.begin(std::move(head));
}

void StreamedCall::on_output(std::string_view bytes) {
    if (!connection_.has_begun()) begin();
    connection_.write(bytes);
    if (connection_.is_full()) run_.pause_output();
}

// Whatever the exit status: 200, since nothing else can be said once the first bytes are out.
void StreamedCall::on_end(int wait_status) {
    if (const auto text = exit_text(wait_status); !text.empty()) parts_.log.line(text);
    if (!connection_.has_begun()) begin();
    log_access(parts_.log, parts_.config, connection_.head(),
               {.content_bytes = static_cast<std::int64_t>(connection_.sent_bytes()),
                .took = parts_.loop.clock().now() - started_});
    connection_.finish();
}

}  // namespace fathom::watchdog
