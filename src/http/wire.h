// A connection's socket, the bytes that came in and are not used yet, and how long it may keep us
// waiting. Server and client stand on it; private to http.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/room.h"
#include "rt/rt.h"

namespace fathom::http {

// How long the other side may keep us waiting. One lazy timer for both directions: waiting writes a
// field, and only a wait that ends sooner than all before it touches the timer. When time is up the
// direction is shut down, which wakes whoever waits there.
class Patience {
public:
    explicit Patience(rt::Socket& socket) : socket_(socket) {}

    void read_by(Clock::Monotonic at) { wait_until(read_by_, at); }
    void write_by(Clock::Monotonic at) { wait_until(write_by_, at); }
    void read_came() noexcept { read_by_ = Clock::Monotonic::max(); }
    void write_went() noexcept { write_by_ = Clock::Monotonic::max(); }
    bool is_read_late() const noexcept { return is_read_late_; }
    bool is_write_late() const noexcept { return is_write_late_; }

private:
    void wait_until(Clock::Monotonic& which, Clock::Monotonic at);
    void look();

    rt::Socket& socket_;
    Clock::Monotonic read_by_ = Clock::Monotonic::max();
    Clock::Monotonic write_by_ = Clock::Monotonic::max();
    Clock::Monotonic looks_at_ = Clock::Monotonic::max();
    bool is_read_late_ = false;
    bool is_write_late_ = false;
    rt::Timer timer_;
};

// Bytes that were handed out stay where they are until the next fill; those that were kept, until
// release().
class Wire {
public:
    explicit Wire(rt::Socket socket) : socket_(std::move(socket)), patience_(socket_) {}
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;

    rt::Socket& socket() noexcept { return socket_; }
    const rt::Socket& socket() const noexcept { return socket_; }
    Patience& patience() noexcept { return patience_; }

    std::string_view bytes() const noexcept { return {room_.data() + begin_, end_ - begin_}; }
    bool is_empty() const noexcept { return begin_ == end_; }
    void use(std::size_t count) noexcept { begin_ += count; }
    // What was used so far is still looked at (a head, trailers).
    void keep() noexcept { floor_ = begin_; }
    // Nothing handed out is looked at any more. Without unused bytes the room goes back, too.
    void release() noexcept;
    // Many bytes are going to come.
    void expect(std::uint64_t bytes);

    // Appends what is there, without waiting: 0 bytes at the end of the stream, nothing where it
    // would have to wait. The unused bytes must be under `unused_max`, else: too_large.
    // Errors: bad_upstream    the connection broke
    Result<std::optional<std::size_t>> try_fill(std::size_t unused_max = Room::kLarge);
    // The same, waiting until `by`.
    // Errors: timed_out    nothing came
    Async<std::size_t> fill(Clock::Monotonic by, std::size_t unused_max = Room::kLarge);
    // Appends behind the unused bytes without moving any: false when there is no room.
    bool has_room_behind() const noexcept { return end_ < room_.capacity(); }

private:
    Result<> make_room(std::size_t unused_max);
    void move_to(Room room, std::size_t from) noexcept;

    rt::Socket socket_;
    Room room_;
    Room kept_;  // what was kept before the room became too small
    std::size_t floor_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t bytes_since_wait_ = 0;
    std::size_t most_ = 0;   // bytes in a room since the last release
    bool is_bulky_ = false;  // the last message was large: the next begins in a large room
    bool was_filled_up_ = false;
    Patience patience_;
};

// Lets others have their turn after this many bytes from one connection without waiting.
inline constexpr std::size_t kBytesPerWake = 1 << 20;

}  // namespace fathom::http
