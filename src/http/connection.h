// A connection that came in, and the exchanges on it one after the other. Private to http.
#pragma once

#include <optional>
#include <string>

#include "http/body.h"
#include "http/parse.h"
#include "http/server.h"
#include "http/shard.h"
#include "http/wire.h"

namespace fathom::http {

class Connection final : public Exchange, public Holder, public rt::Link {
public:
    // Serves it until it ends. `refuses`: over the limit of connections, one 503 and no more.
    enum class Refuses : std::uint8_t { no, yes };
    static Async<> run(Shard& shard, rt::Socket socket, std::string peer, Refuses refuses);

    Connection(Shard& shard, rt::Socket socket, std::string peer);
    ~Connection() override;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Between two requests (with `fresh`, also before the first): ends it without cutting off a
    // request that is already here.
    enum class Fresh : std::uint8_t { spared, too };
    void close_if_idle(Fresh fresh) noexcept;
    bool is_fresh() const noexcept { return is_fresh_; }
    void flush_held() { writer_.try_flush(); }

    const RequestHead& request() const override { return request_; }
    BodyReader& body() override { return reader_; }
    std::string_view peer() const override { return peer_; }
    Async<> reply(Reply reply) override;
    void start(const ResponseHead& head) override;
    Async<> flush() override { return writer_.flush(); }
    BodyWriter& out() override { return writer_; }
    bool has_started() const override { return has_started_; }
    void abort() override { is_aborted_ = true; }
    Async<> client_gone() override;
    void hold() override { shard_.hold(held_); }

private:
    // What follows an exchange.
    enum class Next : std::uint8_t { request, close, linger, reset };

    Async<Next> serve();
    // Waits for more bytes of a head, or for the first ones. False: there will be none.
    Async<bool> wait_for_bytes();
    Async<bool> wait_for_request();
    void begin_exchange(std::size_t head_bytes);
    bool is_simply_over() const noexcept;
    Async<Next> end_exchange(Result<> handled);
    Async<Next> refuse(int status, std::string_view sentence);
    Async<> reply_error(Error error);
    Async<> linger();
    bool has_unread() const noexcept;
    const ServerLimits& limits() const noexcept { return shard_.shards.limits; }

    Shard& shard_;
    Wire wire_;
    WireReader reader_;
    WireWriter writer_;
    RequestHead request_;
    HeadScan scan_;
    std::string peer_;
    HeldLink held_{*this};
    ResponseHead reply_head_;
    Clock::Monotonic head_by_{};
    int requests_since_wait_ = 0;
    bool is_fresh_ = true;  // no request so far
    bool is_idle_ = true;
    bool has_started_ = false;
    bool stays_open_ = true;
    bool is_aborted_ = false;
};

}  // namespace fathom::http
