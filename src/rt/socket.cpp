#include "rt/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>

namespace fathom::rt {
namespace {

constexpr int kBacklog = 4096;

struct RawAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Result<RawAddress> to_raw(const Address& address) {
    RawAddress raw;
    if (!address.unix_path.empty()) {
        auto* local = reinterpret_cast<sockaddr_un*>(&raw.storage);
        if (address.unix_path.size() >= sizeof local->sun_path) {
            return fail(Errc::invalid, "the socket path \"{}\" is longer than {} bytes",
                        address.unix_path, sizeof local->sun_path - 1);
        }
        local->sun_family = AF_UNIX;
        std::memcpy(local->sun_path, address.unix_path.c_str(), address.unix_path.size() + 1);
        raw.size =
            static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.unix_path.size() + 1);
        return raw;
    }
    auto* v4 = reinterpret_cast<sockaddr_in*>(&raw.storage);
    if (::inet_pton(AF_INET, address.ip.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(address.port);
        raw.size = sizeof *v4;
        return raw;
    }
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&raw.storage);
    raw.storage = {};
    if (::inet_pton(AF_INET6, address.ip.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(address.port);
        raw.size = sizeof *v6;
        return raw;
    }
    return fail(Errc::invalid, "\"{}\" is not an IPv4 or IPv6 address", address.ip);
}

Address from_raw(const RawAddress& raw) {
    Address address;
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (raw.storage.ss_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(&raw.storage);
        address.ip = ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
        address.port = ntohs(v4->sin_port);
    } else if (raw.storage.ss_family == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&raw.storage);
        address.ip = ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
        address.port = ntohs(v6->sin6_port);
    } else if (raw.storage.ss_family == AF_UNIX && raw.size > offsetof(sockaddr_un, sun_path)) {
        address.unix_path = reinterpret_cast<const sockaddr_un*>(&raw.storage)->sun_path;
    }
    return address;
}

void send_small_writes_at_once(int fd, int family) {
    const int on = 1;
    if (family == AF_INET || family == AF_INET6) {
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
}

}  // namespace

Result<Socket> Socket::adopt(Fd fd) {
    const int flags = ::fcntl(fd.get(), F_GETFL);
    if (flags < 0) return fail_errno(Errc::internal, errno, "adopt a descriptor");
    if ((flags & O_NONBLOCK) == 0) ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK);
    auto entry = this_core().watch(fd.get());
    if (!entry) return fail(std::move(entry).error());
    (void)fd.release();
    return Socket(*entry);
}

Socket& Socket::operator=(Socket&& other) noexcept {
    if (this != &other) {
        close();
        entry_ = std::exchange(other.entry_, nullptr);
    }
    return *this;
}

void Socket::close() noexcept {
    if (entry_ != nullptr) this_core().forget(std::exchange(entry_, nullptr));
}

Result<std::optional<std::size_t>> Socket::try_read(std::span<char> into) {
    if ((entry_->ready & FdEntry::readable) == 0) return std::nullopt;
    for (;;) {
        const auto count = entry_->is_socket ? ::recv(entry_->fd, into.data(), into.size(), 0)
                                             : ::read(entry_->fd, into.data(), into.size());
        if (count >= 0) {
            const auto bytes = static_cast<std::size_t>(count);
            // Less than asked: the socket is empty until the next edge. A FIN whose edge has come
            // already has no other: it must still be read.
            if (bytes < into.size() && bytes > 0 && entry_->drains_short && !has_hangup()) {
                found_empty();
            }
            return bytes;
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN) {
            found_empty();
            return std::nullopt;
        }
        return fail_errno(Errc::bad_upstream, errno, "read");
    }
}

Result<std::optional<std::size_t>> Socket::try_write(std::span<const iovec> pieces) {
    if ((entry_->ready & FdEntry::writable) == 0) return std::nullopt;
    pieces = pieces.first(std::min<std::size_t>(pieces.size(), IOV_MAX));
    for (;;) {
        ssize_t count = 0;
        if (!entry_->is_socket) {
            count = ::writev(entry_->fd, pieces.data(), static_cast<int>(pieces.size()));
        } else if (pieces.size() == 1) {
            count = ::send(entry_->fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
        } else {
            msghdr message{};
            message.msg_iov = const_cast<iovec*>(pieces.data());
            message.msg_iovlen = pieces.size();
            count = ::sendmsg(entry_->fd, &message, MSG_NOSIGNAL);
        }
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno == EINTR) continue;
        if (errno == EAGAIN) {
            await_announcement();
            return std::nullopt;
        }
        return fail_errno(Errc::bad_upstream, errno, "write");
    }
}

Async<std::size_t> Socket::read(std::span<char> into) {
    for (;;) {
        auto count = try_read(into);
        if (!count) co_return fail(std::move(count).error());
        if (*count) co_return **count;
        co_await readable();
    }
}

Async<> Socket::write(std::string_view bytes) {
    iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    co_return co_await write_all({&piece, 1});
}

Async<> Socket::write_all(std::span<iovec> pieces) {
    for (;;) {
        while (!pieces.empty() && pieces.front().iov_len == 0) pieces = pieces.subspan(1);
        if (pieces.empty()) co_return Result<>{};
        auto count = try_write(pieces);
        if (!count) co_return fail(std::move(count).error());
        if (!*count) {
            co_await writable();
            continue;
        }
        auto left = **count;
        while (left > 0) {
            auto& piece = pieces.front();
            const auto taken = left < piece.iov_len ? left : piece.iov_len;
            piece.iov_base = static_cast<char*>(piece.iov_base) + taken;
            piece.iov_len -= taken;
            left -= taken;
            if (piece.iov_len == 0) pieces = pieces.subspan(1);
        }
    }
}

Socket::ReadyAwaiter::~ReadyAwaiter() {
    if (is_waiting) (event == FdEntry::readable ? entry->reader : entry->writer) = {};
}

bool Socket::ReadyAwaiter::await_ready() const noexcept {
    return (entry->ready & event) != 0;
}

void Socket::ReadyAwaiter::await_suspend(std::coroutine_handle<> waiter) noexcept {
    auto& place = event == FdEntry::readable ? entry->reader : entry->writer;
    FATHOM_CHECK(!place, "one reader and one writer wait for a socket");
    place = waiter;
    is_waiting = true;
}

bool Socket::is_stale() const noexcept {
    return (entry_->ready & (FdEntry::readable | FdEntry::hangup)) != 0;
}

bool Socket::has_hangup() const noexcept {
    return (entry_->ready & FdEntry::hangup) != 0;
}

void Socket::await_announcement() noexcept {
    entry_->ready &= static_cast<std::uint8_t>(~FdEntry::writable);
    this_core().announce_writable(*entry_);
}

void Socket::shut_write() noexcept {
    ::shutdown(entry_->fd, SHUT_WR);
}

Result<Address> Address::parse(std::string_view text) {
    const auto refuse = [whole = text] {
        return fail(Errc::invalid,
                    "\"{}\" is not an address; accepted: IP:PORT, [IPv6]:PORT, :PORT, unix:PATH",
                    whole);
    };
    Address address;
    if (text.starts_with("unix:")) {
        address.unix_path = text.substr(5);
        if (address.unix_path.empty() || address.unix_path.contains('\0')) return refuse();
        return address;
    }
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return refuse();
    const auto port = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (error != std::errc() || end != port.data() + port.size() || port.empty()) return refuse();
    auto host = text.substr(0, colon);
    // "::1:80" could be two things, so IPv6 has its brackets, and only IPv6 does.
    const bool has_brackets = host.starts_with('[') && host.ends_with(']');
    if (has_brackets != host.contains(':')) return refuse();
    if (has_brackets) host = host.substr(1, host.size() - 2);
    address.ip = host.empty() ? "0.0.0.0" : host == "localhost" ? "127.0.0.1" : std::string(host);
    if (address.ip.contains('\0') || !to_raw(address)) return refuse();
    return address;
}

std::string Address::text() const {
    if (!unix_path.empty()) return "unix:" + unix_path;
    const bool is_v6 = ip.find(':') != std::string::npos;
    return fmt::format(fmt::runtime(is_v6 ? "[{}]:{}" : "{}:{}"), ip, port);
}

Async<Socket> connect(const Address& address) {
    auto raw = to_raw(address);
    if (!raw) co_return fail(std::move(raw).error());
    Fd fd(::socket(raw->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) co_return fail_errno(Errc::unavailable, errno, "make a socket");
    send_small_writes_at_once(fd.get(), raw->storage.ss_family);
    const auto where = address.text();
    const int answer = ::connect(fd.get(), raw->get(), raw->size);
    const int error = errno;
    if (answer != 0 && error != EINPROGRESS) {
        co_return fail_errno(Errc::unavailable, error, "connect to " + where);
    }
    auto socket = Socket::adopt(std::move(fd));
    if (!socket) co_return fail(std::move(socket).error());
    if (answer != 0) {
        socket->await_announcement();
        co_await socket->writable();
        int late_error = 0;
        socklen_t size = sizeof late_error;
        ::getsockopt(socket->fd(), SOL_SOCKET, SO_ERROR, &late_error, &size);
        if (late_error != 0) {
            co_return fail_errno(Errc::unavailable, late_error, "connect to " + where);
        }
    }
    co_return std::move(*socket);
}

Result<Listener> Listener::open(const Address& address, Sharing sharing) {
    auto raw = to_raw(address);
    if (!raw) return fail(std::move(raw).error());
    const int family = raw->storage.ss_family;
    Fd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno(Errc::unavailable, errno, "make a socket");
    const int on = 1;
    if (family != AF_UNIX) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (sharing == Sharing::per_core) {
        ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    if (::bind(fd.get(), raw->get(), raw->size) != 0 || ::listen(fd.get(), kBacklog) != 0) {
        const int error = errno;
        const auto code = error == EADDRINUSE ? Errc::conflict
                          : error == EACCES   ? Errc::forbidden
                                              : Errc::invalid;
        return fail_errno(code, error, "listen on " + address.text());
    }
    return adopt(std::move(fd));
}

Result<Listener> Listener::adopt(Fd fd) {
    auto socket = Socket::adopt(std::move(fd));
    if (!socket) return fail(std::move(socket).error());
    return Listener(std::move(*socket));
}

Async<Listener::Accepted> Listener::accept() {
    for (;;) {
        RawAddress peer;
        peer.size = sizeof peer.storage;
        Fd fd(::accept4(socket_.fd(), peer.get(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (fd) {
            const int family = peer.storage.ss_family;
            send_small_writes_at_once(fd.get(), family);
            co_return Accepted{std::move(fd), family == AF_UNIX ? "" : from_raw(peer).text()};
        }
        const int error = errno;
        if (error == EAGAIN) {
            socket_.found_empty();
            co_await socket_.readable();
        } else if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
            co_await sleep_for(50ms);
        } else if (error == EBADF || error == EINVAL || error == ENOTSOCK || error == EOPNOTSUPP) {
            co_return fail_errno(Errc::unavailable, error, "accept");
        }
        // Anything else befell one connection, not the listener (accept(2), "Error handling").
    }
}

Address Listener::address() const {
    RawAddress raw;
    raw.size = sizeof raw.storage;
    ::getsockname(socket_.fd(), raw.get(), &raw.size);
    return from_raw(raw);
}

}  // namespace fathom::rt
