// A bounded pool of threads for libraries that block: SQLite, file sync, DNS.
#pragma once

#include <functional>
#include <memory>
#include <type_traits>

#include "rt/core.h"

namespace fathom::rt {

class BlockingPool {
public:
    struct Options {
        int threads = 2;              // started when first needed
        std::size_t jobs_max = 1024;  // waiting; one more is refused
    };
    explicit BlockingPool(Options options);
    ~BlockingPool();  // runs what was accepted, then ends the threads

    // Runs `job` on a thread of the pool and answers on this core. `job` owns what it uses: when
    // the waiting coroutine is cancelled the job still runs and its result is dropped.
    // Errors: overloaded    jobs_max jobs are waiting; plus whatever `job` returns
    template <class Job>
    auto run(Job job) -> Async<typename std::invoke_result_t<Job&>::value_type>;

    // Callable from every thread: queues without waiting. False when full.
    bool submit(std::move_only_function<void()> job);

private:
    struct State;
    std::unique_ptr<State> state_;
};

namespace detail {

template <class T>
struct BlockingResult {
    std::optional<Result<T>> result;  // written by the pool, read on the waiter's core
    std::coroutine_handle<> waiter;   // only touched on the waiter's core
};

template <class T>
struct BlockingAwaiter {
    std::shared_ptr<BlockingResult<T>> shared;
    ~BlockingAwaiter() { shared->waiter = {}; }
    bool await_ready() const noexcept { return shared->result.has_value(); }
    void await_suspend(std::coroutine_handle<> handle) noexcept { shared->waiter = handle; }
    Result<T> await_resume() { return std::move(*shared->result); }
};

}  // namespace detail

template <class Job>
auto BlockingPool::run(Job job) -> Async<typename std::invoke_result_t<Job&>::value_type> {
    using T = typename std::invoke_result_t<Job&>::value_type;
    auto shared = std::make_shared<detail::BlockingResult<T>>();
    auto& core = this_core();
    const bool is_accepted = submit([shared, &core, job = std::move(job)]() mutable {
        auto answer = std::make_unique<Result<T>>(job());
        core.post([shared = std::move(shared), answer = std::move(answer)] {
            shared->result.emplace(std::move(*answer));
            if (shared->waiter) std::exchange(shared->waiter, {}).resume();
        });
    });
    if (!is_accepted) co_return fail(Errc::overloaded, "the blocking pool is full");
    co_return co_await detail::BlockingAwaiter<T>{std::move(shared)};
}

// Runs `work` (callable without arguments that returns a Result<T>) on core `target` and answers
// on this one.
template <class Work>
auto on_core(Core& target, Work work) -> Async<typename std::invoke_result_t<Work&>::value_type> {
    using T = typename std::invoke_result_t<Work&>::value_type;
    auto shared = std::make_shared<detail::BlockingResult<T>>();
    auto& home = this_core();
    target.post([shared, &home, work = std::move(work)]() mutable {
        auto answer = std::make_unique<Result<T>>(work());
        home.post([shared = std::move(shared), answer = std::move(answer)] {
            shared->result.emplace(std::move(*answer));
            if (shared->waiter) std::exchange(shared->waiter, {}).resume();
        });
    });
    co_return co_await detail::BlockingAwaiter<T>{std::move(shared)};
}

}  // namespace fathom::rt
