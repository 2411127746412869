// Sending work to another core, and its answer back.
#pragma once

#include <memory>
#include <optional>
#include <type_traits>

#include "rt/core.h"
#include "rt/wait.h"

namespace fathom::rt {

namespace detail {

// Where an answer made elsewhere waits for its waiter. Only `home`'s thread touches it.
template <class T>
struct Handover {
    explicit Handover(Core& core) : home(core.mailbox()) {}
    const Mailbox home;  // the answer may come when the core is gone
    std::optional<Result<T>> result;
    std::coroutine_handle<> waiter;
};

// Callable from every thread: puts `answer` down at home and resumes the waiter, if it still waits.
template <class T>
void hand_over(std::shared_ptr<Handover<T>> shared, Result<T> answer) {
    const auto home = shared->home;  // `shared` may be gone before post() returns
    home.post([shared = std::move(shared), answer = std::move(answer)]() mutable {
        shared->result.emplace(std::move(answer));
        if (shared->waiter) std::exchange(shared->waiter, {}).resume();
    });
}

template <class T>
struct HandoverAwaiter {
    std::shared_ptr<Handover<T>> shared;
    ~HandoverAwaiter() { shared->waiter = {}; }
    bool await_ready() const noexcept { return shared->result.has_value(); }
    void await_suspend(std::coroutine_handle<> handle) noexcept { shared->waiter = handle; }
    Result<T> await_resume() { return std::move(*shared->result); }
};

// The duty to answer: nobody waits for ever because the work was dropped on the way.
template <class T>
class Duty {
public:
    explicit Duty(std::shared_ptr<Handover<T>> shared) : shared_(std::move(shared)) {}
    Duty(Duty&&) noexcept = default;
    ~Duty() {
        if (!shared_) return;
        hand_over<T>(std::move(shared_),
                     fail(Errc::unavailable, "the work was cancelled on its core"));
    }
    void answer(Result<T> answer) { hand_over(std::move(shared_), std::move(answer)); }

private:
    std::shared_ptr<Handover<T>> shared_;
};

template <class T>
Async<> answer_to(Duty<T> duty, Async<T> work) {
    duty.answer(co_await std::move(work));
    co_return Result<>{};
}
template <class T>
Async<> answer_to(std::shared_ptr<Handover<T>> shared, Async<T> work) {
    return answer_to(Duty<T>(std::move(shared)), std::move(work));
}

}  // namespace detail

// Runs `work` (callable without arguments, returns a Result<T>) on core `target` and answers on
// this one. `work` owns what it uses: it runs even when the waiting coroutine is cancelled.
// Errors: unavailable    `target` stopped before it came to it; plus whatever `work` returns
template <class Work>
auto on_core(Core& target, Work work) -> Async<typename std::invoke_result_t<Work&>::value_type> {
    using T = typename std::invoke_result_t<Work&>::value_type;
    auto shared = std::make_shared<detail::Handover<T>>(this_core());
    target.post([duty = detail::Duty<T>(shared), work = std::move(work)]() mutable {
        duty.answer(work());
    });
    co_return co_await detail::HandoverAwaiter<T>{std::move(shared)};
}

// The same for a coroutine: `make` is called on `target` and its Async runs there as one of `tasks`
// (a group of that core, which outlives the call).
// Errors: unavailable    `target` stopped, or the task was cancelled there; plus the Async's own
template <class T, class Make>
Async<T> on_core(Core& target, TaskGroup& tasks, Make make) {
    auto shared = std::make_shared<detail::Handover<T>>(this_core());
    target.post([duty = detail::Duty<T>(shared), &tasks, make = std::move(make)]() mutable {
        tasks.spawn(detail::answer_to<T>(std::move(duty), make()));
    });
    co_return co_await detail::HandoverAwaiter<T>{std::move(shared)};
}

}  // namespace fathom::rt
