#include "watchdog/server.h"

#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "watchdog/process.h"
#include "watchdog/text.h"

namespace fathom::watchdog {
namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptedPerWakeUp = 16;
constexpr std::size_t kConnectionsMax = 4096;
constexpr std::size_t kFilesPerConnection = 4;  // itself, and the pipes or the upstream of its call
constexpr Duration kSweepEvery = 1s;

// Both families where there are both, as Go's ":8080".
Result<int> listen_on_port(std::uint16_t port) {
    int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool is_ipv6 = fd >= 0;
    if (!is_ipv6) fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fail_errno(Errc::unavailable, errno, "socket");

    const int on = 1;
    const int off = 0;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    if (is_ipv6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    const int bound = is_ipv6 ? ::bind(fd, reinterpret_cast<sockaddr*>(&v6), sizeof v6)
                              : ::bind(fd, reinterpret_cast<sockaddr*>(&v4), sizeof v4);
    if (bound != 0 || ::listen(fd, kBacklog) != 0) {
        const int failure = errno;
        ::close(fd);
        return fail_errno(Errc::unavailable, failure, "port " + std::to_string(port));
    }
    return fd;
}

Result<int> adopt(int fd) {
    int is_listening = 0;
    socklen_t size = sizeof is_listening;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) != 0 || !is_listening) {
        return fail(Error(Errc::unavailable,
                          "descriptor " + std::to_string(fd) + " is not a listening socket"));
    }
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

}  // namespace

std::unique_ptr<Call> Function::ready(Connection& connection) {
    connection.answer(200, {}, "");
    return nullptr;
}

Server::Server(Loop& loop, const Config& config, Log& log, Function& function)
    : loop_(loop),
      config_(config),
      log_(log),
      function_(function),
      listener_(loop, [this](std::uint32_t) { accept_some(); }),
      sweep_(loop, [this] { sweep(); }),
      step_(loop, [this] { stop_accepting(); }) {}

Server::~Server() = default;

Result<> Server::open() {
    const auto socket =
        config_.listen_fd >= 0 ? adopt(config_.listen_fd) : listen_on_port(config_.port);
    if (!socket) return fail(socket.error());
    is_tcp_ = config_.listen_fd < 0;
    const auto share = static_cast<std::size_t>(file_limit()) / kFilesPerConnection;
    connections_max_ = std::clamp<std::size_t>(share, 16, kConnectionsMax);
    listener_.open(*socket, EPOLLIN);
    if (!listener_.is_open())
        return fail(Error(Errc::unavailable, "the listener cannot be polled"));

    if (config_.has_lock_file) {
        const int lock =
            ::open(config_.lock_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660);
        if (lock < 0) return fail_errno(Errc::unavailable, errno, config_.lock_path);
        ::close(lock);
    }
    return {};
}

void Server::accept_some() {
    for (int turn = 0; turn < kAcceptedPerWakeUp; ++turn) {
        if (connections_.size() >= connections_max_) {
            listener_.want(0);  // the others wait in the backlog until one ends
            return;
        }
        const int fd = ::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            const bool is_out_of_files = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
            if (!is_out_of_files) return;
            listener_.want(0);  // until the next sweep: asking again at once would only spin
            sweep_later();
            return;
        }
        const int on = 1;
        if (is_tcp_) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connections_.push_back(std::make_unique<Connection>(*this, fd));
        connections_.back()->place = connections_.size() - 1;
        if (connections_.back()->is_client_gone()) connections_.pop_back();
    }
}

void Server::remove(Connection& connection) {
    const auto place = connection.place;
    if (place >= connections_.size() || connections_[place].get() != &connection) return;
    loop_.discard(std::move(connections_[place]));
    if (place + 1 != connections_.size()) {
        connections_[place] = std::move(connections_.back());
        connections_[place]->place = place;
    }
    connections_.pop_back();
    listener_.want(EPOLLIN);
    if (has_stopped_accepting_ && connections_.empty()) loop_.stop();
}

std::unique_ptr<Call> Server::route(Connection& connection) {
    const auto path = connection.head().path;
    if (path == "/_/health") return check_health(connection, Route::health);
    if (path == "/_/ready") return check_health(connection, Route::ready);
    return call_function(connection);
}

bool Server::is_healthy() const {
    // The file, whether we wrote it or not: who removes it takes the function out of service.
    return !is_terminating_ && ::access(config_.lock_path.c_str(), F_OK) == 0;
}

std::unique_ptr<Call> Server::check_health(Connection& connection, Route route) {
    if (connection.head().method != "GET") {
        connection.answer(405, {}, "");
    } else if (!is_healthy()) {
        connection.answer(503, {}, "");
    } else if (route == Route::health) {
        connection.answer(200, {{"Content-Type", "text/plain; charset=utf-8"}}, "OK");
    } else if (config_.in_flight_max > 0 && in_flight_ >= config_.in_flight_max) {
        connection.answer(429, {}, "");
    } else if (!config_.ready_path.empty()) {
        connection.retarget(config_.ready_path);
        return function_.call(connection);
    } else {
        return function_.ready(connection);
    }
    return nullptr;
}

std::unique_ptr<Call> Server::call_function(Connection& connection) {
    if (config_.in_flight_max > 0 && in_flight_ >= config_.in_flight_max) {
        const auto body = "Concurrent request limit exceeded. Max concurrent requests: " +
                          std::to_string(config_.in_flight_max) + "\n";
        connection.answer(
            429, {{"Content-Type", "text/plain"}, {"X-OpenFaaS-Internal", "faas-middleware"}},
            body);
        return nullptr;
    }
    connection.hold(Slot(in_flight_));
    return function_.call(connection);
}

void Server::terminate() {
    if (is_terminating_) return;
    is_terminating_ = true;
    if (config_.has_lock_file) ::unlink(config_.lock_path.c_str());
    log_.line("SIGTERM: no new connections in " + to_text(config_.healthcheck_interval));
    function_.terminate();
    if (config_.healthcheck_interval > Duration(0)) {
        step_.arm(config_.healthcheck_interval);
    } else {
        stop_accepting();
    }
}

// Twice: after the grace of the health checks, and when the time to drain is over.
void Server::stop_accepting() {
    if (has_stopped_accepting_) return loop_.stop();
    // Who waits in the backlog has been accepted by the kernel, and is answered.
    while (connections_.size() < connections_max_) {
        const auto before = connections_.size();
        accept_some();
        if (connections_.size() == before) break;
    }
    listener_.close();
    has_stopped_accepting_ = true;
    log_.line("No new connections allowed, draining: " + std::to_string(in_flight_) + " requests");
    step_.arm(config_.write_timeout);
    // Each may remove itself, and another takes its place in the list.
    for (auto at = connections_.size(); at-- > 0;) {
        if (at < connections_.size()) connections_[at]->retire();
    }
    if (connections_.empty()) loop_.stop();
}

Duration Server::idle_timeout() const {
    // Whoever made the socket we inherited keeps its connections as long as it likes.
    return is_tcp_ ? config_.read_timeout : Duration(0);
}

void Server::sweep_later() {
    if (!sweep_.is_armed()) sweep_.arm(kSweepEvery);
}

void Server::sweep() {
    const auto now = loop_.clock().now();
    for (auto at = connections_.size(); at-- > 0;) {
        if (at < connections_.size() && connections_[at]->is_late(now)) connections_[at]->expire();
    }
    const bool has_deadlines = std::any_of(connections_.begin(), connections_.end(),
                                           [](const auto& each) { return each->has_deadline(); });
    if (has_deadlines) sweep_later();
    if (connections_.size() < connections_max_) listener_.want(EPOLLIN);
    // Nothing is at work: what the last calls held goes back to the system.
    if (in_flight_ == 0) ::malloc_trim(0);
}

std::string_view Server::date() {
    const auto now = loop_.clock().wall();
    const auto second = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
    if (second != date_second_) {
        date_second_ = second;
        date_ = http::date_text(now);
    }
    return {date_.data(), date_.size()};
}

}  // namespace fathom::watchdog
