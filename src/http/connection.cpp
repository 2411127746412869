#include "http/connection.h"

#include <sys/socket.h>

namespace fathom::http {
namespace {

// Of a request's body that nobody read: beyond this a new connection is cheaper.
constexpr std::uint64_t kSkippedMax = 256_KiB;
// After an early answer we read on for a while, or closing would take the answer back (RFC 9112
// section 9.6).
constexpr Duration kLingerMax = 2s;
constexpr std::uint64_t kLingerBytesMax = 8_MiB;
// Fields a connection keeps room for between requests.
constexpr std::size_t kFieldsKept = 32;

}  // namespace

Connection::Connection(Shard& shard, rt::Socket socket, std::string peer)
    : shard_(shard),
      wire_(std::move(socket)),
      reader_(wire_, shard.shards.limits.stall_max),
      writer_(wire_, shard.shards.limits.stall_max),
      peer_(std::move(peer)) {
    enter_before(shard_.list);
}

Connection::~Connection() {
    shard_.counts.open.fetch_sub(1, std::memory_order_relaxed);
    shard_.shards.open.fetch_sub(1, std::memory_order_relaxed);
}

Async<> Connection::run(Shard& shard, rt::Socket socket, std::string peer, Refuses refuses) {
    Connection self(shard, std::move(socket), std::move(peer));
    auto next = Next::close;
    if (refuses == Refuses::yes) {
        next = *co_await self.refuse(503, "too many connections");
    } else {
        next = *co_await self.serve();
    }
    if (next == Next::linger) (void)co_await self.linger();
    if (next == Next::reset) {
        const ::linger at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(self.wire_.socket().fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    co_return Result<>{};
}

Async<Connection::Next> Connection::serve() {
    const HeadLimits head_limits{limits().head_bytes_max, limits().head_fields_max};
    for (;;) {
        const auto parsed = parse_request_head(wire_.bytes(), scan_, head_limits, request_);
        if (parsed.state == Parsed::State::refused) {
            co_return co_await refuse(parsed.refusal.status, parsed.refusal.sentence);
        }
        if (parsed.state == Parsed::State::incomplete) {
            const bool is_simple = wire_.is_empty() && !writer_.has_pending();
            auto has_more = co_await (is_simple ? wait_for_request() : wait_for_bytes());
            if (*has_more) continue;
            if (wire_.is_empty() || !wire_.patience().is_read_late()) co_return Next::close;
            co_return co_await refuse(408, "the head of the request did not come in time");
        }
        begin_exchange(parsed.used);
        auto handled = co_await shard_.handler->handle(*this);
        if (!handled || !is_simply_over()) {
            auto next = co_await end_exchange(std::move(handled));
            if (*next != Next::request) co_return *next;
        }
        wire_.release();
        scan_ = {};
        if (request_.headers.size() > kFieldsKept) request_.headers = {};
        if (!wire_.is_empty() && ++requests_since_wait_ >= limits().requests_per_wake_max) {
            requests_since_wait_ = 0;
            co_await rt::yield();
        }
    }
}

Async<bool> Connection::wait_for_bytes() {
    if (writer_.has_pending() && !co_await writer_.flush()) co_return false;
    if (wire_.is_empty()) co_return co_await wait_for_request();
    auto count = co_await wire_.fill(head_by_, limits().head_bytes_max);
    co_return count && *count > 0;
}

Async<bool> Connection::wait_for_request() {
    auto& socket = wire_.socket();
    auto& patience = wire_.patience();
    writer_.release();
    is_idle_ = true;
    for (;;) {
        // What was announced may have been read already.
        auto count = wire_.try_fill(limits().head_bytes_max);
        if (!count) co_return false;
        if (*count) {
            is_idle_ = false;
            head_by_ = rt::this_core().now() + limits().head_within;
            co_return **count > 0;
        }
        wire_.release();
        if (shard_.is_draining && !is_fresh_) co_return false;
        requests_since_wait_ = 0;
        patience.read_by(rt::this_core().now() + limits().idle_max);
        co_await socket.readable();
        patience.read_came();
    }
}

void Connection::begin_exchange(std::size_t head_bytes) {
    wire_.use(head_bytes);
    wire_.keep();
    reader_.begin(request_.body, limits().body_bytes_max);
    if (request_.expects_continue && wire_.is_empty()) reader_.continue_through(&writer_);
    is_fresh_ = false;
    has_started_ = false;
    is_aborted_ = false;
    stays_open_ = request_.keep_alive;
    count_up(shard_.counts.requests);
}

bool Connection::is_simply_over() const noexcept {
    return has_started_ && writer_.is_done() && !writer_.has_failed() && reader_.is_done() &&
           stays_open_ && !is_aborted_;
}

// A byte that came and was not read makes the kernel answer our close with a reset.
bool Connection::has_unread() const noexcept {
    return !reader_.is_done() || !wire_.is_empty() || wire_.socket().is_stale();
}

Async<Connection::Next> Connection::end_exchange(Result<> handled) {
    const auto broken = [this] { return writer_.lasts_until_close() ? Next::reset : Next::close; };
    if (is_aborted_) co_return has_started_ ? broken() : Next::close;
    if (!handled && has_started_) co_return broken();
    if (!handled) {
        (void)co_await reply_error(std::move(handled).error());
    } else if (!has_started_) {
        (void)co_await reply_error(Error(Errc::internal, "the request was not answered"));
    } else if (!writer_.is_done()) {
        auto finished = co_await writer_.finish({});
        if (!finished) co_return broken();
    }
    if (writer_.has_failed()) co_return Next::close;
    if (stays_open_ && !reader_.is_done()) {
        if (!co_await writer_.flush()) co_return Next::close;
        auto is_skipped = co_await reader_.skip_rest(kSkippedMax);
        if (!*is_skipped) co_return Next::linger;
    }
    if (stays_open_) co_return Next::request;
    if (!co_await writer_.flush()) co_return Next::close;
    co_return has_unread() ? Next::linger : Next::close;
}

Async<> Connection::reply_error(Error error) {
    // What is wrong with the body is the client's affair, whatever the handler made of it.
    const int status =
        reader_.refusal_status() != 0 ? reader_.refusal_status() : facts(error.code()).http_status;
    if (reader_.refusal_status() != 0) {
        stays_open_ = false;
        count_up(shard_.counts.bad_requests);
    }
    co_return co_await reply({.status = status,
                              .content_type = "text/plain; charset=utf-8",
                              .body = error.message() + "\n"});
}

Async<Connection::Next> Connection::refuse(int status, std::string_view sentence) {
    count_up(status == 503 ? shard_.counts.refused : shard_.counts.bad_requests);
    request_ = {};
    request_.keep_alive = false;
    reader_.begin(BodyLength::none(), 0);
    has_started_ = false;
    stays_open_ = false;
    auto sent = co_await reply({.status = status,
                                .content_type = "text/plain; charset=utf-8",
                                .body = std::string(sentence) + "\n"});
    co_return sent ? Next::linger : Next::close;
}

Async<> Connection::linger() {
    wire_.socket().shut_write();
    const auto by = rt::this_core().now() + kLingerMax;
    for (std::uint64_t skipped = 0; skipped < kLingerBytesMax;) {
        wire_.use(wire_.bytes().size());
        wire_.release();
        auto count = co_await wire_.fill(by);
        if (!count || *count == 0) break;
        skipped += *count;
    }
    co_return Result<>{};
}

void Connection::start(const ResponseHead& head) {
    FATHOM_CHECK(!has_started_, "an exchange is answered once");
    has_started_ = true;
    // The client may send the body or not: only closing makes clear what comes next.
    if (reader_.owes_continue()) stays_open_ = false;
    reader_.continue_through(nullptr);
    // Nor is it clear behind a body that is too long or not framed.
    if (shard_.is_draining || reader_.refusal_status() != 0) stays_open_ = false;
    writer_.hold_through(stays_open_ ? this : nullptr);

    const ResponseForm form{.is_to_head = request_.method == "HEAD",
                            .version_minor = request_.version_minor,
                            .keep_alive = stays_open_,
                            .date = http_date(),
                            .server = shard_.shards.name};
    if (head.status < 200 || head.status > 999) {
        ResponseHead unusable;
        unusable.status = 502;
        writer_.begin(append_response_head(writer_.head(), unusable, form));
        return;
    }
    writer_.begin(append_response_head(writer_.head(), head, form));
    if (writer_.lasts_until_close()) stays_open_ = false;
}

Async<> Connection::reply(Reply reply) {
    reply_head_.status = reply.status;
    reply_head_.headers.clear();
    if (!reply.content_type.empty()) reply_head_.headers.add("Content-Type", reply.content_type);
    for (const auto& [name, value] : reply.headers) reply_head_.headers.add(name, value);
    reply_head_.body = BodyLength::fixed(reply.body.size());
    start(reply_head_);
    if (writer_.try_write_last(reply.body, {})) co_return Result<>{};
    co_return co_await writer_.write_last(reply.body, {});
}

Async<> Connection::client_gone() {
    if (!reader_.is_done()) co_await reader_.ended().wait();
    for (;;) {
        // With the room full of pipelined requests there is nothing more to be seen.
        if (!wire_.has_room_behind()) co_await std::suspend_always{};
        auto count = wire_.try_fill();
        if (!count || (*count && **count == 0)) co_return Result<>{};
        if (!*count) co_await wire_.socket().readable();
    }
}

void Connection::close_if_idle(Fresh fresh) noexcept {
    if (!is_idle_ || (is_fresh_ && fresh == Fresh::spared) || wire_.socket().is_stale()) return;
    ::shutdown(wire_.socket().fd(), SHUT_RD);
}

}  // namespace fathom::http
