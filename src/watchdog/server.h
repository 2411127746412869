// The watchdog's door: accepts connections, answers health checks, counts calls, drains.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "watchdog/config.h"
#include "watchdog/connection.h"
#include "watchdog/log.h"
#include "watchdog/loop.h"

namespace fathom::watchdog {

// What stands behind the door: one mode of running the function.
class Function {
public:
    virtual ~Function() = default;
    // Before the first connection is accepted.
    virtual Result<> start() { return {}; }
    // Makes the call for connection.head(). May answer at once and return nothing.
    virtual std::unique_ptr<Call> call(Connection& connection) = 0;
    // Answers a readiness check of a healthy watchdog, likewise.
    virtual std::unique_ptr<Call> ready(Connection& connection);
    // SIGTERM has come.
    virtual void terminate() {}
};

class Server {
public:
    // All of them outlive it.
    Server(Loop& loop, const Config& config, Log& log, Function& function);
    ~Server();

    // Errors: unavailable    the port is taken, or the inherited descriptor is no listening socket
    Result<> open();
    // SIGTERM: unhealthy at once, serving for config.healthcheck_interval, then no new connection,
    // and config.write_timeout for what is at work. Stops the loop at the end.
    void terminate();
    bool is_terminating() const { return is_terminating_; }

    // For connections.
    std::unique_ptr<Call> route(Connection& connection);
    void remove(Connection& connection);
    void sweep_later();
    Duration idle_timeout() const;  // 0: none
    Loop& loop() { return loop_; }
    const Config& config() const { return config_; }
    std::string_view date();  // "Sat, 21 Nov 2026 13:20:00 GMT"

private:
    enum class Route : unsigned char { function, health, ready };

    Result<int> listening_socket() const;
    std::unique_ptr<Call> check_health(Connection& connection, Route route);
    std::unique_ptr<Call> call_function(Connection& connection);
    void accept_some();
    void stop_accepting();
    void sweep();
    bool is_healthy() const;

    Loop& loop_;
    const Config& config_;
    Log& log_;
    Function& function_;
    Channel listener_;
    Timer sweep_;
    Timer step_;  // of termination
    std::vector<std::unique_ptr<Connection>> connections_;
    std::size_t connections_max_ = 0;
    unsigned in_flight_ = 0;
    bool is_tcp_ = false;
    bool is_terminating_ = false;
    bool has_stopped_accepting_ = false;
    std::int64_t date_second_ = -1;
    std::array<char, 29> date_{};
};

}  // namespace fathom::watchdog
