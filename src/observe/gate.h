// Private: a lock for what is rare (making a series, listing them). Never on the way of a call.
#pragma once

#include <atomic>

namespace fathom::observe {

class Gate {
public:
    // Inside from here to the end of the scope.
    class Pass {
    public:
        explicit Pass(Gate& gate) noexcept : gate_(gate) {
            while (gate_.is_taken_.test_and_set(std::memory_order_acquire)) {
                gate_.is_taken_.wait(true, std::memory_order_relaxed);
            }
        }
        ~Pass() {
            gate_.is_taken_.clear(std::memory_order_release);
            gate_.is_taken_.notify_one();
        }
        Pass(const Pass&) = delete;
        Pass& operator=(const Pass&) = delete;

    private:
        Gate& gate_;
    };

private:
    std::atomic_flag is_taken_;
};

}  // namespace fathom::observe
