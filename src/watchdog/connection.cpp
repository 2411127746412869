#include "watchdog/connection.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>

#include "watchdog/server.h"

namespace fathom::watchdog {
namespace {

constexpr http::HeadLimits kHeadLimits;
// So much of a body that nobody wants is read, to keep the connection; beyond, it is closed.
constexpr std::uint64_t kDiscardedMax = 256 * 1024;
constexpr std::size_t kKeptCapacity = 16 * 1024;  // an idle connection holds no more memory
constexpr Duration kLinger = 2s;                  // how long a closed client may take to notice

void release_if_large(std::string& buffer) {
    buffer.clear();
    if (buffer.capacity() > kKeptCapacity) buffer = {};
}

}  // namespace

Connection::Connection(Server& server, int fd)
    : server_(server), channel_(server.loop(), [this](std::uint32_t events) { on_ready(events); }) {
    channel_.open(fd, EPOLLIN);
    set_deadline(server_.idle_timeout());
}

void Connection::on_ready(std::uint32_t events) {
    // With data or an end of input to read, the read says what happened; HUP alone means gone.
    if ((events & EPOLLOUT) != 0) flush();
    if (channel_.is_open() && (events & EPOLLIN) != 0 && is_reading()) {
        receive();
    } else if (channel_.is_open() && (events & (EPOLLHUP | EPOLLERR)) != 0) {
        lose_client();
    }
}

bool Connection::is_reading() const {
    if (is_input_ended_) return false;
    switch (phase_) {
        case Phase::head:
            return !is_closing_;
        case Phase::body:
            return call_ == nullptr || call_->wants_body();
        case Phase::answer:
            return false;
        case Phase::lingering:
            return true;
    }
    return false;
}

void Connection::receive() {
    const auto scratch = server_.loop().scratch();
    const auto count = ::recv(channel_.fd(), scratch.data(), scratch.size(), 0);
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR) lose_client();
        return;
    }
    if (count == 0) return on_end_of_input();
    const std::string_view bytes(scratch.data(), static_cast<std::size_t>(count));
    if (phase_ == Phase::lingering || is_closing_) return;
    if (phase_ == Phase::head) {
        // A head as a whole has its time, so that it cannot trickle in for ever.
        if (in_.empty()) set_deadline(server_.config().read_timeout);
        in_ += bytes;
    } else {
        set_deadline(server_.config().read_timeout);
        rest_ += bytes;
    }
    pump();
}

void Connection::on_end_of_input() {
    is_input_ended_ = true;
    if (phase_ == Phase::body) return break_body({400, "unexpected EOF"});
    // Between requests, or in the middle of a head: nobody waits for an answer.
    close();
}

// Goes on as far as the bytes that are here allow.
void Connection::pump() {
    if (is_pumping_) return;
    is_pumping_ = true;
    for (bool goes_on = true; goes_on && channel_.is_open() && !is_closing_;) {
        switch (phase_) {
            case Phase::head:
                goes_on = read_head();
                break;
            case Phase::body:
                goes_on = read_body();
                break;
            default:
                goes_on = false;
        }
    }
    is_pumping_ = false;
    want();
}

bool Connection::read_head() {
    if (in_.empty()) return false;
    const auto parsed = http::parse_request_head(in_, scan_, kHeadLimits, head_);
    if (parsed.state == http::Parsed::State::incomplete) return false;
    if (parsed.state == http::Parsed::State::refused) {
        refuse(parsed.refusal);
        return false;
    }
    rest_.assign(in_, parsed.used);
    in_.resize(parsed.used);  // shrinking moves nothing: head_ views into it
    used_ = 0;
    phase_ = Phase::body;
    keeps_alive_ = head_.keep_alive && !is_retired_;
    body_left_ = head_.body.bytes;
    discarded_bytes_ = 0;
    if (head_.body.kind == http::BodyLength::Kind::chunked) chunks_ = http::ChunkedDecoder();

    call_ = server_.route(*this);
    if (has_answered_) end_call();
    if (head_.body.is_empty()) {
        end_body();
    } else if (head_.expects_continue && !has_begun_ && rest_.empty()) {
        send(http::kContinue);
    }
    return true;
}

bool Connection::read_body() {
    if (call_ != nullptr && !call_->wants_body()) return false;
    if (used_ == rest_.size()) return false;
    return head_.body.kind == http::BodyLength::Kind::chunked ? read_chunks() : read_fixed();
}

bool Connection::read_fixed() {
    const auto piece = std::string_view(rest_).substr(used_, body_left_);
    used_ += piece.size();
    body_left_ -= piece.size();
    const bool is_end = body_left_ == 0;
    take_piece(piece);
    if (phase_ != Phase::body) return true;
    if (is_end) {
        end_body();
    } else if (used_ == rest_.size()) {
        rest_.clear();
        used_ = 0;
    }
    return true;
}

bool Connection::read_chunks() {
    const auto step = chunks_.next(std::string_view(rest_).substr(used_));
    if (step.state == http::Parsed::State::refused) {
        break_body(step.refusal);
        return false;
    }
    used_ += step.used;
    const bool is_stuck = step.used == 0 && step.data.empty();
    if (!step.data.empty()) take_piece(step.data);
    if (phase_ != Phase::body) return true;
    if (step.state == http::Parsed::State::complete) {
        end_body();
        return true;
    }
    rest_.erase(0, std::exchange(used_, 0));
    return !is_stuck;
}

void Connection::take_piece(std::string_view piece) {
    if (call_ != nullptr) return call_->on_body(piece);
    discarded_bytes_ += piece.size();
    if (discarded_bytes_ > kDiscardedMax) {
        keeps_alive_ = false;
        end_exchange();
    }
}

void Connection::end_body() {
    phase_ = Phase::answer;
    if (call_ != nullptr) call_->on_body_end();
    if (has_answered_ && phase_ == Phase::answer) end_exchange();
}

void Connection::break_body(http::Refusal refusal) {
    if (call_ != nullptr) call_->on_body_broken();
    end_call();
    if (has_begun_) return abort();
    refuse(refusal);
}

void Connection::refuse(http::Refusal refusal) {
    keeps_alive_ = false;
    std::string body(refusal.sentence);
    body += '\n';
    answer(refusal.status, {{"Content-Type", "text/plain; charset=utf-8"}}, body);
}

void Connection::resume() {
    pump();
}

void Connection::retarget(std::string_view target) {
    head_.method = "GET";
    head_.target = target;
    const auto mark = target.find('?');
    head_.path = target.substr(0, mark);
    head_.has_query = mark != std::string_view::npos;
    head_.query = head_.has_query ? target.substr(mark + 1) : std::string_view();
}

void Connection::answer(int status, std::initializer_list<http::Header> fields,
                        std::string_view body) {
    http::ResponseHead head;
    head.status = status;
    for (const auto& field : fields) head.headers.add(field.name, field.value);
    answer(std::move(head), body);
}

http::BodyLength Connection::append_head(http::ResponseHead& head) {
    head.keep_alive = head.keep_alive && keeps_alive_ && !is_retired_;
    const http::ResponseForm form{.is_to_head = head_.method == "HEAD",
                                  .version_minor = head_.version_minor,
                                  .date = server_.date()};
    head_text_.clear();
    const auto length = http::append_response_head(head_text_, head, form);
    keeps_alive_ = head.keep_alive && length.kind != http::BodyLength::Kind::until_close;
    return length;
}

void Connection::answer(http::ResponseHead head, std::string_view body) {
    head.body = http::BodyLength::fixed(body.size());
    const bool is_body_long =
        head_.body.kind == http::BodyLength::Kind::chunked || body_left_ > kDiscardedMax;
    // Nor is there a body to skip where the client still waits for "100 Continue".
    const bool is_body_held = head_.expects_continue && rest_.empty();
    if (phase_ == Phase::body && !head_.body.is_empty() && (is_body_long || is_body_held)) {
        keeps_alive_ = false;
    }
    answer_length_ = append_head(head);
    has_begun_ = true;
    sent_bytes_ = body.size();
    send(head_text_, answer_length_.is_empty() ? std::string_view() : body);
    end_answer();
}

void Connection::begin(http::ResponseHead head) {
    answer_length_ = append_head(head);
    has_begun_ = true;
    sent_bytes_ = 0;
    send(head_text_);
}

void Connection::write(std::string_view bytes) {
    if (bytes.empty()) return;
    sent_bytes_ += bytes.size();
    switch (answer_length_.kind) {
        case http::BodyLength::Kind::none:
            return;
        case http::BodyLength::Kind::chunked:
            return send(http::chunk_head(bytes.size()).view(), bytes, "\r\n");
        default:
            return send(bytes);
    }
}

void Connection::finish(const http::Headers& trailers) {
    if (answer_length_.kind == http::BodyLength::Kind::fixed &&
        sent_bytes_ != answer_length_.bytes) {
        return abort();
    }
    if (answer_length_.kind == http::BodyLength::Kind::chunked) {
        std::string last;
        http::append_last_chunk(last, trailers);
        send(last);
    }
    end_answer();
}

void Connection::abort() {
    keeps_alive_ = false;
    has_begun_ = true;
    phase_ = Phase::answer;
    end_answer();
}

void Connection::end_answer() {
    has_answered_ = true;
    end_call();
    if (!channel_.is_open()) return close();
    // A body that is still coming is read to its end first; read_head() and pump() go on then.
    if (phase_ == Phase::answer || !keeps_alive_) end_exchange();
}

void Connection::end_call() {
    slot_ = Slot();
    if (call_ != nullptr) server_.loop().discard(std::move(call_));
}

void Connection::end_exchange() {
    if (!keeps_alive_ || is_input_ended_) {
        is_closing_ = true;
        if (out_.empty()) finish_closing();
        return;
    }
    rest_.erase(0, std::exchange(used_, 0));
    in_.swap(rest_);
    release_if_large(rest_);
    phase_ = Phase::head;
    scan_ = {};
    has_begun_ = has_answered_ = false;
    set_deadline(in_.empty() ? server_.idle_timeout() : server_.config().read_timeout);
    pump();
    if (is_retired_ && in_.empty() && channel_.is_open() && out_.empty()) close();
}

void Connection::send(std::string_view head, std::string_view body, std::string_view tail) {
    if (!channel_.is_open()) return;
    std::size_t sent = 0;
    if (out_.empty()) {
        iovec pieces[3] = {{const_cast<char*>(head.data()), head.size()},
                           {const_cast<char*>(body.data()), body.size()},
                           {const_cast<char*>(tail.data()), tail.size()}};
        msghdr message{};
        message.msg_iov = pieces;
        message.msg_iovlen = 3;
        const auto count = ::sendmsg(channel_.fd(), &message, MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN && errno != EINTR) return lose_client();
        sent = count > 0 ? static_cast<std::size_t>(count) : 0;
    }
    for (const auto piece : {head, body, tail}) {
        const auto skipped = std::min(sent, piece.size());
        sent -= skipped;
        out_.append(piece.substr(skipped));
    }
    if (!out_.empty()) {
        set_deadline(server_.config().write_timeout);
        want();
    }
}

void Connection::flush() {
    if (!out_.empty()) {
        const auto waiting = out_.view();
        const auto count = ::send(channel_.fd(), waiting.data(), waiting.size(), MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN && errno != EINTR) return lose_client();
        if (count > 0) {
            out_.take(static_cast<std::size_t>(count));
            set_deadline(server_.config().write_timeout);
        }
    }
    if (out_.empty()) {
        if (is_closing_) return finish_closing();
        if (call_ != nullptr) call_->on_drained();
        if (phase_ == Phase::head && in_.empty()) set_deadline(server_.idle_timeout());
    }
    want();
}

// With bytes of the client unread, a plain close would reset the connection under the answer.
void Connection::finish_closing() {
    if (phase_ == Phase::lingering) return close();
    const bool has_unread = phase_ != Phase::answer || used_ < rest_.size();
    if (is_input_ended_ || !has_unread) return close();
    phase_ = Phase::lingering;
    ::shutdown(channel_.fd(), SHUT_WR);
    set_deadline(kLinger);
    want();
}

void Connection::lose_client() {
    channel_.close();
    out_.clear();
    if (call_ != nullptr && phase_ == Phase::body) {
        call_->on_body_broken();
        end_call();
    }
    if (call_ != nullptr) call_->on_client_gone();
    if (call_ == nullptr) close();
}

void Connection::close() {
    channel_.close();
    end_call();
    server_.remove(*this);
}

void Connection::expire() {
    has_deadline_ = false;
    if (!out_.empty() || phase_ == Phase::lingering) return lose_client();
    if (phase_ == Phase::head && in_.empty()) return close();
    if (phase_ == Phase::head) return refuse({408, "the request's head came too slowly"});
    break_body({408, "the request's body stalled"});
}

void Connection::retire() {
    is_retired_ = true;
    keeps_alive_ = false;
    if (phase_ == Phase::head && in_.empty() && out_.empty()) close();
}

void Connection::want() {
    if (!channel_.is_open()) return;
    channel_.want((out_.empty() ? 0U : EPOLLOUT) | (is_reading() ? EPOLLIN : 0U));
}

void Connection::set_deadline(Duration from_now) {
    has_deadline_ = from_now > Duration(0);
    if (!has_deadline_) return;
    deadline_ = server_.loop().clock().now() + from_now;
    server_.sweep_later();
}

}  // namespace fathom::watchdog
