#include "watchdog/buffered_call.h"

#include <algorithm>

#include "watchdog/sniff.h"
#include "watchdog/text.h"

namespace fathom::watchdog {
namespace {

// A said length is believed up to here before the bytes have come.
constexpr std::uint64_t kReservedMax = 1024 * 1024;

}  // namespace

BufferedCall::BufferedCall(ForkingParts& parts, Connection& connection)
    : parts_(parts),
      connection_(connection),
      run_(parts.loop, *this),
      timeout_(parts.loop, [this] { on_timeout(); }) {
    const auto& body = connection.head().body;
    if (body.kind != http::BodyLength::Kind::fixed) return;
    if (body.bytes > parts.config.body_bytes_max) return;  // on_body() says so
    input_.reserve(std::min(body.bytes, kReservedMax));
}

void BufferedCall::on_body(std::string_view piece) {
    if (is_answered_) return;
    const auto& said = connection_.head().body;
    const auto bytes = std::max<std::uint64_t>(said.bytes, input_.size() + piece.size());
    if (bytes > parts_.config.body_bytes_max) {
        return refuse(413, "the request's body is longer than FATHOM_BODY_BYTES_MAX=" +
                               std::to_string(parts_.config.body_bytes_max));
    }
    input_ += piece;
}

void BufferedCall::on_body_end() {
    if (is_answered_) return;
    started_ = parts_.loop.clock().now();
    auto environment = parts_.environment_of(connection_.head());
    if (!environment) return refuse(400, environment.error().message());
    if (parts_.config.prints_headers) log_headers();
    if (is_classic()) parts_.log.line("Forking fprocess.");

    const auto started = run_.start(parts_.command, *environment, parts_.error_output(),
                                    take_input(), Run::Input::whole);
    if (!started) return fail_with(started.error().message());
    const auto limit = exec_timeout_of(parts_.config, connection_.head());
    if (limit > Duration(0)) timeout_.arm(limit);
}

std::string BufferedCall::take_input() {
    auto input = std::exchange(input_, {});
    if (parts_.config.writes_debug) parts_.log.line("Query  " + std::string(input));
    return parts_.config.is_marshalled ? marshal_request(connection_.head(), input) : input;
}

void BufferedCall::log_headers() {
    for (const auto& field : connection_.head().headers) {
        parts_.log.line(canonical_name(field.name) + "=" + std::string(field.value));
    }
}

void BufferedCall::on_output(std::string_view bytes) {
    if (output_.size() + bytes.size() > parts_.config.body_bytes_max) {
        run_.kill();
        output_.clear();
        return fail_with("the response is longer than FATHOM_BODY_BYTES_MAX=" +
                         std::to_string(parts_.config.body_bytes_max));
    }
    output_ += bytes;
}

void BufferedCall::on_end(int wait_status) {
    timeout_.cancel();
    const auto text = exit_text(wait_status);
    if (text.empty()) return succeed();
    fail_with(text);
}

// Classic answers at once; serializing, when the killed process is gone, "signal: killed".
void BufferedCall::on_timeout() {
    run_.kill();
    parts_.log.line("Killing process: it runs longer than exec_timeout=" +
                    to_text(exec_timeout_of(parts_.config, connection_.head())));
    if (is_classic()) {
        answer(408, "text/plain; charset=utf-8", "Killed process.\n");
    } else {
        fail_with("signal: killed");
    }
}

void BufferedCall::succeed() {
    std::string_view type = parts_.config.content_type;
    if (type.empty()) type = connection_.head().headers.get("Content-Type");
    if (type.empty() && !output_.empty()) type = sniff_content_type(output_);
    log_success();
    answer(200, type, output_);
}

void BufferedCall::log_success() {
    if (!is_classic()) return;
    if (parts_.config.writes_debug) {
        parts_.log.line(output_);
        return parts_.log.line("Duration: " + seconds_text(took()) + "s");
    }
    std::string line = "Wrote ";
    append_number(line, static_cast<std::int64_t>(output_.size()));
    line += " Bytes - Duration: ";
    append_seconds(line, took(), 6);
    line += 's';
    parts_.log.line(line);
}

void BufferedCall::fail_with(std::string_view sentence) {
    std::string body(sentence);
    if (is_classic()) {
        parts_.log.line(sentence);
        body += '\n';
        body += output_;
    }
    answer(500, "text/plain; charset=utf-8", body);
}

void BufferedCall::refuse(int status, std::string_view sentence) {
    answer(status, "text/plain; charset=utf-8", std::string(sentence) + "\n");
}

// The connection discards this call as soon as it is answered; nothing may follow.
void BufferedCall::answer(int status, std::string_view content_type, std::string_view body) {
    if (std::exchange(is_answered_, true)) return;
    timeout_.cancel();
    if (!is_classic()) {
        log_access(parts_.log, parts_.config, connection_.head(),
                   {.status = status,
                    .content_bytes = static_cast<std::int64_t>(body.size()),
                    .took = took()});
    }
    http::ResponseHead head;
    head.status = status;
    const auto duration = seconds_text(took());
    if (!content_type.empty()) head.headers.add("Content-Type", content_type);
    if (!is_classic() || status == 200) head.headers.add("X-Duration-Seconds", duration);
    connection_.answer(std::move(head), body);
}

}  // namespace fathom::watchdog
