#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "sandbox/keeper_loop.h"
#include "sandbox/keeper_tags.h"

namespace fathom::sandbox {
namespace {

constexpr int kBacklog = 4096;
constexpr int kLogPipeBytes = 256 << 10;  // kept by the kernel while the daemon is away
constexpr auto kRefillAfter = 20ms;       // a replica just launched gets the processor first
constexpr auto kTryCellMax = 2s;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

// A program as the daemon sent it, checked. It cannot change any more: it is sealed.
class SealedProgram {
public:
    ~SealedProgram() {
        if (bytes_ != MAP_FAILED) ::munmap(bytes_, size_);
    }
    Result<> open(int file) {
        struct stat facts{};
        const int seals = ::fcntl(file, F_GET_SEALS);
        if (seals < 0 || (seals & kSeals) != kSeals || ::fstat(file, &facts) != 0) {
            return fail(Errc::invalid, "the program is not a sealed memory file");
        }
        size_ = static_cast<std::size_t>(facts.st_size);
        if (size_ == 0 || size_ > kProgramBytesMax + 64) {
            return fail(Errc::invalid, "the program has {} bytes; at most {} are accepted", size_,
                        kProgramBytesMax);
        }
        bytes_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
        if (bytes_ == MAP_FAILED) return fail_errno(Errc::unavailable, errno, "mapping a program");
        if (const char* wrong = parse_program({static_cast<const char*>(bytes_), size_}, program)) {
            return fail(Errc::invalid, "{}", wrong);
        }
        return {};
    }
    Program program;

private:
    void* bytes_ = MAP_FAILED;
    std::size_t size_ = 0;
};

Result<rt::Fd> listen_at(const std::string& path, unsigned uid, unsigned gid) {
    rt::Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ::unlink(path.c_str());
    if (!listener || path.size() >= sizeof address.sun_path ||
        ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(path.c_str(), 0600) != 0 || ::listen(listener.get(), kBacklog) != 0) {
        return fail_errno(Errc::unavailable, errno, "listening at " + path);
    }
    // Refused inside a user namespace, where it is ours and the daemon's alike.
    (void)!::chown(path.c_str(), uid, gid);
    return listener;
}

std::string socket_path(std::string_view id) {
    return fmt::format("s/{}.sock", id);
}

}  // namespace

// A folder inside the data folder, ready to be mounted read-only (or entered, at level process).
// Whatever the daemon asks for, nothing outside is opened: no "..", no links that lead out.
static Result<rt::Fd> open_folder(const KeeperParts& parts, const char* path) {
    std::string_view inside(path);
    std::string data(parts.options.data_folder);
    if (inside.starts_with(data + "/")) inside.remove_prefix(data.size() + 1);
    open_how how{};
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    const std::string relative(inside);
    rt::Fd folder(static_cast<int>(
        ::syscall(SYS_openat2, parts.data_folder.get(), relative.c_str(), &how, sizeof how)));
    if (!folder) {
        return fail_errno(errno == EXDEV || errno == ENOENT ? Errc::invalid : Errc::unavailable,
                          errno, fmt::format("opening \"{}\" inside the data folder", path));
    }
    if (parts.plan.level == Level::process) return folder;
    rt::Fd tree(static_cast<int>(::syscall(SYS_open_tree, folder.get(), "",
                                           AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    attributes.propagation = MS_PRIVATE;
    if (!tree || ::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes,
                           sizeof attributes) != 0) {
        return fail_errno(Errc::unavailable, errno, fmt::format("preparing \"{}\"", path));
    }
    return tree;
}

unsigned KeeperLoop::ahead() const {
    return static_cast<unsigned>(cells_.size() - by_id_.size());
}

KeeperLoop::Cell* KeeperLoop::find(std::string_view id) {
    auto found = by_id_.find(std::string(id));
    return found == by_id_.end() ? nullptr : cells_.at(found->second).get();
}

Result<KeeperLoop::Cell*> KeeperLoop::make_cell() {
    const auto number = next_number_++;
    auto groups = parts_.cgroups.make(number);
    if (!groups) return fail(std::move(groups).error());
    auto start = start_cell(parts_.plan, *groups);
    if (!start) {
        groups_to_remove_.push_back(number);
        return fail(std::move(start).error());
    }
    auto cell = std::make_unique<Cell>();
    cell->number = number;
    cell->start = std::move(*start);
    watch(cell->start.line.get(), tag_of(Tag::cell_line, number), EPOLLIN);
    watch(cell->start.pidfd.get(), tag_of(Tag::cell_end, number), EPOLLIN);
    return cells_.emplace(number, std::move(cell)).first->second.get();
}

Result<> KeeperLoop::try_cell() {
    auto made = make_cell();
    if (!made) return fail(std::move(made).error());
    Cell& cell = **made;
    pollfd watched{cell.start.line.get(), POLLIN, 0};
    const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(kTryCellMax);
    ::poll(&watched, 1, static_cast<int>(limit.count()));
    hear(cell);
    if (cell.is_prepared) return {};
    const auto word = cell.last_word.value_or(CellReport{});
    const auto number = cell.number;
    kill_cell(cell);
    ::waitpid(cell.start.pid, nullptr, 0);
    cells_.erase(number);
    groups_to_remove_.push_back(number);
    return fail_errno(Errc::unavailable, word.value, text_of(word.step));
}

void KeeperLoop::handle(const Packet& packet, Received& came) {
    const auto id = text_of(packet.id);
    Cell* cell = find(id);
    switch (static_cast<PacketKind>(packet.kind)) {
        case PacketKind::hello:
            return greet(packet);
        case PacketKind::launch: {
            auto launched = came.fd_count == 1
                                ? launch(packet, came.fds[0])
                                : Result<>(fail(Errc::invalid, "launch comes with one program"));
            if (!launched) refuse(packet, launched.error());
            return;
        }
        case PacketKind::terminate:
            if (cell != nullptr) signal_cell(*cell, SIGTERM);
            return;
        case PacketKind::kill:
            if (cell != nullptr) kill_cell(*cell);
            return;
        case PacketKind::freeze:
            return set_frozen(packet, "1");
        case PacketKind::thaw:
            return set_frozen(packet, "0");
        case PacketKind::shut_down:
            return begin_end(std::chrono::milliseconds(packet.grace_ms));
        default:
            return refuse(packet, Error(Errc::invalid, "not a question to a keeper"));
    }
}

Packet KeeperLoop::describe_cell(const Cell& cell, PacketKind kind) const {
    Packet packet;
    packet.kind = static_cast<std::uint32_t>(kind);
    packet.revision = cell.revision;
    packet.launched_ns = cell.launched_ns;
    packet.pid = static_cast<std::uint32_t>(cell.start.pid);
    packet.is_frozen = cell.is_frozen ? 1 : 0;
    put_text(packet.id, cell.id);
    put_text(packet.function, cell.function);
    return packet;
}

void KeeperLoop::greet(const Packet& hello) {
    for (auto& past : past_) answer(past.packet, past.log.get());
    past_.clear();
    for (const auto& [id, number] : by_id_) {
        const Cell& cell = *cells_.at(number);
        answer(describe_cell(cell, PacketKind::kept), cell.log.get());
    }
    Packet welcome;
    welcome.kind = static_cast<std::uint32_t>(PacketKind::welcome);
    welcome.sequence = hello.sequence;
    welcome.level = static_cast<std::uint32_t>(parts_.plan.level);
    welcome.abilities = parts_.abilities;
    welcome.pid = static_cast<std::uint32_t>(::getpid());
    put_text(welcome.text, parts_.runtime_folder);
    answer(welcome);
}

Result<> KeeperLoop::launch(const Packet& packet, int program) {
    const std::string id(text_of(packet.id));
    if (is_ending_) return fail(Errc::unavailable, "the keeper is stopping");
    if (by_id_.contains(id)) return fail(Errc::conflict, "replica {} exists", id);
    if (by_id_.size() >= parts_.options.replicas_max) {
        return fail(Errc::overloaded, "{} replicas are kept, as many as replicas_max allows",
                    by_id_.size());
    }
    auto listener =
        listen_at(socket_path(id), parts_.options.daemon_uid, parts_.options.daemon_gid);
    if (!listener) return fail(std::move(listener).error());
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) return fail_errno(Errc::unavailable, errno, "making a log");
    rt::Fd log(pipe[0]);
    rt::Fd log_in(pipe[1]);
    ::fcntl(log.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(log.get(), F_SETPIPE_SZ, kLogPipeBytes);
    // So that the program may open /dev/stdout.
    (void)!::fchown(log_in.get(), parts_.plan.uid, parts_.plan.gid);

    Cell* cell = nullptr;
    for (auto& [number, candidate] : cells_) {
        if (!candidate->id.empty() || candidate->last_word) continue;
        cell = candidate.get();
        if (cell->is_prepared) break;
    }
    if (cell == nullptr) {
        auto made = make_cell();
        if (!made) return fail(std::move(made).error());
        cell = *made;
    }
    auto sent = send_run(*cell, packet, program, listener->get(), log_in.get());
    if (!sent) {
        ::unlink(socket_path(id).c_str());
        return sent;
    }
    cell->id = id;
    cell->function = text_of(packet.function);
    cell->revision = packet.revision;
    cell->memory_bytes_max = packet.memory_bytes;
    cell->log = std::move(log);
    cell->launched_ns = static_cast<std::uint64_t>(clock_.now().time_since_epoch().count());
    by_id_.emplace(id, cell->number);
    refill_at_ = clock_.now() + kRefillAfter;
    auto launched = describe_cell(*cell, PacketKind::launched);
    launched.sequence = packet.sequence;
    answer(launched, cell->log.get());
    return {};
}

Result<> KeeperLoop::send_run(Cell& cell, const Packet& packet, int program, int listener,
                              int log_in) {
    SealedProgram sealed;
    if (auto opened = sealed.open(program); !opened) return opened;
    auto files = open_folder(parts_, sealed.program.files);
    if (!files) return fail(std::move(files).error());
    const bool has_secrets =
        sealed.program.secrets[0] != '\0' && parts_.plan.level != Level::process;
    rt::Fd secrets;
    if (has_secrets) {
        auto opened = open_folder(parts_, sealed.program.secrets);
        if (!opened) return fail(std::move(opened).error());
        secrets = std::move(*opened);
    }
    const bool has_memory_group = has_bit(parts_.abilities, AbilityBit::cgroup_memory);
    auto limited = parts_.cgroups.limit(
        cell.number, {.memory_bytes_max = packet.memory_bytes,
                      .cpu_max = {static_cast<std::int64_t>(packet.cpu_millicores)},
                      .processes_max = packet.processes});
    if (!limited) return limited;

    CellOrder order;
    order.kind = CellOrder::run;
    order.has_secrets = has_secrets ? 1 : 0;
    order.egress = packet.egress;
    order.data_bytes_max = has_memory_group ? 0 : packet.memory_bytes;
    auto host = text_of(packet.id);
    put_text(order.hostname, host);
    const std::array fds = {listener, log_in, program, files->get(), secrets.get()};
    const int error =
        send_packet(cell.start.line.get(), {reinterpret_cast<const char*>(&order), sizeof order},
                    {fds.data(), has_secrets ? 5u : 4u});
    if (error != 0) return fail_errno(Errc::unavailable, error, "ordering a sandbox to start");
    return {};
}

void KeeperLoop::set_frozen(const Packet& packet, std::string_view zero_or_one) {
    Cell* cell = find(text_of(packet.id));
    if (cell == nullptr) {
        return refuse(packet, Error(Errc::not_found, "no such replica"));
    }
    auto changed = parts_.cgroups.set_frozen(cell->number, zero_or_one);
    if (!changed) return refuse(packet, changed.error());
    cell->is_frozen = zero_or_one == "1";
    Packet done;
    done.kind = static_cast<std::uint32_t>(PacketKind::done);
    done.sequence = packet.sequence;
    answer(done);
}

void KeeperLoop::signal_cell(Cell& cell, int number) {
    if (cell.is_frozen && parts_.cgroups.set_frozen(cell.number, "0")) cell.is_frozen = false;
    CellOrder order;
    order.kind = CellOrder::signal;
    order.signal_number = number;
    (void)send_packet(cell.start.line.get(), {reinterpret_cast<const char*>(&order), sizeof order},
                      {});
}

void KeeperLoop::kill_cell(Cell& cell) {
    // Without a PID namespace the first process must outlive the program to find its children.
    if (parts_.plan.level == Level::process && !cell.id.empty()) {
        return signal_cell(cell, SIGKILL);
    }
    ::syscall(SYS_pidfd_send_signal, cell.start.pidfd.get(), SIGKILL, nullptr, 0);
    parts_.cgroups.kill(cell.number);
}

void KeeperLoop::hear(Cell& cell) {
    CellReport word;
    for (;;) {
        auto came = receive_packet(cell.start.line.get(),
                                   {reinterpret_cast<char*>(&word), sizeof word}, MSG_DONTWAIT);
        for (std::size_t i = 0; i < came.fd_count; ++i) ::close(came.fds[i]);
        if (came.error == EAGAIN || came.error == EINTR) return;
        if (came.error != 0 || came.bytes != sizeof word) {
            // Its end follows; the pidfd tells.
            ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, cell.start.line.get(), nullptr);
            return;
        }
        word.step.back() = '\0';
        if (word.kind == CellReport::prepared) {
            cell.is_prepared = true;
            failed_cells_ = 0;
        } else if (!cell.last_word) {
            cell.last_word = word;
        }
    }
}

Exit KeeperLoop::exit_of(const Cell& cell) const {
    Exit exit;
    if (!cell.last_word) {  // the first process itself was killed
        exit.kind = Exit::Kind::killed;
        exit.code = SIGKILL;
    } else if (cell.last_word->kind != CellReport::ended) {
        exit.kind = Exit::Kind::not_started;
        exit.code = cell.last_word->value;
        exit.text = fmt::format("could not start: {}: {}", text_of(cell.last_word->step),
                                ::strerror(exit.code));
        return exit;
    } else if (WIFEXITED(cell.last_word->value)) {
        exit.code = WEXITSTATUS(cell.last_word->value);
    } else {
        exit.kind = Exit::Kind::killed;
        exit.code = WTERMSIG(cell.last_word->value);
    }
    const bool is_killed = exit.kind == Exit::Kind::killed && exit.code == SIGKILL;
    if (is_killed && parts_.cgroups.ran_out_of_memory(cell.number)) {
        exit.kind = Exit::Kind::out_of_memory;
    }
    exit.text = exit_text(exit.kind, exit.code, cell.memory_bytes_max);
    return exit;
}

// The first process ended, and with it everything inside.
void KeeperLoop::bury(unsigned number) {
    auto found = cells_.find(number);
    if (found == cells_.end()) return;
    Cell& cell = *found->second;
    int status = 0;
    if (::waitpid(cell.start.pid, &status, WNOHANG) != cell.start.pid) return;
    hear(cell);
    const bool was_ahead = cell.id.empty();
    if (was_ahead && !is_ending_) {
        failed_cells_ += 1;
        refill_at_ = clock_.now() + std::min(1s * failed_cells_, 30s);
    }
    if (!was_ahead) {
        auto exit = exit_of(cell);
        auto packet = describe_cell(cell, daemon_ ? PacketKind::ended : PacketKind::kept);
        packet.has_exit = 1;
        packet.exit_kind = static_cast<std::uint32_t>(exit.kind);
        packet.code = exit.code;
        put_text(packet.text, exit.text);
        ::unlink(socket_path(cell.id).c_str());
        by_id_.erase(cell.id);
        if (daemon_) {
            answer(packet);
        } else {
            past_.push_back({packet, std::move(cell.log)});
            if (past_.size() > parts_.options.replicas_max) past_.pop_front();
        }
    }
    if (!parts_.cgroups.remove(number)) groups_to_remove_.push_back(number);
    cells_.erase(found);
}

}  // namespace fathom::sandbox
