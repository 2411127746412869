#include "watchdog/loop.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace fathom::watchdog {

Loop::~Loop() {
    if (signals_ >= 0) ::close(signals_);
    if (epoll_ >= 0) ::close(epoll_);
}

Result<> Loop::open() {
    sigset_t taken;
    sigemptyset(&taken);
    sigaddset(&taken, SIGCHLD);
    sigaddset(&taken, SIGTERM);
    sigset_t blocked = taken;
    sigaddset(&blocked, SIGPIPE);
    if (sigprocmask(SIG_BLOCK, &blocked, nullptr) != 0) {
        return fail_errno(Errc::unavailable, errno, "sigprocmask");
    }
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    signals_ = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    epoll_event event{.events = EPOLLIN, .data = {.ptr = this}};
    if (epoll_ < 0 || signals_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, signals_, &event) != 0) {
        return fail_errno(Errc::unavailable, errno, "the event loop cannot start");
    }
    return {};
}

void Loop::run() {
    while (!is_stopped_) {
        event_count_ =
            epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), wait_ms());
        for (int at = 0; at < event_count_; ++at) {
            auto* target = events_[at].data.ptr;
            if (target == this) {
                take_signals();
            } else if (target != nullptr) {
                static_cast<Channel*>(target)->on_event(events_[at].events);
            }
        }
        event_count_ = 0;
        fire_timers();
        std::exchange(rubbish_, {}).clear();
    }
}

int Loop::wait_ms() const {
    if (!rubbish_.empty()) return 0;
    if (timers_.empty()) return -1;
    const auto left = timers_.begin()->first - clock_.now();
    if (left <= Duration(0)) return 0;
    // Rounded up: a timer never fires early.
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    return static_cast<int>(std::min<std::int64_t>(ms, 3'600'000));
}

void Loop::fire_timers() {
    if (timers_.empty()) return;
    const auto now = clock_.now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
        auto* timer = timers_.begin()->second;
        timer->cancel();
        timer->callback_();
    }
}

void Loop::take_signals() {
    signalfd_siginfo info;
    bool is_terminated = false;
    bool has_exits = false;
    while (::read(signals_, &info, sizeof info) == sizeof info) {
        is_terminated |= info.ssi_signo == SIGTERM;
        has_exits |= info.ssi_signo == SIGCHLD;
    }
    if (has_exits) reap_children();
    if (is_terminated && on_terminate_) on_terminate_();
}

void Loop::on_exit(pid_t pid, std::function<void(int)> callback) {
    children_.emplace(pid, std::move(callback));
}

// As PID 1 we inherit every orphan: whoever ended is reaped, known or not.
void Loop::reap_children() {
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        auto child = children_.extract(pid);
        if (!child.empty()) child.mapped()(status);
    }
}

void Channel::open(int fd, std::uint32_t wanted) {
    close();
    epoll_event event{.events = wanted, .data = {.ptr = this}};
    if (epoll_ctl(loop_.epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
        ::close(fd);
        return;
    }
    fd_ = fd;
    wanted_ = registered_ = wanted;
}

void Channel::close() {
    if (fd_ < 0) return;
    // Closing alone would not do: a child that is between its fork and the end of its exec still
    // holds a copy, and with it the place in the epoll set (a vfork parent goes on before the
    // kernel closes what is close-on-exec).
    epoll_ctl(loop_.epoll_, EPOLL_CTL_DEL, fd_, nullptr);
    ::close(std::exchange(fd_, -1));
    for (int at = 0; at < loop_.event_count_; ++at) {
        if (loop_.events_[at].data.ptr == this) loop_.events_[at].data.ptr = nullptr;
    }
}

void Channel::want(std::uint32_t wanted) {
    wanted_ = wanted;
    if ((wanted & ~registered_) != 0) register_as(wanted);
}

void Channel::register_as(std::uint32_t wanted) {
    if (fd_ < 0) return;
    epoll_event event{.events = wanted, .data = {.ptr = this}};
    epoll_ctl(loop_.epoll_, EPOLL_CTL_MOD, fd_, &event);
    registered_ = wanted;
}

void Channel::on_event(std::uint32_t events) {
    const auto due = events & (wanted_ | EPOLLERR | EPOLLHUP);
    if (due == 0) {
        register_as(wanted_);
        return;
    }
    callback_(due);
}

void Timer::arm(Duration from_now) {
    cancel();
    place_ = loop_.timers_.emplace(loop_.clock_.now() + from_now, this);
}

void Timer::cancel() {
    if (!is_armed()) return;
    loop_.timers_.erase(place_);
    place_ = loop_.timers_.end();
}

}  // namespace fathom::watchdog
