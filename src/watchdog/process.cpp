#include "watchdog/process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace fathom::watchdog {
namespace {

// The soft limit before we raised it; children get it back.
rlimit original_file_limit{};
bool has_raised_file_limit = false;

// Enough for the few calls of run_child(); one is enough, since clone() returns after the exec.
alignas(16) char child_stack[16 * 1024];

struct Launch {
    const char* program;
    char* const* arguments;
    char* const* environment;
    Stdio stdio;
    Parting parting;
    pid_t parent;
    int failure;  // errno of what went wrong, written by the child into our memory
};

// Runs on our memory while we are suspended: system calls only, nothing that allocates or locks.
int run_child(void* argument) {
    auto& launch = *static_cast<Launch*>(argument);
    const auto& [in, out, err] = launch.stdio;
    if (launch.parting == Parting::dies_too) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != launch.parent) _exit(127);
    }
    // dup2() of a descriptor to itself would leave it close-on-exec; ours are never below 3, but
    // for "as it is".
    const bool is_wired = (in == 0 || dup2(in, 0) >= 0) && (out == 1 || dup2(out, 1) >= 0) &&
                          (err == 2 || dup2(err, 2) >= 0);
    if (has_raised_file_limit) setrlimit(RLIMIT_NOFILE, &original_file_limit);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    if (is_wired) execve(launch.program, launch.arguments, launch.environment);
    launch.failure = errno;
    _exit(127);
}

bool is_program(const std::string& path) {
    struct stat facts{};
    return ::stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) &&
           ::access(path.c_str(), X_OK) == 0;
}

// strerror() in Go's spelling: lower case at the beginning.
std::string error_text(int error_number) {
    std::string text = ::strerror(error_number);
    if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = char(text[0] - 'A' + 'a');
    return text;
}

std::string signal_text(int number) {
    switch (number) {
        case SIGHUP:
            return "hangup";
        case SIGINT:
            return "interrupt";
        case SIGQUIT:
            return "quit";
        case SIGILL:
            return "illegal instruction";
        case SIGTRAP:
            return "trace/breakpoint trap";
        case SIGABRT:
            return "aborted";
        case SIGBUS:
            return "bus error";
        case SIGFPE:
            return "floating point exception";
        case SIGKILL:
            return "killed";
        case SIGUSR1:
            return "user defined signal 1";
        case SIGSEGV:
            return "segmentation fault";
        case SIGUSR2:
            return "user defined signal 2";
        case SIGPIPE:
            return "broken pipe";
        case SIGALRM:
            return "alarm clock";
        case SIGTERM:
            return "terminated";
        default:
            return "signal " + std::to_string(number);
    }
}

}  // namespace

Command::Command(std::vector<std::string> words, std::string search_path)
    : words_(std::move(words)), search_path_(std::move(search_path)) {
    for (auto& word : words_) arguments_.push_back(word.data());
    arguments_.push_back(nullptr);
}

Result<> Command::look_up() {
    const auto& name = words_.front();
    if (name.find('/') != std::string::npos) {
        program_ = name;
        return {};
    }
    std::string_view rest = search_path_;
    for (bool has_more = !name.empty(); has_more;) {
        const auto colon = rest.find(':');
        std::string path(rest.substr(0, colon));
        path += path.empty() ? "./" : "/";
        path += name;
        if (is_program(path)) {
            program_ = std::move(path);
            return {};
        }
        has_more = colon != std::string_view::npos;
        if (has_more) rest.remove_prefix(colon + 1);
    }
    return fail(
        Error(Errc::not_found, "exec: \"" + name + "\": executable file not found in $PATH"));
}

Result<pid_t> Command::start(char* const* environment, const Stdio& stdio, Parting parting) {
    if (program_.empty()) {
        if (const auto found = look_up(); !found) return fail(found.error());
    }
    Launch launch{.program = program_.c_str(),
                  .arguments = arguments_.data(),
                  .environment = environment,
                  .stdio = stdio,
                  .parting = parting,
                  .parent = getpid(),
                  .failure = 0};
    const pid_t pid = ::clone(run_child, child_stack + sizeof child_stack,
                              CLONE_VM | CLONE_VFORK | SIGCHLD, &launch);
    const int failure = pid < 0 ? errno : launch.failure;
    if (failure == 0) return pid;

    if (pid > 0) waitpid(pid, nullptr, 0);
    auto error = Error(Errc::unavailable, "fork/exec " + program_ + ": " + error_text(failure));
    program_.clear();  // it may have moved; the next call looks again
    return fail(std::move(error));
}

void raise_file_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
    original_file_limit = limit;
    limit.rlim_cur = limit.rlim_max;
    has_raised_file_limit = setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

rlim_t file_limit() {
    rlimit limit{};
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

std::string exit_text(int status) {
    if (WIFSIGNALED(status)) {
        return "signal: " + signal_text(WTERMSIG(status)) +
               (WCOREDUMP(status) ? " (core dumped)" : "");
    }
    const int code = WEXITSTATUS(status);
    return code == 0 ? std::string() : "exit status " + std::to_string(code);
}

}  // namespace fathom::watchdog
