#include "rt/core.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>

#include "rt/timer_wheel.h"
#include "rt/wait.h"

namespace fathom::rt {
namespace {

constexpr int kEventsPerTurn = 256;
constexpr std::uint32_t kWatched = EPOLLIN | EPOLLRDHUP | EPOLLET;
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
struct Mailbox::Inbox {
    using Mail = std::vector<std::move_only_function<void()>>;

    Mail take() {
        const std::scoped_lock lock(mutex);
        has_mail.store(false, std::memory_order_relaxed);
        return std::exchange(mail, {});
    }
    void open(bool yes) {
        const std::scoped_lock lock(mutex);
        is_open = yes;
    }

    Fd wake_fd{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    std::atomic<bool> has_mail{false};
    std::mutex mutex;
    Mail mail;
    bool is_open = true;
};

Mailbox::Mailbox() : inbox_(std::make_shared<Inbox>()) {}

void Mailbox::post(std::move_only_function<void()> work) const {
    bool was_empty = false;
    {
        const std::scoped_lock lock(inbox_->mutex);
        if (!inbox_->is_open) return;  // `work` dies with its parameter, outside the lock
        was_empty = inbox_->mail.empty();
        inbox_->mail.push_back(std::move(work));
        inbox_->has_mail.store(true, std::memory_order_release);
    }
    if (was_empty) {
        // Every write makes a new edge, so nobody needs to read. It cannot fail but by overflow,
        // 2^64 posts from now.
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(inbox_->wake_fd.get(), &one, sizeof one);
    }
}

// For as long as it lives, this thread is the core.
class Core::Presence {
public:
    explicit Presence(Core& core) noexcept : outer_(std::exchange(t_core, &core)) {}
    Presence(const Presence&) = delete;
    Presence& operator=(const Presence&) = delete;
    ~Presence() { t_core = outer_; }

private:
    Core* outer_;
};

Core::Core(int index, const Clock& clock)
    : index_(index),
      clock_(clock),
      now_(clock.now()),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      timers_(std::make_unique<TimerWheel>(now_)) {
    const int wake_fd = mailbox_.inbox_->wake_fd.get();
    FATHOM_CHECK(epoll_ && wake_fd >= 0, "the kernel gives every core an epoll and an eventfd");
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.ptr = nullptr;  // no entry: the inbox
    const int added = ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_fd, &event);
    FATHOM_CHECK(added == 0, "the kernel watches every core's eventfd");
}

Core::~Core() {
    drop_leftovers();
}

void Core::defer(std::move_only_function<void()> work) {
    deferred_.push_back(std::move(work));
}

Result<FdEntry*> Core::watch(int fd) {
    auto entry = std::make_unique<FdEntry>();
    entry->core = this;
    entry->fd = fd;
    int type = 0;
    socklen_t size = sizeof type;
    entry->is_socket = ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
    entry->drains_short = entry->is_socket && type == SOCK_STREAM;
    epoll_event event{};
    event.events = kWatched;
    event.data.ptr = entry.get();
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        return fail_errno(Errc::unavailable, errno, "watch a descriptor");
    }
    return entry.release();
}

void Core::announce_writable(FdEntry& entry) noexcept {
    if (!entry.announces_writable) set_announcing(entry, true);
}

void Core::set_announcing(FdEntry& entry, bool on) noexcept {
    entry.announces_writable = on;
    epoll_event event{};
    event.events = on ? kWatched | EPOLLOUT : kWatched;
    event.data.ptr = &entry;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, entry.fd, &event);
}

void Core::forget(FdEntry* entry) noexcept {
    FATHOM_CHECK(entry->core == this, "a descriptor is closed by the core that watches it");
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
    const Presence here(*this);
    now_ = clock_.now();
    while (!is_stopping_) turn();
    is_stopping_ = false;
    drop_leftovers();
}

void Core::stop() {
    post([this] { is_stopping_ = true; });
}

// Takes no more mail. What nobody will run any more goes while this thread is the core, because
// destructors may close sockets, post, or defer.
void Core::drop_leftovers() {
    const Presence here(*this);
    mailbox_.inbox_->open(false);
    run_deferred();
    for (;;) {
        const auto mail = mailbox_.inbox_->take();
        const auto deferred = std::exchange(deferred_, {});
        if (mail.empty() && deferred.empty()) break;
    }
    bury();
}

void Core::turn() {
    std::array<epoll_event, kEventsPerTurn> events;  // NOLINT(*-init): the kernel fills it
    const bool has_work = !awake_.is_alone() || !deferred_.empty();
    const int wait_ms = has_work ? 0 : timers_->wait_ms(now_);
    const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, wait_ms);
    FATHOM_CHECK(count >= 0 || errno == EINTR, "a core can wait for events");
    now_ = clock_.now();
    turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);

    for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        auto* entry = static_cast<FdEntry*>(event.data.ptr);
        if (entry != nullptr && !entry->is_dead) dispatch(*entry, event.events);
    }
    timers_->advance(now_);
    run_inbox();
    run_awake();
    run_deferred();
    bury();
}

// The entry may die in either resume(); it is freed at the end of the turn.
void Core::dispatch(FdEntry& entry, std::uint32_t events) {
    if (events == EPOLLOUT && (entry.ready & FdEntry::writable) != 0) {
        set_announcing(entry, false);  // it woke us for nothing
    }
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        entry.ready |= FdEntry::hangup | FdEntry::readable;
    }
    if ((events & EPOLLIN) != 0) entry.ready |= FdEntry::readable;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) entry.ready |= FdEntry::writable;
    if ((entry.ready & FdEntry::readable) != 0 && entry.reader) {
        std::exchange(entry.reader, {}).resume();
    }
    if (!entry.is_dead && (entry.ready & FdEntry::writable) != 0 && entry.writer) {
        std::exchange(entry.writer, {}).resume();
    }
}

void Core::run_inbox() {
    auto& inbox = *mailbox_.inbox_;
    if (!inbox.has_mail.load(std::memory_order_acquire)) return;
    auto mail = inbox.take();
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

namespace {

// A thread for every core but the first, which has the caller's.
Result<> start(std::vector<std::jthread>& threads, std::span<const std::unique_ptr<Core>> cores) {
    try {
        for (const auto& core : cores.subspan(1)) {
            threads.emplace_back([&core = *core] { core.run(); });
        }
        return {};
    } catch (const std::system_error& error) {
        return fail(Errc::unavailable, "start core {}: {}", threads.size() + 1, error.what());
    }
}

}  // namespace

Result<> Runtime::run(Async<> main) {
    auto& home = *cores_[0];
    Result<> answer = fail(Errc::internal, "the main task was cut off");
    // Named coroutine parameters, not captures: they live in the frame.
    const auto run_main = [](Async<> work, Result<>& into, Core& on) -> Async<> {
        into = co_await std::move(work);
        on.stop();
        co_return Result<>{};
    };
    auto task = run_main(std::move(main), answer, home);
    for (auto& core : cores_) core->mailbox_.inbox_->open(true);
    std::vector<std::jthread> threads;
    if (auto started = start(threads, cores_); started) {
        home.post([&task] { task.start(std::noop_coroutine()); });
        home.run();
    } else {
        answer = std::move(started);
    }
    {
        const Core::Presence here(home);
        task.reset();
    }
    for (std::size_t index = 0; index < threads.size(); ++index) cores_[index + 1]->stop();
    threads.clear();  // joins
    home.drop_leftovers();
    return answer;
}

Result<> run(Async<> main) {
    const SystemClock clock;
    Runtime runtime({.cores = 1}, clock);
    return runtime.run(std::move(main));
}

}  // namespace fathom::rt
