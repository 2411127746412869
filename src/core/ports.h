// Time and chance as parameters: nothing below apps/ asks the system for them directly.
#pragma once

#include <chrono>
#include <cstdint>

#include "core/units.h"

namespace fathom {

// Two clocks. Monotonic time measures and schedules; wall time is shown to people and sent out.
class Clock {
public:
    using Monotonic = std::chrono::time_point<Clock, Duration>;
    using Wall = std::chrono::sys_time<Duration>;

    virtual ~Clock() = default;
    virtual Monotonic now() const = 0;
    virtual Wall wall() const = 0;
};

// Uniform random bits. Not for secrets unless the adapter says so.
class Random {
public:
    virtual ~Random() = default;
    virtual std::uint64_t next() = 0;
};

// CLOCK_MONOTONIC and CLOCK_REALTIME. Safe on every thread.
class SystemClock final : public Clock {
public:
    Monotonic now() const override;
    Wall wall() const override;
};

// The kernel's getrandom(), 512 bytes at a time. One per core; good enough for secrets. After a
// fork() both sides would read the same numbers: make a new one.
class SystemRandom final : public Random {
public:
    std::uint64_t next() override;

private:
    static constexpr unsigned kBatch = 64;
    std::uint64_t numbers_[kBatch] = {};
    unsigned left_ = 0;
};

// A fixed sequence per seed (SplitMix64), for tests and the simulator.
class SeededRandom final : public Random {
public:
    explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() override;

private:
    std::uint64_t state_;
};

// A clock a test moves by hand.
class ManualClock final : public Clock {
public:
    Monotonic now() const override { return now_; }
    Wall wall() const override { return Wall{now_.time_since_epoch()}; }
    void advance(Duration by) { now_ += by; }

private:
    Monotonic now_{std::chrono::hours(24 * 365 * 30)};
};

}  // namespace fathom
