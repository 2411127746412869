#include "core/ports.h"

#include <sys/random.h>

#include <cerrno>
#include <ctime>

#include "core/check.h"

namespace fathom {
namespace {

Duration read(clockid_t which) {
    timespec now{};
    ::clock_gettime(which, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace

Clock::Monotonic SystemClock::now() const {
    return Monotonic{read(CLOCK_MONOTONIC)};
}
Clock::Wall SystemClock::wall() const {
    return Wall{read(CLOCK_REALTIME)};
}

std::uint64_t SystemRandom::next() {
    if (left_ == 0) {
        // Up to 256 bytes getrandom() is never short, and interrupted only while the machine still
        // boots (getrandom(2)).
        for (unsigned at = 0; at < kBatch; at += 32) {
            ssize_t got = 0;
            do {
                got = ::getrandom(&numbers_[at], 256, 0);
            } while (got < 0 && errno == EINTR);
            FATHOM_CHECK(got == 256, "the kernel has random numbers");
        }
        left_ = kBatch;
    }
    return numbers_[--left_];
}

std::uint64_t SeededRandom::next() {
    auto mixed = (state_ += 0x9e3779b97f4a7c15U);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31);
}

}  // namespace fathom
