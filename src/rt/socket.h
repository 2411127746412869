// Non-blocking descriptors that a coroutine can wait for.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "rt/core.h"
#include "rt/fd.h"
#include "rt/wait.h"

namespace fathom::rt {

// Where to connect or listen: "unix:/path" or an IPv4/IPv6 address with a port. No name look-ups.
struct Address {
    std::string unix_path;  // not empty: a Unix socket
    std::string ip;         // otherwise
    std::uint16_t port = 0;

    // "127.0.0.1:8080", "[::1]:8080", ":8080" (every IPv4 interface), "unix:/run/x.sock".
    // Errors: invalid    none of these
    static Result<Address> parse(std::string_view text);
    std::string text() const;
    friend bool operator==(const Address&, const Address&) = default;
};

// A connected stream or packet socket, or any pollable descriptor, on the core that adopted it,
// which also closes it. One reader and one writer may wait at a time. Writing to a pipe nobody
// reads raises SIGPIPE, which the program ignores; writing to a socket raises nothing.
class Socket {
public:
    Socket() = default;
    // Takes over `fd`, makes it non-blocking, and registers it with this core.
    // Errors: unavailable    the kernel refused to watch it
    static Result<Socket> adopt(Fd fd);
    Socket(Socket&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
    Socket& operator=(Socket&& other) noexcept;
    ~Socket() { close(); }

    explicit operator bool() const noexcept { return entry_ != nullptr; }
    int fd() const noexcept { return entry_->fd; }
    void close() noexcept;

    // At least one byte into `into` (which has room), or 0 at the end of the stream. Tries before
    // it waits. Errors: bad_upstream    the connection broke (reset, timed out)
    Async<std::size_t> read(std::span<char> into);
    // All of `bytes`.
    // Errors: bad_upstream    the other side is gone
    Async<> write(std::string_view bytes);
    // All of the pieces, in order; `pieces` is used up on the way.
    Async<> write_all(std::span<iovec> pieces);

    // The same without waiting: bytes moved, 0 at the end of the stream (read only), or nothing
    // when it would have to wait.
    Result<std::optional<std::size_t>> try_read(std::span<char> into);
    Result<std::optional<std::size_t>> try_write(std::span<const iovec> pieces);
    // For those who use fd() themselves: their call said EAGAIN.
    void found_empty() noexcept { entry_->ready &= static_cast<std::uint8_t>(~FdEntry::readable); }
    // Until the next try may succeed.
    struct ReadyAwaiter {
        FdEntry* entry;
        FdEntry::Event event;
        bool is_waiting = false;
        ~ReadyAwaiter();
        bool await_ready() const noexcept;
        void await_suspend(std::coroutine_handle<> waiter) noexcept;
        void await_resume() noexcept { is_waiting = false; }
    };
    ReadyAwaiter readable() noexcept { return {entry_, FdEntry::readable}; }
    ReadyAwaiter writable() noexcept { return {entry_, FdEntry::writable}; }

    // Whether the other side has closed or sent something unasked: a pooled connection for which
    // this is true is not to be used again. No system call unless an event came in.
    bool is_stale() const noexcept;
    // The other side closed its half or the connection (an RDHUP or HUP was seen).
    bool has_hangup() const noexcept;

    // Says that we send no more.
    void shut_write() noexcept;

private:
    friend Async<Socket> connect(const Address& address);
    explicit Socket(FdEntry* entry) noexcept : entry_(entry) {}
    void await_announcement() noexcept;
    FdEntry* entry_ = nullptr;
};

// Connects; Unix sockets connect at once or fail with unavailable when the backlog is full.
// Errors: unavailable    nobody listens there, or no route
Async<Socket> connect(const Address& address);

enum class Sharing { exclusive, per_core };  // per_core: SO_REUSEPORT, one listener on every core

class Listener {
public:
    // Errors: conflict       the address is taken
    //         invalid        not an address of this machine
    //         forbidden      a privileged port
    static Result<Listener> open(const Address& address, Sharing sharing = Sharing::exclusive);
    // Takes over an inherited listening socket.
    static Result<Listener> adopt(Fd fd);

    // The next connection. Waits out a lack of descriptors (EMFILE) instead of failing.
    // The peer is in `peer` as "ip:port", or empty for a Unix socket.
    struct Accepted {
        Fd fd;
        std::string peer;
    };
    Async<Accepted> accept();
    // Where it listens: the port the kernel chose for port 0.
    Address address() const;

private:
    explicit Listener(Socket socket) : socket_(std::move(socket)) {}
    Socket socket_;
};

}  // namespace fathom::rt
