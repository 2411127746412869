#include "rt/blocking.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace fathom::rt {

struct BlockingPool::State {
    explicit State(Options wanted) : options(wanted) {}

    void work() {
        std::unique_lock lock(mutex);
        for (;;) {
            if (jobs.empty() && is_ending) return;
            if (jobs.empty()) {
                ++idle;
                something.wait(lock);
                --idle;
                continue;
            }
            auto job = std::move(jobs.front());
            jobs.pop_front();
            lock.unlock();
            job();
            job = nullptr;  // what it owns dies outside the lock
            lock.lock();
        }
    }

    // Whether one more job wants one more thread. At the end there are as many as there are.
    bool is_short_of_threads() const {
        return !is_ending && idle <= jobs.size() &&
               threads.size() < static_cast<std::size_t>(options.threads);
    }
    bool start_thread() {
        try {
            threads.emplace_back([this] { work(); });
            return true;
        } catch (const std::system_error&) {
            return false;
        }
    }

    const Options options;
    std::mutex mutex;
    std::condition_variable something;
    std::deque<std::move_only_function<void()>> jobs;
    std::size_t idle = 0;
    bool is_ending = false;
    std::vector<std::thread> threads;
};

BlockingPool::BlockingPool(Options options) : state_(std::make_unique<State>(options)) {}

BlockingPool::~BlockingPool() {
    {
        const std::scoped_lock lock(state_->mutex);
        state_->is_ending = true;
    }
    state_->something.notify_all();
    for (auto& thread : state_->threads) thread.join();
}

bool BlockingPool::submit(std::move_only_function<void()> job) {
    const std::scoped_lock lock(state_->mutex);
    if (state_->jobs.size() >= state_->options.jobs_max) return false;
    if (state_->is_short_of_threads() && !state_->start_thread() && state_->threads.empty()) {
        return false;  // the system has no thread for us
    }
    state_->jobs.push_back(std::move(job));
    state_->something.notify_one();
    return true;
}

}  // namespace fathom::rt
