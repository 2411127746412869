#include "sandbox/keeper_loop.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "sandbox/keeper_tags.h"

namespace fathom::sandbox {
namespace {

constexpr auto kOrderlyGrace = 10s;  // on SIGTERM, and after too long alone
constexpr std::size_t kOutgoingMax = 16384;

}  // namespace

KeeperLoop::KeeperLoop(KeeperParts parts, const Clock& clock)
    : parts_(std::move(parts)),
      clock_(clock),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      alone_since_(clock.now()) {
    watch(parts_.signals.get(), tag_of(Tag::signals), EPOLLIN);
    watch(parts_.listener.get(), tag_of(Tag::listener), EPOLLIN);
}

void KeeperLoop::watch(int fd, std::uint64_t tag, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
    }
}

void KeeperLoop::run(rt::Fd line) {
    if (line) serve_daemon(std::move(line));
    std::array<epoll_event, 64> events;
    while (!(is_ending_ && cells_.empty())) {
        const int count =
            ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms());
        for (int i = 0; i < count; ++i) {
            dispatch(events[static_cast<std::size_t>(i)].data.u64,
                     events[static_cast<std::size_t>(i)].events);
        }
        // Making cells ahead waits until nobody wants anything.
        maintain();
    }
    flush();
}

int KeeperLoop::wait_ms() const {
    const auto now = clock_.now();
    auto until = now + 1h;
    const auto no_later_than = [&](Clock::Monotonic at) { until = std::min(until, at); };
    if (is_ending_) no_later_than(is_killing_ ? now + 20ms : end_by_);
    if (!is_ending_ && ahead() < parts_.options.cells_ahead) no_later_than(refill_at_);
    if (!groups_to_remove_.empty()) no_later_than(now + 20ms);
    if (!daemon_) no_later_than(now + 1s);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
}

void KeeperLoop::dispatch(std::uint64_t tag, std::uint32_t events) {
    const auto number = static_cast<unsigned>(tag);
    switch (static_cast<Tag>(tag >> 32)) {
        case Tag::signals:
            return take_signal();
        case Tag::listener:
            return take_daemon();
        case Tag::daemon:
            if ((events & EPOLLOUT) != 0) flush();
            if ((events & ~EPOLLOUT) != 0 && daemon_) read_packets();
            return;
        case Tag::cell_line:
            if (auto found = cells_.find(number); found != cells_.end()) hear(*found->second);
            return;
        case Tag::cell_end:
            return bury(number);
    }
}

void KeeperLoop::maintain() {
    const auto now = clock_.now();
    std::erase_if(groups_to_remove_,
                  [this](unsigned number) { return parts_.cgroups.remove(number); });
    if (!daemon_ && !is_ending_) {
        drop_old_output();
        if (now - alone_since_ >= parts_.options.alone_max) begin_end(kOrderlyGrace);
        // Without its folder no daemon can find it any more.
        if (::access("control.sock", F_OK) != 0) begin_end(Duration::zero());
    }
    if (is_ending_) {
        if (now < end_by_ || is_killing_) return;
        is_killing_ = true;
        for (auto& [number, cell] : cells_) kill_cell(*cell);
        return;
    }
    if (now < refill_at_ || ahead() >= parts_.options.cells_ahead) return;
    if (parts_.root) parts_.root->refresh();
    if (!make_cell()) refill_at_ = now + 1s;
}

// While nobody reads what replicas print, the oldest goes: a full pipe would stop them.
void KeeperLoop::drop_old_output() {
    std::array<char, 16384> dropped;
    for (auto& [number, cell] : cells_) {
        int waiting = 0;
        if (!cell->log || ::ioctl(cell->log.get(), FIONREAD, &waiting) != 0) continue;
        const int size = ::fcntl(cell->log.get(), F_GETPIPE_SZ);
        while (waiting > size / 2) {
            const auto got = ::read(cell->log.get(), dropped.data(), dropped.size());
            if (got <= 0) break;
            waiting -= static_cast<int>(got);
        }
    }
}

void KeeperLoop::take_daemon() {
    rt::Fd line(::accept4(parts_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!line) return;
    ucred who{};
    socklen_t size = sizeof who;
    ::getsockopt(line.get(), SOL_SOCKET, SO_PEERCRED, &who, &size);
    const bool is_allowed =
        who.uid == 0 || who.uid == parts_.options.daemon_uid || who.uid == ::geteuid();
    Packet refusal;
    refusal.kind = static_cast<std::uint32_t>(PacketKind::refused);
    if (!is_allowed) {
        refusal.errc = static_cast<std::uint32_t>(Errc::forbidden);
        put_text(refusal.text, "this keeper serves another user");
        (void)send_packet(line.get(), bytes_of(refusal), {});
        return;
    }
    // The line of a daemon that was killed may still look open: its end has not been read yet.
    if (daemon_) read_packets();
    if (daemon_) {
        refusal.errc = static_cast<std::uint32_t>(Errc::conflict);
        put_text(refusal.text, "this keeper serves another daemon");
        (void)send_packet(line.get(), bytes_of(refusal), {});
        return;
    }
    serve_daemon(std::move(line));
}

void KeeperLoop::serve_daemon(rt::Fd line) {
    ::fcntl(line.get(), F_SETFL, O_NONBLOCK);
    daemon_ = std::move(line);
    watch(daemon_.get(), tag_of(Tag::daemon), EPOLLIN | EPOLLRDHUP);
    Packet packet;
    packet.kind = static_cast<std::uint32_t>(PacketKind::accepted);
    answer(packet);
}

void KeeperLoop::lose_daemon() {
    daemon_ = rt::Fd();
    for (auto& packet : outgoing_) {
        if (packet.log >= 0) ::close(packet.log);
    }
    outgoing_.clear();
    alone_since_ = clock_.now();
}

void KeeperLoop::read_packets() {
    std::array<char, sizeof(Packet) + 1> bytes;
    while (daemon_) {
        auto came = receive_packet(daemon_.get(), bytes, MSG_DONTWAIT);
        if (came.error == EAGAIN || came.error == EINTR) return;
        if (came.error != 0 || came.bytes == 0) return lose_daemon();
        if (auto packet = parse_packet({bytes.data(), came.bytes}); packet) {
            handle(*packet, came);
        } else {
            Packet unknown;
            refuse(unknown, packet.error());
        }
        for (std::size_t i = 0; i < came.fd_count; ++i) ::close(came.fds[i]);
    }
}

void KeeperLoop::answer(const Packet& packet, int log) {
    if (!daemon_ || outgoing_.size() >= kOutgoingMax) return;
    outgoing_.push_back({packet, log < 0 ? -1 : ::fcntl(log, F_DUPFD_CLOEXEC, 3)});
    flush();
}

void KeeperLoop::flush() {
    while (daemon_ && !outgoing_.empty()) {
        auto& next = outgoing_.front();
        const std::span<const int> fds(&next.log, next.log < 0 ? 0 : 1);
        const int error = send_packet(daemon_.get(), bytes_of(next.packet), fds);
        if (error == EAGAIN || error == ENOBUFS || error == ETOOMANYREFS) {
            epoll_event event{};
            event.events = EPOLLIN | EPOLLRDHUP | EPOLLOUT;
            event.data.u64 = tag_of(Tag::daemon);
            ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, daemon_.get(), &event);
            return;
        }
        if (error != 0) return;  // its end will be read
        if (next.log >= 0) ::close(next.log);
        outgoing_.pop_front();
        if (outgoing_.empty()) watch(daemon_.get(), tag_of(Tag::daemon), EPOLLIN | EPOLLRDHUP);
    }
}

void KeeperLoop::refuse(const Packet& question, const Error& error) {
    Packet packet;
    packet.kind = static_cast<std::uint32_t>(PacketKind::refused);
    packet.sequence = question.sequence;
    packet.id = question.id;
    packet.errc = static_cast<std::uint32_t>(error.code());
    put_text(packet.text, error.message());
    answer(packet);
}

void KeeperLoop::take_signal() {
    signalfd_siginfo info;
    while (::read(parts_.signals.get(), &info, sizeof info) == sizeof info) {
        begin_end(kOrderlyGrace);
    }
}

void KeeperLoop::begin_end(Duration grace) {
    if (is_ending_) return;
    is_ending_ = true;
    end_by_ = clock_.now() + grace;
    for (auto& [number, cell] : cells_) {
        if (cell->id.empty()) {
            kill_cell(*cell);
        } else {
            signal_cell(*cell, SIGTERM);
        }
    }
}

}  // namespace fathom::sandbox
