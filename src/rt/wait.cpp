#include "rt/wait.h"

#include <array>
#include <optional>

namespace fathom::rt {

// A spawned task: a frame that owns the Async, sits in its group's list, and frees itself.
struct detail::TaskPromise : PromiseBase, Link {
    TaskPromise(TaskGroup& owner, Async<>& /*work*/) : group(owner) {}

    struct LastAwaiter {
        bool await_ready() const noexcept { return false; }
        void await_suspend(std::coroutine_handle<TaskPromise> self) const noexcept {
            auto& owner = self.promise().group;
            self.destroy();  // leaves the list
            if (--owner.size_ == 0) this_core().wake_all(owner.waiters_);
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

// Two coroutines side by side, and who waits for them.
struct Race {
    enum class Until : std::uint8_t { both_or_error, either };

    // One side. Its last suspension hands over to whoever waits, if the race is decided.
    struct Side {
        struct promise_type : detail::PromiseBase {
            promise_type(Race& owner, int which, Async<>& /*work*/) : race(owner), side(which) {}
            Side get_return_object() noexcept {
                return Side{std::coroutine_handle<promise_type>::from_promise(*this)};
            }
            struct LastAwaiter {
                bool await_ready() const noexcept { return false; }
                std::coroutine_handle<> await_suspend(
                    std::coroutine_handle<promise_type> self) const noexcept {
                    return self.promise().race.finished(self.promise().side);
                }
                void await_resume() const noexcept {}
            };
            LastAwaiter final_suspend() const noexcept { return {}; }
            void return_value(Result<> result) {
                race.results[static_cast<std::size_t>(side)] = std::move(result);
            }
            Race& race;
            int side;
        };

        explicit Side(std::coroutine_handle<promise_type> handle) : handle(handle) {}
        Side(Side&& other) noexcept : handle(std::exchange(other.handle, {})) {}
        Side& operator=(Side&&) = delete;
        ~Side() { drop(); }
        void drop() noexcept {
            if (handle) std::exchange(handle, {}).destroy();
        }
        std::coroutine_handle<promise_type> handle;
    };

    static Side run(Race& /*race*/, int /*side*/, Async<> work) {
        co_return co_await std::move(work);
    }

    Race(Until end, Async<> first, Async<> second)
        : until(end), sides{run(*this, 0, std::move(first)), run(*this, 1, std::move(second))} {}
    Race(const Race&) = delete;
    Race& operator=(const Race&) = delete;

    std::coroutine_handle<> finished(int side) noexcept {
        const auto& mine = results[static_cast<std::size_t>(side)];
        const auto& other = results[static_cast<std::size_t>(1 - side)];
        if (winner < 0 && (until == Until::either || !mine->has_value() || other)) winner = side;
        if (winner < 0 || is_starting) return std::noop_coroutine();
        return waiter;
    }

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) {
        waiter = handle;
        for (auto& side : sides) {
            if (winner < 0) side.handle.resume();
        }
        is_starting = false;
        return winner < 0;
    }
    Result<> await_resume() {
        for (auto& side : sides) side.drop();
        return std::move(*results[static_cast<std::size_t>(winner)]);
    }

    Until until;
    std::array<std::optional<Result<>>, 2> results{};
    std::coroutine_handle<> waiter{};
    int winner = -1;
    bool is_starting = true;
    std::array<Side, 2> sides;
};

}  // namespace

Async<> both(Async<> first, Async<> second) {
    Race race(Race::Until::both_or_error, std::move(first), std::move(second));
    co_return co_await race;
}

Async<> either(Async<> first, Async<> second) {
    Race race(Race::Until::either, std::move(first), std::move(second));
    co_return co_await race;
}

}  // namespace fathom::rt
