#include "rt/core.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <thread>

#include "rt/timer_wheel.h"
#include "rt/wait.h"

namespace fathom::rt {
namespace {

constexpr int kEventsPerTurn = 256;
thread_local Core* t_core = nullptr;

}  // namespace

Core& this_core() {
    FATHOM_CHECK(t_core != nullptr, "this thread is a core");
    return *t_core;
}

int this_core_index() noexcept {
    return t_core == nullptr ? -1 : t_core->index();
}

Fd& Fd::operator=(Fd&& other) noexcept {
    if (this != &other) {
        if (fd_ >= 0) ::close(fd_);
        fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
}

Fd::~Fd() {
    if (fd_ >= 0) ::close(fd_);
}

// What other threads left for this core, and how they wake it.
struct Core::Inbox {
    Fd wake_fd{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    std::atomic<bool> has_mail{false};
    std::mutex mutex;
    std::vector<std::move_only_function<void()>> mail;
};

Core::Core(int index, const Clock& clock)
    : index_(index),
      clock_(clock),
      now_(clock.now()),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      inbox_(std::make_unique<Inbox>()),
      timers_(std::make_unique<TimerWheel>(now_)) {
    FATHOM_CHECK(epoll_ && inbox_->wake_fd, "the kernel gives every core an epoll and an eventfd");
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.ptr = nullptr;  // no entry: the inbox
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, inbox_->wake_fd.get(), &event);
}

Core::~Core() {
    bury();
}

void Core::post(std::move_only_function<void()> work) {
    bool was_empty = false;
    {
        const std::scoped_lock lock(inbox_->mutex);
        was_empty = inbox_->mail.empty();
        inbox_->mail.push_back(std::move(work));
        inbox_->has_mail.store(true, std::memory_order_release);
    }
    if (was_empty) {
        const std::uint64_t one = 1;
        // Cannot fail but by overflow, and then the core is awake anyway.
        [[maybe_unused]] const auto written = ::write(inbox_->wake_fd.get(), &one, sizeof one);
    }
}

void Core::defer(std::move_only_function<void()> work) {
    deferred_.push_back(std::move(work));
}

Result<FdEntry*> Core::watch(int fd) {
    auto entry = std::make_unique<FdEntry>();
    entry->fd = fd;
    int type = 0;
    socklen_t size = sizeof type;
    entry->is_socket = ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
    entry->drains_short = entry->is_socket && type == SOCK_STREAM;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    event.data.ptr = entry.get();
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        return fail_errno(Errc::unavailable, errno, "watch a descriptor");
    }
    return entry.release();
}

void Core::announce_writable(FdEntry& entry) noexcept {
    if (entry.announces_writable) return;
    entry.announces_writable = true;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &entry;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, entry.fd, &event);
}

void Core::forget(FdEntry* entry) noexcept {
    FATHOM_CHECK(!entry->reader && !entry->writer, "nobody waits for a descriptor being closed");
    // Closing also leaves the epoll set, unless somebody holds a copy of the descriptor.
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, entry->fd, nullptr);
    ::close(entry->fd);
    entry->is_dead = true;
    graveyard_.push_back(entry);
}

void Core::bury() {
    for (auto* entry : graveyard_) delete entry;
    graveyard_.clear();
}

void Core::run() {
    auto* const outer = std::exchange(t_core, this);
    now_ = clock_.now();
    while (!is_stopping_.load(std::memory_order_relaxed)) turn();
    t_core = outer;
}

void Core::stop() noexcept {
    is_stopping_.store(true, std::memory_order_relaxed);
    post([] {});
}

void Core::turn() {
    std::array<epoll_event, kEventsPerTurn> events;  // NOLINT(*-init): the kernel fills it
    const bool has_work = !awake_.is_alone() || !deferred_.empty();
    const int wait_ms = has_work ? 0 : timers_->wait_ms(now_);
    const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, wait_ms);
    now_ = clock_.now();
    turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);

    for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        auto* entry = static_cast<FdEntry*>(event.data.ptr);
        if (entry == nullptr || entry->is_dead) continue;
        if ((event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
            entry->ready |= FdEntry::hangup | FdEntry::readable;
        }
        if ((event.events & EPOLLIN) != 0) entry->ready |= FdEntry::readable;
        if ((event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
            entry->ready |= FdEntry::writable;
        }
        if ((entry->ready & FdEntry::readable) != 0 && entry->reader) {
            std::exchange(entry->reader, {}).resume();
        }
        if (!entry->is_dead && (entry->ready & FdEntry::writable) != 0 && entry->writer) {
            std::exchange(entry->writer, {}).resume();
        }
    }
    timers_->advance(now_);
    run_inbox();
    run_awake();
    run_deferred();
    bury();
}

void Core::run_inbox() {
    if (!inbox_->has_mail.load(std::memory_order_acquire)) return;
    std::vector<std::move_only_function<void()>> mail;
    {
        const std::scoped_lock lock(inbox_->mutex);
        mail.swap(inbox_->mail);
        inbox_->has_mail.store(false, std::memory_order_relaxed);
    }
    for (auto& work : mail) work();
}

void Core::run_awake() {
    // Who is woken from here on has its turn in the next round.
    Link round;
    round.take_all(awake_);
    while (!round.is_alone()) {
        auto& waker = *static_cast<Waker*>(round.next());
        waker.leave();
        waker.handle.resume();
    }
}

void Core::run_deferred() {
    if (deferred_.empty()) return;
    auto round = std::exchange(deferred_, {});
    for (auto& work : round) work();
}

Runtime::Runtime(Options options, const Clock& clock) : clock_(clock) {
    FATHOM_CHECK(options.cores >= 1 && options.cores <= kCoresMax, "1 to kCoresMax cores");
    for (int index = 0; index < options.cores; ++index) {
        cores_.push_back(std::make_unique<Core>(index, clock_));
    }
}

Runtime::~Runtime() = default;

Result<> Runtime::run(Async<> main) {
    std::vector<std::jthread> threads;
    for (std::size_t index = 1; index < cores_.size(); ++index) {
        threads.emplace_back([this, index] { cores_[index]->run(); });
    }
    Result<> answer = fail(Errc::internal, "the main task was cut off");
    // Named coroutine parameters, not captures: they live in the frame.
    const auto run_main = [](Async<> work, Result<>& into, Runtime& self) -> Async<> {
        into = co_await std::move(work);
        for (auto& core : self.cores_) core->stop();
        co_return Result<>{};
    };
    auto task = run_main(std::move(main), answer, *this);
    cores_[0]->post([&task] { task.start(std::noop_coroutine()); });
    cores_[0]->run();
    threads.clear();  // joins
    return answer;
}

Result<> run(Async<> main) {
    const SystemClock clock;
    Runtime runtime({.cores = 1}, clock);
    return runtime.run(std::move(main));
}

}  // namespace fathom::rt
