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
#include "rt/fd.h"
#include "rt/link.h"

namespace fathom::rt {

class Core;
class Runtime;
class TimerWheel;

// The core whose thread this is. Calling it elsewhere is a bug.
Core& this_core();
// Its number, from 0; -1 on a thread that is no core (a blocking pool's).
int this_core_index() noexcept;

// Cores there may be in one process.
inline constexpr int kCoresMax = 256;

// A coroutine that waits for something other code decides. It is resumed by its core's loop, never
// from inside somebody else's call: whoever wakes it can be sure that nothing runs before the next
// co_await. Destroying it (with the waiting coroutine) withdraws it from wherever it waits.
struct Waker : Link {
    std::coroutine_handle<> handle;
};

// A point in time that calls back once. Lazy: moving it to a later time only writes a field.
class Timer : Link {
public:
    Timer() = default;
    ~Timer() { disarm(); }

    // Calls `fire(context)` on this core at `at` or up to 2 ms later (more, when a turn of the loop
    // takes longer). Arms anew if armed.
    void arm(Clock::Monotonic at, void (*fire)(void*), void* context);
    void disarm() noexcept;
    bool is_armed() const noexcept { return wheel_ != nullptr; }

private:
    friend class TimerWheel;
    TimerWheel* wheel_ = nullptr;
    Clock::Monotonic at_{};   // when it is due
    std::int64_t filed_ = 0;  // the tick it is filed under; never after at_
    int slot_ = 0;
    void (*fire_)(void*) = nullptr;
    void* context_ = nullptr;
};

// Where work for a core is left, from any thread. Who may outlive the core holds one of these
// instead of a Core&.
class Mailbox {
public:
    // Runs `work` on the core, soon, in the order of posting. What a core has not run when it
    // stops is dropped: destroyed by the core, or, once it has stopped, in this call.
    void post(std::move_only_function<void()> work) const;

private:
    friend class Core;
    friend class Runtime;
    struct Inbox;
    Mailbox();
    std::shared_ptr<Inbox> inbox_;
};

// What the loop needs to know of a file descriptor. Owned by Socket, Listener and friends.
struct FdEntry {
    enum Event : std::uint8_t { readable = 1, writable = 2, hangup = 4 };

    const Core* core = nullptr;  // the only one that may close it
    int fd = -1;
    // What the kernel announced and no short read or write has used up. Writable is assumed until a
    // write would block; only then the loop asks for it, because a Unix socket announces it each
    // time the peer reads, which would cost a wake-up a call.
    std::uint8_t ready = writable;
    bool is_socket = false;  // send and recv are cheaper than write and read, and raise no SIGPIPE
    bool drains_short = false;  // a stream socket: a short read means that it is empty now
    bool announces_writable = false;
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

    TimerWheel& timers() noexcept { return *timers_; }

    // Runs `work` on this core, soon, in the order of posting. Callable from every thread.
    void post(std::move_only_function<void()> work) { mailbox_.post(std::move(work)); }
    const Mailbox& mailbox() const noexcept { return mailbox_; }
    // Runs `work` on this core at the end of this turn. Only from this core.
    void defer(std::move_only_function<void()> work);

    // Resumes `waker` later in this turn, or in the next.
    void wake(Waker& waker) noexcept { waker.enter_before(awake_); }
    // Resumes all that wait in `wakers`, in their order.
    void wake_all(Link& wakers) noexcept { awake_.take_all(wakers); }

    // Registers `fd` (non-blocking) with the loop, edge-triggered; closing is forget().
    // Errors: unavailable    the kernel refused (epoll watches exhausted)
    Result<FdEntry*> watch(int fd);
    // Asks the kernel to announce that the descriptor takes bytes again; after a write would block.
    void announce_writable(FdEntry& entry) noexcept;
    // Closes the fd; the entry is freed after this turn, when no event can name it any more.
    void forget(FdEntry* entry) noexcept;

    // Turns until stop(). Called by Runtime on the core's own thread.
    void run();
    // From any thread. What was posted before still runs.
    void stop();

    // Turns of the loop so far; for metrics.
    std::uint64_t turns() const noexcept { return turns_.load(std::memory_order_relaxed); }

private:
    friend class Runtime;
    class Presence;

    void turn();
    void dispatch(FdEntry& entry, std::uint32_t events);
    void set_announcing(FdEntry& entry, bool on) noexcept;
    void run_inbox();
    void run_awake();
    void run_deferred();
    void drop_leftovers();
    void bury();

    const int index_;
    const Clock& clock_;
    SystemRandom random_;
    Clock::Monotonic now_;
    Fd epoll_;
    Mailbox mailbox_;
    std::unique_ptr<TimerWheel> timers_;
    std::vector<std::move_only_function<void()>> deferred_;
    std::vector<FdEntry*> graveyard_;
    std::atomic<std::uint64_t> turns_{0};
    Link awake_;
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
    // `main` is dropped on core 0 before the others stop, so it must have ended what it started
    // there. Stopping core 0 cuts `main` off. Can be called again.
    // Errors: unavailable    the system has no threads left; plus whatever `main` returns
    Result<> run(Async<> main);

private:
    const Clock& clock_;
    std::vector<std::unique_ptr<Core>> cores_;
};

// One core, one coroutine, until it ends: for the CLI and for tests.
Result<> run(Async<> main);

}  // namespace fathom::rt
