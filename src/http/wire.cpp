#include "http/wire.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace fathom::http {

void Patience::wait_until(Clock::Monotonic& which, Clock::Monotonic at) {
    which = at;
    if (at >= looks_at_) return;
    looks_at_ = at;
    timer_.arm(at, [](void* self) { static_cast<Patience*>(self)->look(); }, this);
}

void Patience::look() {
    const auto now = rt::this_core().now();
    looks_at_ = Clock::Monotonic::max();
    if (write_by_ <= now) {
        is_write_late_ = true;
        ::shutdown(socket_.fd(), SHUT_RDWR);
        return;
    }
    if (read_by_ <= now && !is_read_late_) {
        is_read_late_ = true;
        ::shutdown(socket_.fd(), SHUT_RD);
    }
    const auto next = is_read_late_ ? write_by_ : std::min(read_by_, write_by_);
    if (next == Clock::Monotonic::max()) return;
    looks_at_ = next;
    timer_.arm(next, [](void* self) { static_cast<Patience*>(self)->look(); }, this);
}

void Wire::release() noexcept {
    kept_ = {};
    floor_ = 0;
    if (begin_ != end_) return;
    begin_ = end_ = 0;
    is_bulky_ = most_ > Room::kSmall;
    most_ = 0;
    was_filled_up_ = false;
    room_ = {};
}

void Wire::move_to(Room room, std::size_t from) noexcept {
    if (end_ > from) std::memcpy(room.data(), room_.data() + from, end_ - from);
    begin_ -= from;
    end_ -= from;
    floor_ = 0;
    std::swap(room_, room);
    // Views into what was kept stay valid; where there are none the old room goes back.
    if (from > 0 && !kept_) kept_ = std::move(room);
}

void Wire::expect(std::uint64_t bytes) {
    const auto here = end_ - begin_;
    if (kept_ || !room_ || bytes <= here || bytes - here <= room_.capacity() - end_) return;
    if (room_.capacity() < Room::kLarge && here < Room::kLarge) {
        keep();
        move_to(Room::of(Room::kLarge), begin_);
    }
}

Result<> Wire::make_room(std::size_t unused_max) {
    if (!room_) {
        room_ = Room::of(is_bulky_ ? Room::kLarge : Room::kSmall);
        return {};
    }
    if (begin_ == end_) begin_ = end_ = floor_;
    const bool is_small = room_.capacity() < Room::kLarge;
    if (was_filled_up_ && is_small && !kept_ && floor_ > 0) {
        move_to(Room::of(Room::kLarge), floor_);
    }
    if (end_ < room_.capacity()) return {};
    const auto unused = end_ - begin_;
    if (begin_ > floor_) {
        std::memmove(room_.data() + floor_, room_.data() + begin_, unused);
        begin_ = floor_;
        end_ = floor_ + unused;
        return {};
    }
    if (unused >= unused_max) return fail(Errc::too_large, "more than {} bytes wait", unused_max);
    if (floor_ > 0 && !kept_) {
        move_to(Room::of(std::max(Room::kLarge, unused * 2)), floor_);
    } else {
        FATHOM_CHECK(floor_ == 0, "a room is kept at most once");
        move_to(Room::of(room_.capacity() < Room::kLarge ? Room::kLarge : room_.capacity() * 2), 0);
    }
    return {};
}

Result<std::optional<std::size_t>> Wire::try_fill(std::size_t unused_max) {
    if (!socket_.is_stale()) return std::nullopt;  // no room is held while nothing is there
    if (auto made = make_room(unused_max); !made) return fail(std::move(made).error());
    auto count = socket_.try_read({room_.data() + end_, room_.capacity() - end_});
    if (count && *count) {
        end_ += **count;
        most_ = std::max(most_, end_);
        bytes_since_wait_ += **count;
        was_filled_up_ = end_ == room_.capacity();
    }
    return count;
}

Async<std::size_t> Wire::fill(Clock::Monotonic by, std::size_t unused_max) {
    if (bytes_since_wait_ > kBytesPerWake) {
        bytes_since_wait_ = 0;
        co_await rt::yield();
    }
    for (;;) {
        auto count = try_fill(unused_max);
        if (!count) co_return fail(std::move(count).error());
        if (*count) {
            if (**count == 0 && patience_.is_read_late()) {
                co_return fail(Errc::timed_out, "the other side sent nothing for too long");
            }
            co_return **count;
        }
        bytes_since_wait_ = 0;
        patience_.read_by(by);
        co_await socket_.readable();
        patience_.read_came();
    }
}

}  // namespace fathom::http
