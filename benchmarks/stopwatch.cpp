// The floors that ./bench compares with, and the clock it measures both sides with. Prints one
// figure a line.
//
//   stopwatch spawn SECONDS PROGRAM...       plain posix_spawn and wait, over and over: runs a
//   second stopwatch calls SECONDS SOCKET           the same number of calls over one connection:
//   calls a second stopwatch start FOLDER TARGET PROGRAM... posix_spawn of a function (socket as
//   descriptor 3, in
//                                            FOLDER) until it has answered GET TARGET: microseconds
//   stopwatch first HOST PORT TARGET         one call to a gateway until it is answered:
//   microseconds
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

extern char** environ;

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void give_up(const char* what) {
    std::perror(what);
    std::exit(1);
}

double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

sockaddr_un unix_address(const char* path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::string_view(path).copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
}

int connect_unix(const char* path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto address = unix_address(path);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        give_up(path);
    }
    return fd;
}

// Sends a request and reads the whole answer (it has a length, or is chunked); its status.
int ask(int fd, const std::string& request) {
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) give_up("send");
    std::string answer;
    char bytes[65536];
    for (;;) {
        const auto count = ::recv(fd, bytes, sizeof bytes, 0);
        if (count <= 0) give_up("recv");
        answer.append(bytes, static_cast<std::size_t>(count));
        const auto end = answer.find("\r\n\r\n");
        if (end == std::string::npos) continue;
        const auto length = ::strcasestr(answer.c_str(), "\r\ncontent-length:");
        const bool is_whole =
            length != nullptr && length < answer.c_str() + end
                ? answer.size() - end - 4 >= std::strtoul(length + 17, nullptr, 10)
                : answer.ends_with("0\r\n\r\n");
        if (is_whole) return std::atoi(answer.c_str() + 9);
    }
}

std::string get(std::string_view target) {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: bench\r\n\r\n";
}

void spawn_loop(double seconds, char** program) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    unsigned runs = 0;
    const auto start = Clock::now();
    for (; since(start) < seconds; ++runs) {
        pid_t pid = 0;
        if (::posix_spawn(&pid, program[0], &actions, nullptr, program, environ) != 0) {
            give_up(program[0]);
        }
        ::waitpid(pid, nullptr, 0);
    }
    std::printf("%.1f\n", runs / since(start));
}

void call_loop(double seconds, const char* path) {
    const int fd = connect_unix(path);
    const auto request = get("/");
    unsigned calls = 0;
    const auto start = Clock::now();
    for (; since(start) < seconds; ++calls) {
        if (ask(fd, request) != 200) give_up("the answer is not 200");
    }
    std::printf("%.1f\n", calls / since(start));
}

void time_start(const char* folder, const char* target, char** program) {
    const std::string path = "/tmp/fathom-bench-" + std::to_string(::getpid());
    const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const auto address = unix_address(path.c_str());
    if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener, 8) != 0) {
        give_up("bind");
    }
    ::dup2(listener, 3);
    if (listener != 3) ::close(listener);
    ::setenv("FATHOM_LISTEN_FD", "3", 1);
    ::setenv("LISTEN_FDS", "1", 1);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);

    const auto start = Clock::now();
    pid_t pid = 0;
    if (::posix_spawnp(&pid, program[0], &actions, nullptr, program, environ) != 0) {
        give_up(program[0]);
    }
    ::close(3);  // a program that dies refuses instead of hanging
    const int fd = connect_unix(path.c_str());
    const int status = ask(fd, get(target));
    const double took = since(start);
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    ::unlink(path.c_str());
    if (status != 200) give_up("the answer is not 200");
    std::printf("%.1f\n", took * 1e6);
}

void time_first(const char* host, const char* port, const char* target) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
    ::inet_pton(AF_INET, host, &address.sin_addr);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        give_up("connect");
    const auto start = Clock::now();
    const int status = ask(fd, get(target));
    const double took = since(start);
    if (status != 200) {
        std::fprintf(stderr, "the answer is %d, not 200\n", status);
        std::exit(1);
    }
    std::printf("%.1f\n", took * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view verb = argc > 1 ? argv[1] : "";
    if (verb == "spawn" && argc >= 4) {
        spawn_loop(std::atof(argv[2]), argv + 3);
    } else if (verb == "calls" && argc == 4) {
        call_loop(std::atof(argv[2]), argv[3]);
    } else if (verb == "start" && argc >= 5) {
        time_start(argv[2], argv[3], argv + 4);
    } else if (verb == "first" && argc == 5) {
        time_first(argv[2], argv[3], argv[4]);
    } else {
        std::fputs("usage: stopwatch spawn|calls|start|first ...\n", stderr);
        return 2;
    }
}
