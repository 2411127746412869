// How a keeper comes to be: found or forked, guarded, set up, run.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "sandbox/connect.h"
#include "sandbox/keeper_loop.h"

namespace fathom::sandbox {
namespace {

constexpr int kExitOrderly = 0;
constexpr int kExitFailed = 1;
constexpr int kExitTaken = 3;
constexpr int kLineFd = 3;
constexpr int kGuardLockFd = 4;  // in the guard
constexpr auto kAnswerMax = 2s;
constexpr auto kLockMax = 5s;  // for the keeper before us to be gone

void note(std::string_view text) {
    fmt::print(stderr, "keeper {}: {}\n", ::getpid(), text);
    ::fflush(stderr);
}

Result<std::string> absolute(const std::string& path) {
    std::array<char, PATH_MAX> resolved{};
    if (::realpath(path.empty() ? "." : path.c_str(), resolved.data()) == nullptr) {
        return fail_errno(Errc::unavailable, errno, "finding the data folder \"" + path + "\"");
    }
    return std::string(resolved.data());
}

rt::Fd open_data_folder(const std::string& path) {
    return rt::Fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

// Makes the folders and enters the keeper's own; from then on its paths are short and relative.
Result<rt::Fd> enter_folders(KeeperOptions& options, std::string& runtime_folder) {
    auto data = absolute(options.data_folder);
    if (!data) return fail(std::move(data).error());
    options.data_folder = *data;
    runtime_folder = *data + "/runtime";
    const auto own = *data + "/keeper";
    if (::mkdir(runtime_folder.c_str(), 0755) == 0) {
        ::chmod(runtime_folder.c_str(), 0755);
        (void)!::chown(runtime_folder.c_str(), options.daemon_uid, options.daemon_gid);
    }
    for (const auto& folder : {own, own + "/s"}) {
        if (::mkdir(folder.c_str(), 0711) == 0) ::chmod(folder.c_str(), 0711);
    }
    auto data_folder = open_data_folder(*data);
    if (!data_folder || ::chdir(own.c_str()) != 0) {
        return fail_errno(Errc::unavailable, errno, "entering " + own);
    }
    return data_folder;
}

// The lock of the folder; waits a little for a keeper that is on its way out.
Result<rt::Fd> lock_folder(const Clock& clock) {
    rt::Fd lock(::open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock) return fail_errno(Errc::unavailable, errno, "opening keeper/lock");
    const auto limit = clock.now() + kLockMax;
    while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        if (clock.now() >= limit) return fail(Errc::conflict, "another keeper has this folder");
        ::poll(nullptr, 0, 5);
    }
    return lock;
}

Result<rt::Fd> listen_for_daemons(const KeeperOptions& options) {
    rt::Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{AF_UNIX, "control.sock"};
    ::unlink(address.sun_path);
    if (!listener ||
        ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(address.sun_path, 0600) != 0 || ::listen(listener.get(), 16) != 0) {
        return fail_errno(Errc::unavailable, errno, "listening at keeper/control.sock");
    }
    (void)!::chown(address.sun_path, options.daemon_uid, options.daemon_gid);
    return listener;
}

rt::Fd take_signals() {
    sigset_t ends;
    ::sigemptyset(&ends);
    ::sigaddset(&ends, SIGTERM);
    ::sigaddset(&ends, SIGINT);
    ::sigprocmask(SIG_SETMASK, &ends, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGHUP, SIG_IGN);
    ::signal(SIGCHLD, SIG_DFL);
    return rt::Fd(::signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK));
}

// Standard output and error go to keeper.log: whoever reads the daemon's must not wait for us.
void write_to_own_log() {
    rt::Fd log(::open("keeper.log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
    rt::Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    ::dup2(null.get(), 0);
    ::dup2(log.get(), 1);
    ::dup2(log.get(), 2);
}

void raise_soft_file_limit() {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
}

void remove_old_sockets() {
    DIR* opened = ::opendir("s");
    if (opened == nullptr) return;
    while (const dirent* entry = ::readdir(opened)) {
        if (entry->d_name[0] != '.') ::unlink(fmt::format("s/{}", entry->d_name).c_str());
    }
    ::closedir(opened);
}

// Without namespaces only the daemon's user can reach the bundles: functions run as that one, which
// is at least not root.
void run_without_namespaces(KeeperParts& parts) {
    parts.plan.level = Level::process;
    parts.abilities &= ~bit(AbilityBit::namespaces);
    parts.plan.uid = parts.options.daemon_uid;
    parts.plan.gid = parts.options.daemon_gid;
    parts.plan.changes_user = ::geteuid() == 0 && parts.plan.uid != 0;
}

// The best level this machine allows, tried from the top: what fails is noted and said.
class LevelFinder {
public:
    explicit LevelFinder(KeeperParts& parts) : parts_(parts) {}

    void run() {
        const bool is_root = ::geteuid() == 0;
        if (is_root) parts_.abilities |= bit(AbilityBit::root);
        if (is_root && parts_.options.level_max == Level::full && try_mounts(Privilege::root)) {
            parts_.plan.level = Level::full;
            parts_.plan.changes_user = true;
        } else if (parts_.options.level_max <= Level::user_namespace &&
                   try_mounts(Privilege::user)) {
            parts_.plan.level = Level::user_namespace;
        } else {
            run_without_namespaces(parts_);
        }
    }

private:
    bool try_mounts(Privilege privilege) {
        const auto& options = parts_.options;
        const int error = enter_own_mounts(privilege, options.function_uid, options.function_gid);
        if (error != 0) {
            note(fmt::format("no mount namespace: errno {}", error));
            return false;
        }
        // Folders are taken from the mounts as they are here, not as they were outside.
        parts_.data_folder = open_data_folder(options.data_folder);
        auto root = HostRoot::make(options.data_folder + "/keeper/root", parts_.runtime_folder);
        if (!root) {
            note(root.error().message());
            return false;
        }
        parts_.root = std::move(*root);
        parts_.plan.root = parts_.root->folder();
        return true;
    }
    KeeperParts& parts_;
};

// Whether a child may do this; nothing of it is left.
bool child_may(int unshare_flags) {
    const auto pid = ::fork();
    if (pid == 0) ::_exit(::unshare(unshare_flags) == 0 ? 0 : 1);
    int status = 1;
    ::waitpid(pid, &status, 0);
    return status == 0;
}

std::uint32_t namespace_abilities() {
    std::uint32_t bits = 0;
    const bool is_root = ::geteuid() == 0;
    const int with_user = is_root ? 0 : CLONE_NEWUSER;
    if (is_root) bits |= bit(AbilityBit::root);
    if (child_may(CLONE_NEWUSER)) bits |= bit(AbilityBit::user_namespace);
    if (child_may(with_user | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)) {
        bits |= bit(AbilityBit::namespaces);
    }
    if (child_may(with_user | CLONE_NEWNET)) bits |= bit(AbilityBit::network_namespace);
    return bits;
}

Result<KeeperParts> set_up(KeeperOptions options, const Clock& clock, rt::Fd& lock) {
    KeeperParts parts;
    auto folder = enter_folders(options, parts.runtime_folder);
    if (!folder) return fail(std::move(folder).error());
    parts.data_folder = std::move(*folder);
    auto locked = lock_folder(clock);
    if (!locked) return fail(std::move(locked).error());
    lock = std::move(*locked);
    write_to_own_log();
    remove_old_sockets();
    raise_soft_file_limit();
    parts.options = std::move(options);
    parts.signals = take_signals();
    auto listener = listen_for_daemons(parts.options);
    if (!listener) return fail(std::move(listener).error());
    parts.listener = std::move(*listener);
    SystemRandom random;
    parts.cgroups = Cgroups::find_with("groups", random);
    parts.abilities = namespace_abilities() | parts.cgroups.abilities();
    parts.plan.uid = parts.options.function_uid;
    parts.plan.gid = parts.options.function_gid;
    parts.plan.tmp_options =
        fmt::format("mode=1777,size={},nr_inodes=65536", parts.options.tmp_bytes);
    LevelFinder(parts).run();
    return parts;
}

int say_failure(int line, const Error& error) {
    note(error.message());
    Packet packet;
    packet.kind = static_cast<std::uint32_t>(PacketKind::refused);
    packet.errc = static_cast<std::uint32_t>(error.code());
    put_text(packet.text, error.message());
    if (line >= 0) (void)send_packet(line, bytes_of(packet), {});
    return error.code() == Errc::conflict ? kExitTaken : kExitFailed;
}

void leave_nothing(KeeperParts& parts) {
    parts.cgroups.remove_all();
    if (parts.root) {
        ::umount2("root", MNT_DETACH);
        ::rmdir("root");
    }
    ::unlink("control.sock");
}

// Reaps until `keeper` has ended; its wait status. SIGTERM is passed on to it.
int wait_for_keeper(int keeper, const sigset_t& awaited) {
    for (;;) {
        int number = 0;
        ::sigwait(&awaited, &number);
        if (number != SIGCHLD) ::kill(keeper, SIGTERM);
        int status = 0;
        // What a killed keeper leaves is ours to reap too.
        for (int pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
            if (pid == keeper) return status;
        }
    }
}

// Forks the keeper and, should it be killed, forks it anew; its orderly end is the guard's.
[[noreturn]] void guard(rt::Fd line, rt::Fd lock, const KeeperOptions& options) {
    constexpr int kRestartsMax = 100;
    // Out of the way of the places they go to.
    const int high_line = ::fcntl(line.get(), F_DUPFD, 16);
    const int high_lock = ::fcntl(lock.get(), F_DUPFD, 16);
    ::dup2(high_line, kLineFd);
    ::dup2(high_lock, kGuardLockFd);
    ::close_range(kGuardLockFd + 1, ~0u, 0);
    ::setsid();
    ::prctl(PR_SET_NAME, "fathom-guard");
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t awaited;
    ::sigemptyset(&awaited);
    for (int number : {SIGTERM, SIGINT, SIGCHLD}) ::sigaddset(&awaited, number);
    ::sigprocmask(SIG_SETMASK, &awaited, nullptr);
    ::signal(SIGCHLD, SIG_DFL);
    ::signal(SIGHUP, SIG_IGN);
    for (int starts = 0; starts < kRestartsMax; ++starts) {
        const auto keeper = ::fork();
        if (keeper == 0) ::_exit(keeper_main(starts == 0 ? kLineFd : -1, options));
        if (starts == 0) {
            // A terminal or pipe of the daemon's must not stay open because of us.
            const rt::Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
            for (int fd : {0, 1, 2, kLineFd}) {
                if (null) ::dup2(null.get(), fd);
            }
        }
        const int status = wait_for_keeper(keeper, awaited);
        if (WIFEXITED(status)) ::_exit(WEXITSTATUS(status));
    }
    ::_exit(kExitFailed);
}

// Held by the guard for life: one guard a folder.
// Errors: conflict     a guard has it
//         forbidden    not our folder
Result<rt::Fd> lock_guard(const std::string& data_folder) {
    const auto folder = (data_folder.empty() ? "." : data_folder) + "/keeper";
    if (::mkdir(folder.c_str(), 0711) == 0) ::chmod(folder.c_str(), 0711);
    rt::Fd lock(::open((folder + "/guard").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock) return fail_errno(Errc::forbidden, errno, "opening " + folder + "/guard");
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail(Errc::conflict, "another keeper is starting or stopping in {}", folder);
    }
    return lock;
}

// Whether the keeper at the other end takes us; nothing when it is just ending.
Result<std::optional<KeeperLine>> introduce(rt::Fd line) {
    pollfd watched{line.get(), POLLIN, 0};
    const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(kAnswerMax);
    if (::poll(&watched, 1, static_cast<int>(limit.count())) != 1) {
        return fail(Errc::unavailable, "the keeper does not answer");
    }
    std::array<char, sizeof(Packet)> bytes;
    const auto came = receive_packet(line.get(), bytes, MSG_DONTWAIT | MSG_PEEK);
    if (came.bytes == 0) return std::nullopt;
    const auto packet = parse_packet({bytes.data(), came.bytes});
    if (packet && packet->kind == static_cast<std::uint32_t>(PacketKind::refused)) {
        return fail(static_cast<Errc>(packet->errc), "{}", text_of(packet->text));
    }
    return KeeperLine{std::move(line), 0};
}

Result<KeeperLine> start_keeper(rt::Fd lock, const KeeperOptions& options) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return fail_errno(Errc::unavailable, errno, "making a line to the keeper");
    }
    KeeperLine line{rt::Fd(pair[0]), 0};
    rt::Fd theirs(pair[1]);
    const auto pid = ::fork();
    if (pid < 0) return fail_errno(Errc::unavailable, errno, "starting the keeper");
    if (pid == 0) guard(std::move(theirs), std::move(lock), options);
    line.guard_pid = static_cast<int>(pid);
    return line;
}

}  // namespace

int keeper_main(int line, KeeperOptions options) {
    static const SystemClock clock;
    if (line >= 0 && line != kLineFd) {
        ::dup2(line, kLineFd);
        line = kLineFd;
    }
    ::close_range(line >= 0 ? kLineFd + 1 : kLineFd, ~0u, 0);
    ::prctl(PR_SET_NAME, "fathom-keeper");
    ::umask(0022);
    rt::Fd lock;
    auto parts = set_up(std::move(options), clock, lock);
    if (!parts) return say_failure(line, parts.error());

    KeeperLoop loop(std::move(*parts), clock);
    if (auto tried = loop.try_cell(); !tried) {
        note("no sandbox: " + tried.error().message());
        run_without_namespaces(loop.parts());
        if (auto again = loop.try_cell(); !again) return say_failure(line, again.error());
    }
    loop.run(rt::Fd(line));
    leave_nothing(loop.parts());
    return kExitOrderly;
}

Abilities probe() {
    const auto pid = ::getpid();
    auto groups = Cgroups::find(fmt::format("probe-{}", pid));
    const auto bits = namespace_abilities() | groups.abilities();
    groups.remove_all();
    const auto level = !has_bit(bits, AbilityBit::namespaces) ? Level::process
                       : has_bit(bits, AbilityBit::root)      ? Level::full
                                                              : Level::user_namespace;
    return describe(level, bits);
}

Result<rt::Fd> connect_to_keeper(const std::string& data_folder) {
    rt::Fd folder(
        ::open(data_folder.empty() ? "." : data_folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return fail_errno(Errc::unavailable, errno, "opening the data folder");
    rt::Fd line(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!line) return fail_errno(Errc::unavailable, errno, "making a socket");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // The path of a socket is short; that of a data folder need not be.
    const auto path = fmt::format("/proc/self/fd/{}/keeper/control.sock", folder.get());
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(line.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        return fail_errno(Errc::unavailable, errno, "connecting to keeper/control.sock");
    }
    return line;
}

Result<KeeperLine> start_or_find_keeper(const KeeperOptions& options) {
    const SystemClock clock;
    const auto limit = clock.now() + kLockMax;
    for (;;) {
        if (auto found = connect_to_keeper(options.data_folder)) {
            auto taken = introduce(std::move(*found));
            if (!taken) return fail(std::move(taken).error());
            if (*taken) return std::move(**taken);
        }
        auto lock = lock_guard(options.data_folder);
        if (lock) return start_keeper(std::move(*lock), options);
        if (lock.error().code() != Errc::conflict || clock.now() >= limit) {
            return fail(std::move(lock).error());
        }
        ::poll(nullptr, 0, 2);  // its keeper is on its way up or down
    }
}

}  // namespace fathom::sandbox
