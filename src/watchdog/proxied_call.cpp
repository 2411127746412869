#include "watchdog/proxied_call.h"

#include <algorithm>

#include "watchdog/forking.h"
#include "watchdog/text.h"

namespace fathom::watchdog {
namespace {

constexpr http::HeadLimits kHeadLimits;
// How often a function that does not accept connections yet is tried: there is nothing to wait on.
constexpr Duration kRetryFirst = 1ms;
constexpr Duration kRetryMost = 50ms;
// How long where there is no exec_timeout.
constexpr Duration kStartMost = 30s;

bool is_safe_to_repeat(std::string_view method) {
    return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE";
}

// Answers that go on for as long as somebody listens.
bool wants_stream(const http::RequestHead& head) {
    std::string accept(head.headers.get("Accept"));
    for (char& c : accept) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
    return accept.find("text/event-stream") != std::string::npos ||
           accept.find("application/x-ndjson") != std::string::npos;
}

}  // namespace

ProxiedCall::ProxiedCall(ProxyingFunction& function, Connection& connection)
    : function_(function),
      connection_(connection),
      timeout_(function.loop(), [this] { on_timeout(); }),
      retry_(function.loop(), [this] { connect(); }),
      retry_after_(kRetryFirst),
      started_(function.loop().clock().now()) {}

ProxiedCall::~ProxiedCall() = default;

std::unique_ptr<Call> ProxiedCall::start(ProxyingFunction& function, Connection& connection) {
    auto call = std::make_unique<ProxiedCall>(function, connection);
    const auto& head = connection.head();
    call->target_ = function.config().upstream->prefix;
    call->target_ += head.path.empty() ? "/" : head.path;
    if (head.has_query) call->target_ += "?" + std::string(head.query);
    call->is_streamed_ = wants_stream(head);
    const auto limit = exec_timeout_of(function.config(), head);
    if (!call->is_streamed_ && limit > Duration(0)) call->timeout_.arm(limit);
    if (!function.config().is_body_buffered) call->connect();
    if (call->has_ended_) return nullptr;
    return call;
}

void ProxiedCall::connect() {
    link_ = function_.take_link();
    link_->listen(this);
    if (!link_->is_open()) return on_closed();
    if (const auto sent = send_head(); !sent) {
        function_.log().line(sent.error().message());
        return fail_with(500);
    }
    // A body held whole goes along; a piecewise one comes through on_body() once connected.
    if (!buffered_.empty()) link_->send(buffered_);
    has_sent_all_ = function_.config().is_body_buffered || connection_.head().body.is_empty();
}

Result<> ProxiedCall::send_head() {
    http::RequestHead head = connection_.head();
    head.target = target_;
    head.keep_alive = true;
    if (function_.config().is_body_buffered && !head.body.is_empty()) {
        head.body = http::BodyLength::fixed(buffered_.size());
    }
    std::string text;
    auto appended = http::append_request_head(text, head, function_.config().upstream->authority);
    if (!appended) return appended;
    link_->send(text);
    return {};
}

void ProxiedCall::on_body(std::string_view piece) {
    if (has_ended_) return;
    if (function_.config().is_body_buffered) {
        if (buffered_.size() + piece.size() > function_.config().body_bytes_max) {
            return fail_with(413);
        }
        buffered_ += piece;
        return;
    }
    has_sent_body_ = true;
    if (connection_.head().body.kind != http::BodyLength::Kind::chunked) return link_->send(piece);
    link_->send(http::chunk_head(piece.size()).view());
    link_->send(piece);
    link_->send("\r\n");
}

void ProxiedCall::on_body_end() {
    if (has_ended_ || has_sent_all_) return;
    if (function_.config().is_body_buffered) return connect();
    if (connection_.head().body.kind == http::BodyLength::Kind::chunked && link_ != nullptr) {
        link_->send("0\r\n\r\n");
    }
    has_sent_all_ = true;
}

bool ProxiedCall::wants_body() const {
    if (function_.config().is_body_buffered) return true;
    return link_ != nullptr && link_->is_connected() && !link_->is_full();
}

void ProxiedCall::on_drained() {
    if (link_ != nullptr) link_->resume();
}

void ProxiedCall::on_client_gone() {
    has_ended_ = true;
    drop_link();
    connection_.abort();
}

void ProxiedCall::on_received() {
    while (!has_ended_) {
        const bool goes_on = reading_ == Reading::head ? read_head() : read_body();
        if (!goes_on) break;
    }
    if (!has_ended_ && connection_.is_full()) link_->pause();
}

bool ProxiedCall::read_head() {
    http::ResponseHead head;
    const auto asked = connection_.head().method == "HEAD" ? http::AnswerTo::head_request
                                                           : http::AnswerTo::request;
    const auto parsed =
        http::parse_response_head(link_->received(), scan_, kHeadLimits, asked, head);
    if (parsed.state == http::Parsed::State::incomplete) return false;
    const bool is_understood = parsed.state == http::Parsed::State::complete && head.status != 101;
    if (!is_understood) {
        function_.log().line("the function's answer is not HTTP as we know it: " +
                             std::string(parsed.refusal.sentence));
        fail_with(500);
        return false;
    }
    function_.note_answer();
    scan_ = {};
    if (head.status < 200) {
        link_->take(parsed.used);
        return true;
    }
    begin(head);  // before take(): its fields are views into what was received
    link_->take(parsed.used);
    if (head.body.is_empty()) {
        complete();
        return false;
    }
    return true;
}

void ProxiedCall::begin(http::ResponseHead head) {
    status_ = head.status;
    keeps_link_ = head.keep_alive && head.body.kind != http::BodyLength::Kind::until_close;
    left_ = head.body.bytes;
    switch (head.body.kind) {
        case http::BodyLength::Kind::chunked:
            reading_ = Reading::chunks;
            break;
        case http::BodyLength::Kind::until_close:
            reading_ = Reading::until_close;
            break;
        default:
            reading_ = Reading::fixed;
    }
    if (reading_ == Reading::until_close) head.body = http::BodyLength::chunked();
    head.keep_alive = true;
    const auto duration = seconds_text(took());
    if (!is_streamed_) head.headers.add("X-Duration-Seconds", duration);
    connection_.begin(std::move(head));
}

bool ProxiedCall::read_body() {
    const auto bytes = link_->received();
    if (reading_ == Reading::chunks) {
        const auto step = chunks_.next(bytes);
        connection_.write(step.data);
        if (has_ended_) return false;  // the client went away meanwhile
        link_->take(step.used);
        if (step.state == http::Parsed::State::refused) fail_with(500);
        if (step.state == http::Parsed::State::complete) complete();
        return step.used > 0;
    }
    if (bytes.empty()) return false;
    const auto piece = reading_ == Reading::fixed ? bytes.substr(0, left_) : bytes;
    connection_.write(piece);
    if (has_ended_) return false;
    link_->take(piece.size());
    left_ -= reading_ == Reading::fixed ? piece.size() : 0;
    if (reading_ == Reading::fixed && left_ == 0) complete();
    return true;
}

void ProxiedCall::complete() {
    if (std::exchange(has_ended_, true)) return;
    timeout_.cancel();
    log_answer(status_);
    if (keeps_link_ && has_sent_all_ && !link_->has_unsent()) {
        function_.give_back(std::move(link_));
    } else {
        drop_link();
    }
    connection_.finish();
}

void ProxiedCall::on_closed() {
    if (has_ended_) return;
    if (reading_ == Reading::until_close) return complete();
    if (reading_ != Reading::head) return fail_with(500);
    const bool was_used = link_->was_used();
    const bool was_connected = link_->is_connected();
    const bool has_said_nothing = link_->received().empty();
    drop_link();
    const bool is_repeatable = has_said_nothing && !has_sent_body_;
    if (is_repeatable && was_used && is_safe_to_repeat(connection_.head().method)) {
        return connect();
    }
    const bool is_starting = !function_.has_answered() && function_.is_running();
    if (is_repeatable && is_starting && !was_connected) return connect_later();
    fail_with(500);
}

// The function has been started, and does not listen yet.
void ProxiedCall::connect_later() {
    if (took() > kStartMost) return fail_with(500);
    retry_.arm(retry_after_);
    retry_after_ = std::min(retry_after_ * 2, kRetryMost);
}

void ProxiedCall::on_timeout() {
    fail_with(504);
}

void ProxiedCall::fail_with(int status) {
    if (std::exchange(has_ended_, true)) return;
    timeout_.cancel();
    retry_.cancel();
    drop_link();
    if (connection_.has_begun()) return connection_.abort();
    log_answer(status);
    const auto duration = seconds_text(took());
    connection_.answer(
        status, {{"X-Duration-Seconds", duration}, {"X-OpenFaaS-Internal", "of-watchdog"}}, "");
}

void ProxiedCall::drop_link() {
    if (link_ == nullptr) return;
    link_->close();
    function_.loop().discard(std::move(link_));
}

void ProxiedCall::log_answer(int status) {
    log_access(function_.log(), function_.config(), connection_.head(),
               {.status = status,
                .content_bytes = static_cast<std::int64_t>(connection_.sent_bytes()),
                .took = took()});
}

ReadyCall::ReadyCall(ProxyingFunction& function, Connection& connection)
    : function_(function),
      connection_(connection),
      retry_(function.loop(), [this] { probe(); }),
      timeout_(function.loop(), [this] { answer(503); }),
      retry_after_(kRetryFirst) {
    const auto limit = function.config().exec_timeout;
    timeout_.arm(limit > Duration(0) ? limit : kStartMost);
    retry_.arm(Duration(0));
}

void ReadyCall::probe() {
    if (link_ == nullptr || !link_->is_open()) link_ = function_.take_link();
    if (link_->is_connected()) {
        function_.give_back(std::move(link_));
        return answer(200);
    }
    retry_.arm(retry_after_);
    retry_after_ = std::min(retry_after_ * 2, kRetryMost);
}

void ReadyCall::answer(int status) {
    retry_.cancel();
    timeout_.cancel();
    connection_.answer(status, {}, "");
}

}  // namespace fathom::watchdog
