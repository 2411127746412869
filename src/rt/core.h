// A core: one thread, one epoll loop, its timers, and what was sent to it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/ports.h"
#include "rt/async.h"

namespace fathom::rt {

class Core;

// The core whose thread this is. Calling it elsewhere is a bug.
Core& this_core();
// Its number, from 0. On a thread that is no core (a blocking pool's): 0 is never assumed; -1.
int this_core_index() noexcept;

// Cores there may be in one process.
inline constexpr int kCoresMax = 256;

// A point in time that calls back once. Intrusive and lazy: moving it later only writes a field.
class Timer {
public:
    Timer() = default;
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { disarm(); }

    // Calls `fire(context)` on this core at or up to 2 ms after `at`. Arms again if armed.
    void arm(Clock::Monotonic at, void (*fire)(void*), void* context);
    void disarm() noexcept;
    bool is_armed() const noexcept { return slot_ >= 0; }

private:
    friend class TimerWheel;
    Timer* next_ = nullptr;
    Timer** to_me_ = nullptr;  // whatever points at this timer: the slot's head or the one before
    Core* core_ = nullptr;
    Clock::Monotonic at_{};         // when it is due
    std::uint64_t filed_tick_ = 0;  // under which tick it is filed; never after at_
    int slot_ = -1;
    void (*fire_)(void*) = nullptr;
    void* context_ = nullptr;
};

// What the loop needs to know of a file descriptor. Owned by Socket, Listener and friends.
struct FdEntry {
    enum Event : std::uint8_t { readable = 1, writable = 2, hangup = 4 };

    int fd = -1;
    std::uint8_t ready = 0;  // edges seen and not yet used up by a short read or write
    bool is_dead = false;
    std::coroutine_handle<> reader;  // waits for readable or hangup
    std::coroutine_handle<> writer;  // waits for writable or hangup
};

class Core {
public:
    Core(int index, const Clock& clock);
    ~Core();
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    int index() const noexcept { return index_; }
    // Monotonic time as of the start of this turn of the loop: free to read, at most a turn old.
    Clock::Monotonic now() const noexcept { return now_; }
    const Clock& clock() const noexcept { return clock_; }
    Random& random() noexcept { return random_; }

    // Runs `work` on this core, soon, in the order of posting. Callable from every thread.
    void post(std::move_only_function<void()> work);
    // Runs `work` on this core at the end of this turn. Only from this core.
    void defer(std::move_only_function<void()> work);

    // Registers `fd` (non-blocking) with the loop, edge-triggered; closing is forget().
    // Errors: unavailable    the kernel refused (epoll watches exhausted)
    Result<FdEntry*> watch(int fd);
    // Closes the fd; the entry is freed after this turn, when no event can name it any more.
    void forget(FdEntry* entry) noexcept;

    // Turns until stop(). Called by Runtime on the core's own thread.
    void run();
    void stop() noexcept;  // from any thread

    // Turns of the loop so far; for metrics.
    std::uint64_t turns() const noexcept { return turns_.load(std::memory_order_relaxed); }

private:
    friend class Timer;
    struct Inbox;
    struct Poller;

    void turn();
    int wait_ms() const;
    void run_inbox();
    void dispatch(int ready);
    void run_deferred();

    const int index_;
    const Clock& clock_;
    SystemRandom random_;
    Clock::Monotonic now_;
    std::unique_ptr<Poller> poller_;
    std::unique_ptr<Inbox> inbox_;
    std::unique_ptr<class TimerWheel> timers_;
    std::vector<std::move_only_function<void()>> deferred_;
    std::vector<FdEntry*> graveyard_;
    std::atomic<std::uint64_t> turns_{0};
    bool is_stopping_ = false;
};

// The process's cores. Core 0 runs on the thread that calls run().
class Runtime {
public:
    struct Options {
        int cores = 1;  // 1 to kCoresMax
    };
    Runtime(Options options, const Clock& clock);
    ~Runtime();

    int core_count() const noexcept { return static_cast<int>(cores_.size()); }
    Core& core(int index) { return *cores_[static_cast<std::size_t>(index)]; }

    // Starts every core, runs `main` on core 0, and returns its answer after all cores stopped.
    Result<> run(Async<> main);

private:
    const Clock& clock_;
    std::vector<std::unique_ptr<Core>> cores_;
};

// One core, one coroutine, until it ends: for the CLI and for tests.
Result<> run(Async<> main);

}  // namespace fathom::rt
