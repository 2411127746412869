#include "watchdog/upstream_link.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace fathom::watchdog {
namespace {

struct Connecting {
    int fd = -1;  // -1: refused at once
    bool is_done = false;
};
Connecting connect_to(const Upstream& upstream) {
    const int family = upstream.is_ipv6 ? AF_INET6 : AF_INET;
    const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return {};
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(upstream.port);
    v4.sin_addr.s_addr = upstream.ipv4;
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(upstream.port);
    std::memcpy(&v6.sin6_addr, upstream.ipv6, sizeof upstream.ipv6);
    const int result = upstream.is_ipv6
                           ? ::connect(fd, reinterpret_cast<const sockaddr*>(&v6), sizeof v6)
                           : ::connect(fd, reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
    if (result == 0 || errno == EINPROGRESS) return {.fd = fd, .is_done = result == 0};
    ::close(fd);
    return {};
}

}  // namespace

UpstreamLink::UpstreamLink(Loop& loop, const Upstream& upstream)
    : loop_(loop), channel_(loop, [this](std::uint32_t events) { on_ready(events); }) {
    const auto connecting = connect_to(upstream);
    is_connected_ = connecting.is_done;
    if (connecting.fd >= 0) channel_.open(connecting.fd, EPOLLIN | (is_connected_ ? 0U : EPOLLOUT));
}

void UpstreamLink::listen(Listener* listener) {
    listener_ = listener;
    is_paused_ = false;
    if (is_idle() && !received().empty()) lose();  // bytes nobody asked for: it cannot be trusted
    want();
}

void UpstreamLink::on_ready(std::uint32_t events) {
    if ((events & EPOLLERR) != 0) return lose();
    if ((events & EPOLLOUT) != 0) {
        is_connected_ = true;
        flush();
        if (out_.empty() && listener_ != nullptr) listener_->on_sent();
    }
    if (is_idle() && (events & (EPOLLIN | EPOLLHUP)) != 0) return lose();
    // HUP with bytes still to read comes with IN; the read says when they end.
    if (is_open() && (events & (EPOLLIN | EPOLLHUP)) != 0) receive();
}

void UpstreamLink::receive() {
    const auto scratch = loop_.scratch();
    const auto count = ::recv(channel_.fd(), scratch.data(), scratch.size(), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) return lose();
    in_.erase(0, std::exchange(taken_, 0));
    in_.append(scratch.data(), static_cast<std::size_t>(count));
    listener_->on_received();
}

void UpstreamLink::send(std::string_view bytes) {
    if (!is_open()) return;
    out_.append(bytes);
    if (is_connected_) flush();
}

void UpstreamLink::flush() {
    if (!out_.empty()) {
        const auto waiting = out_.view();
        const auto count = ::send(channel_.fd(), waiting.data(), waiting.size(), MSG_NOSIGNAL);
        // A failure shows in the next event; what the function said before it closed comes first.
        if (count < 0 && errno != EAGAIN && errno != EINTR) out_.clear();
        if (count > 0) out_.take(static_cast<std::size_t>(count));
    }
    want();
}

void UpstreamLink::lose() {
    channel_.close();
    out_.clear();
    if (listener_ != nullptr) listener_->on_closed();
}

void UpstreamLink::want() {
    if (!is_open()) return;
    channel_.want((out_.empty() && is_connected_ ? 0U : EPOLLOUT) | (is_paused_ ? 0U : EPOLLIN));
}

}  // namespace fathom::watchdog
