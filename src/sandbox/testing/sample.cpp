// The program the tests launch: does what its first argument says.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

extern char** environ;

namespace {

// Answers every request on every connection, one at a time, and ends on SIGTERM.
int serve(const char* status) {
    signal(SIGTERM, [](int) { _exit(0); });
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        const int connection = accept(3, nullptr, nullptr);
        if (connection < 0) continue;
        char request[4096];
        while (read(connection, request, sizeof request) > 0) {
            char answer[256];
            const int size = snprintf(answer, sizeof answer,
                                      "HTTP/1.1 %s\r\nContent-Length: 6\r\n\r\nhello\n", status);
            if (write(connection, answer, static_cast<size_t>(size)) < 0) break;
        }
        close(connection);
    }
}

bool may_write(const char* path) {
    const int file = open(path, O_WRONLY | O_CREAT, 0644);
    if (file >= 0) close(file);
    return file >= 0;
}

// What it can see of itself and of the host.
int look() {
    char cwd[256] = "?";
    char host[256] = "?";
    (void)!getcwd(cwd, sizeof cwd);
    gethostname(host, sizeof host);
    printf("pid=%d ppid=%d uid=%u gid=%u\n", getpid(), getppid(), getuid(), getgid());
    printf("cwd=%s host=%s\n", cwd, host);
    printf("no_new_privs=%d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    printf("write_tmp=%d write_function=%d write_root=%d write_usr=%d\n", may_write("/tmp/x"),
           may_write("/home/app/function/x"), may_write("/x"), may_write("/usr/x"));
    printf("sees_host_home=%d sees_shadow=%d\n", access("/root", F_OK) == 0,
           access("/etc/shadow", F_OK) == 0);
    struct stat opened{};
    for (int fd = 4; fd < 256; ++fd) {
        if (fstat(fd, &opened) == 0) printf("open_fd=%d\n", fd);
    }
    FILE* status = fopen("/proc/self/status", "r");
    char line[256];
    while (status != nullptr && fgets(line, sizeof line, status) != nullptr) {
        if (strncmp(line, "CapPrm", 6) == 0 || strncmp(line, "CapBnd", 6) == 0) fputs(line, stdout);
    }
    for (char** variable = environ; *variable != nullptr; ++variable) printf("env %s\n", *variable);
    return 0;
}

int eat_memory() {
    constexpr size_t kPiece = 1 << 20;
    for (;;) {
        auto* piece = static_cast<volatile char*>(malloc(kPiece));
        for (size_t i = 0; piece != nullptr && i < kPiece; i += 4096) piece[i] = 1;
    }
}

}  // namespace

int main(int count, char** arguments) {
    const std::string_view what = count > 1 ? arguments[1] : "serve";
    setvbuf(stdout, nullptr, _IOLBF, 0);
    if (what == "serve") return serve("200 OK");
    if (what == "unready") {
        puts("the database is not there");
        return serve("503 Service Unavailable");
    }
    if (what == "look") return look();
    if (what == "exit") return atoi(arguments[2]);
    if (what == "abort") abort();
    if (what == "eat") return eat_memory();
    if (what == "crash") {
        puts("cannot find config.json");
        return 7;
    }
    if (what == "stubborn") {
        signal(SIGTERM, SIG_IGN);
        if (fork() == 0) setsid();
        puts("ready");
        for (;;) pause();
    }
    if (what == "polite") {
        signal(SIGTERM, [](int) {
            (void)!write(1, "bye\n", 4);
            _exit(0);
        });
        puts("ready");
        for (;;) pause();
    }
    return 64;
}
