// The timers of one core: four levels of 64 slots, 1 ms a tick, so that arming and disarming cost
// the same however many there are (Varghese and Lauck, 1987). Later than 4.6 hours waits in the
// last slot and is filed anew.
#pragma once

#include <array>
#include <cstdint>

#include "rt/core.h"

namespace fathom::rt {

class TimerWheel {
public:
    explicit TimerWheel(Clock::Monotonic now) : tick_(tick_of(now)) {}
    ~TimerWheel();

    void file(Timer& timer);
    void remove(Timer& timer) noexcept;
    // Calls what is due at `now`.
    void advance(Clock::Monotonic now);
    static std::int64_t tick_of(Clock::Monotonic at) {
        return at.time_since_epoch() / std::chrono::milliseconds(1);
    }
    // Milliseconds from `now` until something may be due; -1: nothing is filed.
    int wait_ms(Clock::Monotonic now) const;

private:
    static constexpr int kBits = 6;
    static constexpr int kSlots = 1 << kBits;
    static constexpr int kLevels = 4;

    void file_from(std::int64_t earliest, Timer& timer);
    std::int64_t quiet_until() const;
    void cascade(int level);
    void run_slot(int index, Clock::Monotonic now);

    std::int64_t tick_;  // everything up to here was called
    std::array<std::uint64_t, kLevels> occupied_{};
    std::array<Link, std::size_t{kLevels} * kSlots> slots_;
};

}  // namespace fathom::rt
