// The watchdog's one loop: descriptors, timers, ended children and SIGTERM, all on one thread.
//
// Callbacks may close, arm and discard anything. What is discarded stays in memory until the
// wake-up is over, so an object may end itself from within its own callback.
#pragma once

#include <sys/epoll.h>
#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "core/ports.h"
#include "core/result.h"

namespace fathom::watchdog {

class Channel;
class Timer;

class Disposable {
public:
    virtual ~Disposable() = default;
};

class Loop {
public:
    explicit Loop(const Clock& clock) : clock_(clock) {}
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    // Blocks SIGCHLD, SIGTERM and SIGPIPE for this thread and takes the first two from here on.
    // Errors: unavailable    the kernel gives no descriptor
    Result<> open();

    // Runs until stop().
    void run();
    void stop() { is_stopped_ = true; }

    void on_terminate(std::function<void()> callback) { on_terminate_ = std::move(callback); }
    // Calls back once with the wait status of child `pid`. All other children are only reaped.
    void on_exit(pid_t pid, std::function<void(int status)> callback);
    void forget_exit(pid_t pid) { children_.erase(pid); }

    void discard(std::unique_ptr<Disposable> rubbish) { rubbish_.push_back(std::move(rubbish)); }
    const Clock& clock() const { return clock_; }
    // One buffer for everybody, for one read and what is done with it at once.
    std::span<char> scratch() { return scratch_; }

private:
    friend class Channel;
    friend class Timer;
    using Timers = std::multimap<Clock::Monotonic, Timer*>;

    void take_signals();
    void reap_children();
    void fire_timers();
    int wait_ms() const;

    const Clock& clock_;
    int epoll_ = -1;
    int signals_ = -1;
    bool is_stopped_ = false;
    std::function<void()> on_terminate_;
    std::map<pid_t, std::function<void(int)>> children_;
    Timers timers_;
    std::vector<std::unique_ptr<Disposable>> rubbish_;
    std::array<epoll_event, 32> events_{};  // of this wake-up; those of closed channels are blanked
    int event_count_ = 0;
    std::array<char, 32 * 1024> scratch_;
};

// A descriptor in the loop, which it owns. Level-triggered: the callback comes again as long as
// what is wanted is possible.
class Channel {
public:
    // `callback` gets epoll's event bits. EPOLLERR and EPOLLHUP come whether wanted or not.
    Channel(Loop& loop, std::function<void(std::uint32_t)> callback)
        : loop_(loop), callback_(std::move(callback)) {}
    ~Channel() { close(); }
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    // Takes `fd` over. Closed again at once where the kernel refuses to watch it.
    void open(int fd, std::uint32_t wanted);
    void close();
    // Wanting less costs nothing until an unwanted event comes.
    void want(std::uint32_t wanted);
    std::uint32_t wanted() const { return wanted_; }
    bool is_open() const { return fd_ >= 0; }
    int fd() const { return fd_; }

private:
    friend class Loop;
    void on_event(std::uint32_t events);
    void register_as(std::uint32_t wanted);

    Loop& loop_;
    std::function<void(std::uint32_t)> callback_;
    int fd_ = -1;
    std::uint32_t wanted_ = 0;
    std::uint32_t registered_ = 0;
};

// Calls back once when its time has come.
class Timer {
public:
    Timer(Loop& loop, std::function<void()> callback)
        : loop_(loop), callback_(std::move(callback)), place_(loop.timers_.end()) {}
    ~Timer() { cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    void arm(Duration from_now);
    void cancel();
    bool is_armed() const { return place_ != loop_.timers_.end(); }

private:
    friend class Loop;
    Loop& loop_;
    std::function<void()> callback_;
    Loop::Timers::iterator place_;
};

}  // namespace fathom::watchdog
