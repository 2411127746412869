#include "sandbox/cell.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace fathom::sandbox {
namespace {

constexpr int kLineFd = 3;  // in the first process; the program finds its listener there
constexpr int kSignalFd = 4;
constexpr int kListenerFd = 3;  // docs/function-contract.md
constexpr int kReportFd = 4;    // in the new process, until it executes the program

[[noreturn]] void end_process(int status) {
    ::syscall(SYS_exit_group, status);
    __builtin_unreachable();
}

void report(int line, CellReport::Kind kind, int value, const char* step = "") {
    CellReport message;
    message.kind = kind;
    message.value = value;
    std::strncpy(message.step.data(), step, message.step.size() - 1);
    (void)!::send(line, &message, sizeof message, MSG_NOSIGNAL);
}

bool is_root_changed(Level level) {
    return level != Level::process;
}

// Files of /proc that tell of the host or steer it; the rest is guarded by the missing privileges.
constexpr std::array kHiddenFiles = {"proc/kcore", "proc/keys", "proc/timer_list",
                                     "proc/sysrq-trigger", "proc/latency_stats"};
constexpr std::array kHiddenFolders = {"proc/acpi", "proc/scsi", "proc/bus", "proc/fs", "proc/irq"};

// The first process of one cell. Its functions answer null, or the step that failed (and errno).
class FirstProcess {
public:
    FirstProcess(const CellPlan& plan, std::span<const rt::Fd> groups)
        : plan_(plan), groups_(groups) {}

    [[noreturn]] void run(int line) {
        if (const char* failed = prepare(line)) {
            report(line, CellReport::not_prepared, errno, failed);
            end_process(1);
        }
        report(kLineFd, CellReport::prepared, 0);
        for (;;) wait_and_serve();
    }

private:
    const char* prepare(int line) {
        // The keeper's end is the end of everything it keeps.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::prctl(PR_SET_NAME, "fathom-cell");
        for (const auto& group : groups_) {
            if (::write(group.get(), "0", 1) != 1) return "joining a cgroup";
        }
        if (::dup2(line, kLineFd) < 0) return "placing the line";
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, nullptr);
        sigset_t child;
        ::sigemptyset(&child);
        ::sigaddset(&child, SIGCHLD);
        const int signals = ::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
        if (signals < 0 || ::dup2(signals, kSignalFd) < 0) return "watching for children";
        ::close_range(kSignalFd + 1, ~0u, 0);
        const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0) return "opening /dev/null";
        for (int fd : {0, 1, 2}) ::dup2(null, fd);
        ::close(null);
        ::prctl(PR_SET_DUMPABLE, 0);
        if (!is_root_changed(plan_.level)) {
            ::prctl(PR_SET_CHILD_SUBREAPER, 1);
            return nullptr;
        }
        if (const char* failed = mount_all()) return failed;
        for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
            ::prctl(PR_CAPBSET_DROP, capability);
        }
        return nullptr;
    }

    const char* mount_all() const {
        constexpr unsigned long kQuiet = MS_NOSUID | MS_NODEV;
        if (::chdir(plan_.root.c_str()) != 0) return "entering the root of the sandbox";
        if (::mount("tmp", "tmp", "tmpfs", kQuiet, plan_.tmp_options.c_str()) != 0) {
            return "mounting /tmp";
        }
        if (::mount("shm", "dev/shm", "tmpfs", kQuiet, plan_.tmp_options.c_str()) != 0) {
            return "mounting /dev/shm";
        }
        if (::mount("proc", "proc", "proc", kQuiet | MS_NOEXEC, nullptr) != 0) {
            return "mounting /proc";
        }
        for (const char* path : kHiddenFiles) {
            ::mount("dev/null", path, nullptr, MS_BIND, nullptr);
        }
        for (const char* path : kHiddenFolders) {
            ::mount("hidden", path, "tmpfs", kQuiet | MS_RDONLY, "size=0,mode=0555");
        }
        if (::mount("proc/sys", "proc/sys", nullptr, MS_BIND, nullptr) == 0) {
            ::mount(nullptr, "proc/sys", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kQuiet,
                    nullptr);
        }
        mount_attr attributes{};
        attributes.attr_set = MOUNT_ATTR_RDONLY;
        if (::syscall(SYS_mount_setattr, AT_FDCWD, ".", 0, &attributes, sizeof attributes) != 0) {
            return "making the root read-only";
        }
        if (::syscall(SYS_pivot_root, ".", ".") != 0) return "changing the root";
        if (::umount2(".", MNT_DETACH) != 0) return "letting the host's files go";
        return ::chdir("/") != 0 ? "entering the new root" : nullptr;
    }

    void wait_and_serve() {
        pollfd watched[] = {{kLineFd, POLLIN, 0}, {kSignalFd, POLLIN, 0}};
        if (::poll(watched, 2, -1) < 0) return;
        if (watched[1].revents != 0) reap();
        if (watched[0].revents != 0) take_order();
    }

    void take_order() {
        CellOrder order;
        const auto came =
            receive_packet(kLineFd, {reinterpret_cast<char*>(&order), sizeof order}, MSG_DONTWAIT);
        if (came.error == EAGAIN || came.error == EINTR) return;
        if (came.bytes != sizeof order) end_everything();
        if (order.kind == CellOrder::signal && child_ > 0) ::kill(child_, order.signal_number);
        if (order.kind != CellOrder::run) return;
        if (const char* failed = start(order, came)) {
            report(kLineFd, CellReport::not_started, errno, failed);
            end_everything();
        }
    }

    const char* start(const CellOrder& order, const Received& came) {
        const std::size_t expected = order.has_secrets != 0 ? 5 : 4;
        errno = EPROTO;
        if (came.fd_count != expected || child_ > 0) return "reading the order";
        fds_ = came.fds;
        if (const char* failed = read_program()) return failed;
        if (is_root_changed(plan_.level)) {
            if (const char* failed = open_up(order)) return failed;
        } else if (::fchdir(fds_[CellFd::files]) != 0) {
            return "entering the function's folder";
        }
        limit_resources(order);
        listen_pid_place();
        child_ = fork_program();
        if (child_ < 0) return "forking";
        ::close_range(kSignalFd + 1, ~0u, 0);
        // From here on this process needs nothing but to signal the program.
        if (is_root_changed(plan_.level)) drop_privileges();
        return nullptr;
    }

    const char* read_program() {
        struct stat file{};
        if (::fstat(fds_[CellFd::program], &file) != 0) return "reading the program";
        const auto size = static_cast<std::size_t>(file.st_size);
        void* bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fds_[CellFd::program], 0);
        if (bytes == MAP_FAILED) return "reading the program";
        errno = EINVAL;
        return parse_program({static_cast<const char*>(bytes), size}, program_);
    }

    // Adds what this one replica sees to the prepared sandbox.
    const char* open_up(const CellOrder& order) const {
        const auto attach = [](int tree, const char* path) {
            return ::syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) ==
                   0;
        };
        if (!attach(fds_[CellFd::files], "/home/app/function")) return "mounting the function";
        if (order.has_secrets != 0 && !attach(fds_[CellFd::secrets], "/var/openfaas/secrets")) {
            return "mounting the secrets";
        }
        ::sethostname(order.hostname.data(), ::strnlen(order.hostname.data(), 64));
        if (order.egress == static_cast<std::uint32_t>(Egress::none)) {
            if (::unshare(CLONE_NEWNET) != 0) return "making a network namespace";
            bring_loopback_up();
        }
        return ::chdir("/home/app/function") != 0 ? "entering /home/app/function" : nullptr;
    }

    static void bring_loopback_up() {
        const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (socket < 0) return;
        ifreq request{};
        std::memcpy(request.ifr_name, "lo", 3);
        request.ifr_flags = IFF_UP | IFF_RUNNING;
        ::ioctl(socket, SIOCSIFFLAGS, &request);
        ::close(socket);
    }

    // Hard limits are only ever lowered: a container may lack the right to raise them again.
    static void limit_resources(const CellOrder& order) {
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        rlimit files{};
        if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
            files.rlim_cur = files.rlim_max < 65536 ? files.rlim_max : 65536;
            ::setrlimit(RLIMIT_NOFILE, &files);
        }
        rlimit data{};
        if (order.data_bytes_max > 0 && ::getrlimit(RLIMIT_DATA, &data) == 0 &&
            order.data_bytes_max < data.rlim_max) {
            data = {order.data_bytes_max, order.data_bytes_max};
            ::setrlimit(RLIMIT_DATA, &data);
        }
    }

    void listen_pid_place() {
        std::memcpy(listen_pid_.data(), "LISTEN_PID=", 11);
        program_.environment[program_.variable_count] = listen_pid_.data();
        program_.environment[program_.variable_count + 1] = nullptr;
    }

    int fork_program() {
        // Shares memory until the program runs, as vfork does: no page tables are copied. The
        // sanitizers cannot follow that.
#ifdef FATHOM_SANITIZED
        const auto pid = static_cast<int>(::fork());
#else
        const auto pid = static_cast<int>(::vfork());  // NOLINT(*-unsafe-functions,*vfork*,*Vfork*)
#endif
        if (pid == 0) execute();  // NOLINT(*Vfork*): raw system calls, then execve or the end
        return pid;
    }

    // In the new process.
    [[noreturn]] void execute() {
        ::dup2(kLineFd, kReportFd);
        ::fcntl(kReportFd, F_SETFD, FD_CLOEXEC);
        ::dup2(fds_[CellFd::log], 1);
        ::dup2(fds_[CellFd::log], 2);
        ::dup2(fds_[CellFd::listener], kListenerFd);
        ::close_range(kReportFd + 1, ~0u, 0);
        ::syscall(SYS_setsid);
        put_pid(static_cast<unsigned>(::syscall(SYS_getpid)));
        const bool must_drop = is_root_changed(plan_.level) || plan_.changes_user;
        if (must_drop && !drop_privileges()) {
            report(kReportFd, CellReport::not_started, errno, "dropping privileges");
            end_process(127);
        }
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (!is_root_changed(plan_.level)) ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        reset_signals();
        search_and_execute();
        report(kReportFd, CellReport::not_started, errno, program_.arguments[0]);
        end_process(127);
    }

    static void reset_signals() {
        for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
    }

    bool drop_privileges() const {
        if (plan_.changes_user) {
            if (::syscall(SYS_setgroups, 0, nullptr) != 0) return false;
            if (::syscall(SYS_setresgid, plan_.gid, plan_.gid, plan_.gid) != 0) return false;
            if (::syscall(SYS_setresuid, plan_.uid, plan_.uid, plan_.uid) != 0) return false;
        }
        ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
        const __user_cap_data_struct none[2] = {};
        if (::syscall(SYS_capset, &header, none) != 0) return false;
        // Changing the user cleared both.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::prctl(PR_SET_DUMPABLE, 0);
        return true;
    }

    void put_pid(unsigned pid) {
        std::array<char, 12> digits{};
        std::size_t count = 0;
        do {
            digits[count++] = static_cast<char>('0' + pid % 10);
            pid /= 10;
        } while (pid != 0);
        char* to = listen_pid_.data() + 11;
        while (count > 0) *to++ = digits[--count];
        *to = '\0';
    }

    // As execvp: a name without a slash is looked for in PATH.
    void search_and_execute() {
        auto* arguments = const_cast<char**>(program_.arguments.data());
        auto* environment = const_cast<char**>(program_.environment.data());
        const char* name = program_.arguments[0];
        if (std::strchr(name, '/') != nullptr) {
            ::execve(name, arguments, environment);
            return;
        }
        int worst = ENOENT;
        const auto name_length = std::strlen(name);
        for (const char* at = search_path(); *at != '\0';) {
            const auto length = static_cast<std::size_t>(::strchrnul(at, ':') - at);
            if (length > 0 && length + name_length + 2 < candidate_.size()) {
                std::memcpy(candidate_.data(), at, length);
                candidate_[length] = '/';
                std::memcpy(candidate_.data() + length + 1, name, name_length + 1);
                ::execve(candidate_.data(), arguments, environment);
                if (errno != ENOENT && errno != ENOTDIR) worst = errno;
            }
            at += length + (at[length] == ':' ? 1 : 0);
        }
        errno = worst;
    }

    const char* search_path() const {
        for (std::size_t i = 0; i < program_.variable_count; ++i) {
            if (std::strncmp(program_.environment[i], "PATH=", 5) == 0) {
                return program_.environment[i] + 5;
            }
        }
        return "/usr/local/bin:/usr/bin:/bin";
    }

    void reap() {
        signalfd_siginfo ignored;
        while (::read(kSignalFd, &ignored, sizeof ignored) > 0) {
        }
        for (;;) {
            int status = 0;
            const auto pid = ::waitpid(-1, &status, WNOHANG);
            if (pid <= 0) return;
            if (pid != child_) continue;
            report(kLineFd, CellReport::ended, status);
            end_everything();
        }
    }

    // The end of the first process is the end of the PID namespace. Without one, whatever the
    // program started has become our child and is killed one by one.
    [[noreturn]] void end_everything() const {
        if (is_root_changed(plan_.level)) end_process(0);
        if (child_ > 0) ::kill(-child_, SIGKILL);
        for (int round = 0; round < 1000; ++round) {
            if (!kill_children() && ::waitpid(-1, nullptr, WNOHANG) < 0) break;
            while (::waitpid(-1, nullptr, WNOHANG) > 0) {
            }
        }
        end_process(0);
    }

    static bool kill_children() {
        const int file = ::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        if (file < 0) return false;
        std::array<char, 4096> text{};
        const auto got = ::read(file, text.data(), text.size() - 1);
        ::close(file);
        int pid = 0;
        bool has_any = false;
        for (ssize_t i = 0; i < got; ++i) {
            const char c = text[static_cast<std::size_t>(i)];
            if (c >= '0' && c <= '9') {
                pid = pid * 10 + (c - '0');
                continue;
            }
            if (pid > 1) ::kill(pid, SIGKILL);
            has_any |= pid > 1;
            pid = 0;
        }
        return has_any;
    }

    const CellPlan& plan_;
    std::span<const rt::Fd> groups_;
    int child_ = 0;
    std::array<int, kCellFdsMax> fds_{};
    Program program_;
    std::array<char, 24> listen_pid_{};
    std::array<char, 4096> candidate_{};
};

}  // namespace

Result<CellStart> start_cell(const CellPlan& plan, std::span<const rt::Fd> groups) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return fail_errno(Errc::unavailable, errno, "making a line to a sandbox");
    }
    CellStart cell;
    cell.line = rt::Fd(pair[0]);
    rt::Fd inner(pair[1]);
    FirstProcess first(plan, groups);

    int pidfd = -1;
    clone_args how{};
    how.flags = CLONE_PIDFD;
    if (is_root_changed(plan.level)) {
        how.flags |= CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
    }
    how.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    how.exit_signal = SIGCHLD;
    const auto pid = ::syscall(SYS_clone3, &how, sizeof how);
    if (pid < 0) return fail_errno(Errc::unavailable, errno, "starting a sandbox");
    if (pid == 0) first.run(inner.get());
    cell.pid = static_cast<int>(pid);
    cell.pidfd = rt::Fd(pidfd);
    return cell;
}

}  // namespace fathom::sandbox
