// A bounded pool of threads for libraries that block: SQLite, file sync, DNS.
#pragma once

#include <functional>
#include <memory>
#include <type_traits>

#include "rt/send.h"

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

    // Callable from every thread: queues without waiting. False when full, or when the system has
    // not one thread for the pool.
    bool submit(std::move_only_function<void()> job);

private:
    struct State;
    std::unique_ptr<State> state_;
};

template <class Job>
auto BlockingPool::run(Job job) -> Async<typename std::invoke_result_t<Job&>::value_type> {
    using T = typename std::invoke_result_t<Job&>::value_type;
    auto shared = std::make_shared<detail::Handover<T>>(this_core());
    const bool is_accepted = submit(
        [shared, job = std::move(job)]() mutable { detail::hand_over(std::move(shared), job()); });
    if (!is_accepted) co_return fail(Errc::overloaded, "the blocking pool is full");
    co_return co_await detail::HandoverAwaiter<T>{std::move(shared)};
}

}  // namespace fathom::rt
