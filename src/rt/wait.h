// Ways of waiting: for many, for the first, for a time, for a sign.
#pragma once

#include <utility>

#include "rt/core.h"

namespace fathom::rt {

// `duration` from the start of this turn; the end of time when that is too far to say.
inline Clock::Monotonic from_now(Duration duration) {
    const auto now = this_core().now();
    return duration < Clock::Monotonic::max() - now ? now + duration : Clock::Monotonic::max();
}

// When something must be over. One deadline is set where a request enters and is passed all the way
// down; each hop spends what is left. `none()` never passes.
class Deadline {
public:
    Deadline() = default;  // none
    static Deadline none() { return {}; }
    static Deadline at(Clock::Monotonic when) { return Deadline(when); }
    static Deadline in(Duration duration) { return Deadline(from_now(duration)); }

    bool is_none() const noexcept { return when_ == Clock::Monotonic::max(); }
    Clock::Monotonic when() const noexcept { return when_; }
    // Never negative.
    Duration left() const {
        const auto now = this_core().now();
        return when_ <= now ? Duration::zero() : when_ - now;
    }
    bool has_passed() const { return when_ <= this_core().now(); }
    Deadline sooner_of(Deadline other) const {
        return Deadline(when_ < other.when_ ? when_ : other.when_);
    }

private:
    explicit Deadline(Clock::Monotonic when) : when_(when) {}
    Clock::Monotonic when_ = Clock::Monotonic::max();
};

namespace detail {
struct TaskPromise;
}

// Tasks with an owner. Destroying the group cancels what still runs (see rt/async.h), so as a
// member it is declared last: tasks die before what they use. A group is never destroyed or
// cancelled by one of its own tasks while it runs: defer it. What a task owns as a parameter may
// own the group: by then the task has left it.
class TaskGroup {
public:
    TaskGroup() = default;
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;
    ~TaskGroup() {
        FATHOM_CHECK(waiters_.is_alone(), "nobody waits for a TaskGroup that goes away");
        cancel();
    }

    // Starts `task` now, up to where it first waits. Its error, if any, is dropped: a task that can
    // fail in a way that matters says so itself.
    void spawn(Async<> task);
    void cancel() noexcept;
    // Until the last one ended.
    Async<> wait_empty();
    std::size_t size() const noexcept { return size_; }

private:
    friend struct detail::TaskPromise;
    Link tasks_;
    Link waiters_;
    std::size_t size_ = 0;
};

namespace detail {

struct SleepAwaiter {
    Clock::Monotonic at;
    Timer timer{};
    std::coroutine_handle<> waiter{};
    bool await_ready() const { return at <= this_core().now(); }
    void await_suspend(std::coroutine_handle<> handle) {
        waiter = handle;
        timer.arm(at, [](void* self) { static_cast<SleepAwaiter*>(self)->waiter.resume(); }, this);
    }
    void await_resume() const {}
};

template <class T>
struct WithinAwaiter {
    Deadline deadline;
    Async<T> work;
    Timer timer{};
    std::coroutine_handle<> waiter{};
    bool await_ready() {
        is_late = !deadline.is_none() && deadline.has_passed();
        return is_late;
    }
    // Symmetric: the work runs on, and resumes the waiter itself when it is done.
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> handle) {
        waiter = handle;
        if (!deadline.is_none()) {
            timer.arm(
                deadline.when(),
                [](void* context) {
                    auto* self = static_cast<WithinAwaiter*>(context);
                    self->work.reset();
                    self->is_late = true;
                    self->waiter.resume();
                },
                this);
        }
        return work.await_suspend(handle);
    }
    Result<T> await_resume() {
        timer.disarm();
        if (is_late) return fail(Errc::timed_out, "the deadline passed");
        return work.await_resume();
    }
    bool is_late = false;
};

}  // namespace detail

// Waits until `at`.
inline detail::SleepAwaiter sleep_until(Clock::Monotonic at) {
    return {at};
}
inline detail::SleepAwaiter sleep_for(Duration duration) {
    return {from_now(duration)};
}

// `work`, unless the deadline passes first: then `work` is cancelled, or, when it has passed
// already, never started, and the answer is timed_out.
template <class T>
detail::WithinAwaiter<T> within(Deadline deadline, Async<T> work) {
    return {deadline, std::move(work)};
}

// Both, at the same time, on this core. As soon as one fails the other is cancelled and the error
// is the answer. `second` is not started when `first` fails without waiting.
Async<> both(Async<> first, Async<> second);

// As soon as one of the two ends the other is cancelled; answers what that one answered. `second`
// is not started when `first` ends without waiting.
Async<> either(Async<> first, Async<> second);

// A flag others wait for. raise() wakes all of them (see Waker); it stays raised until lower().
// Destroy it only when nobody waits.
class Signal {
public:
    ~Signal() { FATHOM_CHECK(waiters_.is_alone(), "nobody waits for a Signal that goes away"); }
    void raise() {
        is_raised_ = true;
        this_core().wake_all(waiters_);
    }
    void lower() noexcept { is_raised_ = false; }
    bool is_raised() const noexcept { return is_raised_; }

    struct Awaiter {
        Signal& signal;
        Waker waker{};
        bool await_ready() const noexcept { return signal.is_raised_; }
        void await_suspend(std::coroutine_handle<> handle) noexcept {
            waker.handle = handle;
            waker.enter_before(signal.waiters_);
        }
        void await_resume() const noexcept {}
    };
    Awaiter wait() noexcept { return Awaiter{*this}; }

private:
    Link waiters_;
    bool is_raised_ = false;
};

// Lets other work of this core run: comes back in the next turn of the loop.
struct YieldAwaiter {
    Waker waker{};
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
        waker.handle = handle;
        this_core().wake(waker);
    }
    void await_resume() const noexcept {}
};
inline YieldAwaiter yield() {
    return {};
}

}  // namespace fathom::rt

namespace fathom {
using rt::Deadline;
using rt::TaskGroup;
using rt::within;
}  // namespace fathom
