#include "rt/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace fathom::rt {

TimerWheel::~TimerWheel() {
    for (auto& slot : slots_) {
        while (!slot.is_alone()) remove(*static_cast<Timer*>(slot.next()));
    }
}

void TimerWheel::file(Timer& timer) {
    file_from(tick_ + 1, timer);
}

void TimerWheel::file_from(std::int64_t earliest, Timer& timer) {
    // A tick is due when all of it has passed: never early.
    constexpr std::int64_t kFarthest = (std::int64_t{1} << (kBits * kLevels)) - 1;
    const auto due = tick_of(timer.at_) + 1;
    const auto tick = std::clamp(due, earliest, tick_ + kFarthest);
    const auto distance = static_cast<std::uint64_t>(tick - tick_);
    const int level = (static_cast<int>(std::bit_width(distance | 1)) - 1) / kBits;
    const int index = static_cast<int>((tick >> (kBits * level)) & (kSlots - 1));
    timer.filed_ = tick;
    timer.wheel_ = this;
    timer.slot_ = level * kSlots + index;
    timer.enter_before(slots_[static_cast<std::size_t>(timer.slot_)]);
    occupied_[static_cast<std::size_t>(level)] |= 1ULL << index;
}

void TimerWheel::remove(Timer& timer) noexcept {
    timer.leave();
    timer.wheel_ = nullptr;
    if (slots_[static_cast<std::size_t>(timer.slot_)].is_alone()) {
        occupied_[static_cast<std::size_t>(timer.slot_ / kSlots)] &=
            ~(1ULL << (timer.slot_ % kSlots));
    }
}

void TimerWheel::advance(Clock::Monotonic now) {
    const auto target = tick_of(now);
    while (tick_ < target) {
        tick_ = std::min(target, quiet_until());
        if (tick_ == target) return;
        ++tick_;
        // At the end of rounds farther timers come down, the farthest first: one may fall through
        // several levels at once.
        for (int level = kLevels - 1; level > 0; --level) {
            if ((tick_ & ((std::int64_t{1} << (kBits * level)) - 1)) == 0) cascade(level);
        }
        run_slot(static_cast<int>(tick_ & (kSlots - 1)), now);
    }
}

// The last tick before something may be due or come down from a farther level.
std::int64_t TimerWheel::quiet_until() const {
    std::int64_t round = 1;
    for (const auto slots : occupied_) {
        if (slots != 0) return tick_ | (round - 1);
        round <<= kBits;
    }
    return std::numeric_limits<std::int64_t>::max();
}

void TimerWheel::cascade(int level) {
    const int index = static_cast<int>((tick_ >> (kBits * level)) & (kSlots - 1));
    const int place = level * kSlots + index;
    auto& slot = slots_[static_cast<std::size_t>(place)];
    Link moving;
    moving.take_all(slot);
    occupied_[static_cast<std::size_t>(level)] &= ~(1ULL << index);
    while (!moving.is_alone()) {
        auto& timer = *static_cast<Timer*>(moving.next());
        timer.leave();
        file_from(tick_, timer);  // the slot of this tick is run next
    }
}

void TimerWheel::run_slot(int index, Clock::Monotonic now) {
    auto& slot = slots_[static_cast<std::size_t>(index)];
    while (!slot.is_alone()) {
        auto& timer = *static_cast<Timer*>(slot.next());
        remove(timer);
        if (timer.at_ > now) {
            file(timer);  // it was moved to a later time since it was filed
        } else {
            timer.fire_(timer.context_);
        }
    }
}

int TimerWheel::wait_ms(Clock::Monotonic now) const {
    std::int64_t soonest = -1;
    for (int level = 0; level < kLevels; ++level) {
        const auto bits = occupied_[static_cast<std::size_t>(level)];
        if (bits == 0) continue;
        const auto position = tick_ >> (kBits * level);
        const auto turned = std::rotr(bits, static_cast<int>((position + 1) & (kSlots - 1)));
        const auto due = (position + 1 + std::countr_zero(turned)) << (kBits * level);
        if (soonest < 0 || due < soonest) soonest = due;
    }
    if (soonest < 0) return -1;
    const auto wait = soonest - tick_of(now);
    return static_cast<int>(std::clamp<std::int64_t>(wait, 0, 60'000));
}

void Timer::arm(Clock::Monotonic at, void (*fire)(void*), void* context) {
    fire_ = fire;
    context_ = context;
    at_ = at;
    if (is_armed() && TimerWheel::tick_of(at) >= filed_) return;
    if (is_armed()) wheel_->remove(*this);
    this_core().timers().file(*this);
}

void Timer::disarm() noexcept {
    if (is_armed()) wheel_->remove(*this);
}

}  // namespace fathom::rt
