#include "rt/wait.h"

namespace fathom::rt {

// A spawned task: a frame that owns the Async, sits in its group's list, and frees itself.
struct detail::TaskPromise : PromiseBase, Link {
    TaskPromise(TaskGroup& owner, Async<>& /*work*/) : group(owner) {}

    struct LastAwaiter {
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<TaskPromise> self) const noexcept {
            auto& owner = self.promise().group;
            self.promise().leave();
            if (--owner.size_ == 0) this_core().wake_all(owner.waiters_);
            self.destroy();  // and with it, perhaps, who owns the group
        }
        void await_resume() const noexcept {}
    };
    struct Started {
        using promise_type = TaskPromise;
        std::coroutine_handle<TaskPromise> handle;
    };
    Started get_return_object() noexcept {
        return {std::coroutine_handle<TaskPromise>::from_promise(*this)};
    }
    LastAwaiter final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}

    static Started run(TaskGroup& /*group*/, Async<> work) {
        [[maybe_unused]] const auto dropped = co_await std::move(work);
    }

    TaskGroup& group;
};

void TaskGroup::spawn(Async<> task) {
    auto started = detail::TaskPromise::run(*this, std::move(task));
    started.handle.promise().enter_before(tasks_);
    ++size_;
    started.handle.resume();
}

void TaskGroup::cancel() noexcept {
    while (!tasks_.is_alone()) {
        auto& promise = *static_cast<detail::TaskPromise*>(tasks_.next());
        --size_;
        std::coroutine_handle<detail::TaskPromise>::from_promise(promise).destroy();
    }
    if (!waiters_.is_alone()) this_core().wake_all(waiters_);
}

namespace {

struct ListAwaiter {
    Link& list;
    Waker waker{};
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
        waker.handle = handle;
        waker.enter_before(list);
    }
    void await_resume() const noexcept {}
};

}  // namespace

Async<> TaskGroup::wait_empty() {
    while (size_ > 0) co_await ListAwaiter{waiters_};
    co_return Result<>{};
}

namespace {

// Waits until one of two running coroutines has ended.
struct FirstEnd {
    Async<>& first;
    Async<>& second;
    bool await_ready() const noexcept { return first.is_done() || second.is_done(); }
    void await_suspend(std::coroutine_handle<> waiter) noexcept {
        first.continue_with(waiter);
        second.continue_with(waiter);
    }
    void await_resume() const noexcept {}
};

// Waits for the end of a running coroutine.
struct Rest {
    Async<>& work;
    bool await_ready() const noexcept { return work.is_done(); }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { work.continue_with(waiter); }
    Result<> await_resume() { return work.take(); }
};

}  // namespace

// In both of these nobody goes on from inside start(): who ended there is found by looking. And
// both coroutines are dropped before the answer, not with our frame, which goes later.
Async<> both(Async<> first, Async<> second) {
    Result<> answer;
    first.start(std::noop_coroutine());
    if (first.is_done()) {
        answer = first.take();
        if (answer) answer = co_await second;
    } else {
        second.start(std::noop_coroutine());
        co_await FirstEnd{first, second};
        const bool is_first = first.is_done();
        answer = (is_first ? first : second).take();
        if (answer) answer = co_await Rest{is_first ? second : first};
    }
    first.reset();
    second.reset();
    co_return answer;
}

Async<> either(Async<> first, Async<> second) {
    first.start(std::noop_coroutine());
    if (!first.is_done()) {
        second.start(std::noop_coroutine());
        co_await FirstEnd{first, second};
    }
    auto answer = (first.is_done() ? first : second).take();
    first.reset();
    second.reset();
    co_return answer;
}

}  // namespace fathom::rt
