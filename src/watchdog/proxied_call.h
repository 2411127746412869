// A call passed on to the function of http mode, and the wait for its first sign of life.
#pragma once

#include <memory>
#include <string>

#include "http/format.h"
#include "http/parse.h"
#include "watchdog/proxying.h"

namespace fathom::watchdog {

class ProxiedCall final : public Call, private UpstreamLink::Listener {
public:
    // May answer at once and return nothing.
    static std::unique_ptr<Call> start(ProxyingFunction& function, Connection& connection);

    ProxiedCall(ProxyingFunction& function, Connection& connection);
    ~ProxiedCall() override;

    void on_body(std::string_view piece) override;
    void on_body_end() override;
    bool wants_body() const override;
    void on_drained() override;
    void on_client_gone() override;

private:
    enum class Reading : unsigned char { head, fixed, chunks, until_close };

    void on_received() override;
    void on_sent() override { connection_.resume(); }
    void on_closed() override;
    void on_timeout();

    void connect();
    void connect_later();
    Result<> send_head();
    bool read_head();
    bool read_body();
    void begin(http::ResponseHead head);
    void complete();
    void fail_with(int status);
    void drop_link();
    void log_answer(int status);
    Duration took() const { return function_.loop().clock().now() - started_; }

    ProxyingFunction& function_;
    Connection& connection_;
    std::unique_ptr<UpstreamLink> link_;
    Timer timeout_;
    Timer retry_;
    Duration retry_after_;
    Clock::Monotonic started_;
    std::string buffered_;        // the body, where it is held whole
    std::string target_;          // as the function sees it
    bool is_streamed_ = false;    // SSE, ndjson: no time limit, no duration
    bool has_sent_body_ = false;  // a second try would lack what is gone
    bool has_sent_all_ = false;
    bool has_ended_ = false;

    Reading reading_ = Reading::head;
    http::HeadScan scan_;
    http::ChunkedDecoder chunks_;
    std::uint64_t left_ = 0;  // of a fixed body
    bool keeps_link_ = false;
    int status_ = 0;
};

// Answers a readiness check once the function accepts a connection, or 503 when its time is over.
class ReadyCall final : public Call {
public:
    ReadyCall(ProxyingFunction& function, Connection& connection);
    void on_body(std::string_view) override {}
    void on_body_end() override {}

private:
    void probe();
    void answer(int status);

    ProxyingFunction& function_;
    Connection& connection_;
    std::unique_ptr<UpstreamLink> link_;
    Timer retry_;
    Timer timeout_;
    Duration retry_after_;
};

}  // namespace fathom::watchdog
