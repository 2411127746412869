#include "watchdog/watchdog.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <string_view>

#include "watchdog/config.h"
#include "watchdog/forking.h"
#include "watchdog/proxying.h"
#include "watchdog/server.h"
#include "watchdog/text.h"

namespace fathom::watchdog {
namespace {

constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

int complain(std::string_view sentence) {
    write_all(2, "fathom-watchdog: " + std::string(sentence) + "\n");
    return kFailed;
}

// Descriptors 0, 1 and 2 are always something: what we open later must not land there.
void fill_standard_descriptors() {
    for (int fd = ::open("/dev/null", O_RDWR); fd >= 0; fd = ::open("/dev/null", O_RDWR)) {
        if (fd > 2) {
            ::close(fd);
            return;
        }
    }
}

// A large body must not stay with us as free memory: it is mapped, and unmapped, on its own.
void keep_memory_small() {
    ::mallopt(M_MMAP_THRESHOLD, 64 * 1024);
    ::mallopt(M_TRIM_THRESHOLD, 64 * 1024);
    ::mallopt(M_TOP_PAD, 16 * 1024);
}

int run_health_check(const Environment& environment) {
    std::string folder(environment.get("TMPDIR"));
    const auto lock = (folder.empty() ? "/tmp" : folder) + "/.lock";
    if (::access(lock.c_str(), F_OK) == 0) return kOk;
    write_all(2, "unable to find lock file.\n");
    return kFailed;
}

int serve(Loop& loop, const Config& config, Log& log, const Environment& environment) {
    int exit_code = kOk;
    const auto on_death = [&loop, &exit_code] {
        exit_code = kFailed;
        loop.stop();
    };
    std::unique_ptr<Function> function;
    if (config.mode == Mode::http) {
        function = std::make_unique<ProxyingFunction>(loop, config, log, environment, on_death);
    } else {
        function = std::make_unique<ForkingFunction>(loop, config, log, environment);
    }
    Server server(loop, config, log, *function);
    loop.on_terminate([&server] { server.terminate(); });

    // Before anything is forked: a function that held the socket too would keep callers waiting
    // after we are gone.
    if (config.listen_fd >= 0) ::fcntl(config.listen_fd, F_SETFD, FD_CLOEXEC);
    if (const auto started = function->start(); !started) {
        return complain(started.error().message());
    }
    if (const auto opened = server.open(); !opened) return complain(opened.error().message());
    loop.run();
    return exit_code;
}

}  // namespace

int run(std::span<const char* const> arguments, std::span<const char* const> entries,
        const Clock& clock) {
    const Environment environment(entries);
    if (!arguments.empty()) {
        const std::string_view flag = arguments.front();
        if (flag == "-version" || flag == "--version") {
            write_all(1, "fathom-watchdog " FATHOM_VERSION "\n");
            return kOk;
        }
        if (flag == "-run-healthcheck" || flag == "--run-healthcheck") {
            return run_health_check(environment);
        }
        complain("\"" + std::string(flag) +
                 "\" is not a flag; accepted: -version, -run-healthcheck");
        return kUsage;
    }

    keep_memory_small();
    fill_standard_descriptors();
    const auto config = read_config(environment, ::getpid());
    if (!config) return complain(config.error().message());
    Log log(clock, 2);
    for (const auto& warning : config->warnings) log.line(warning);
    raise_file_limit();
    Loop loop(clock);
    if (const auto opened = loop.open(); !opened) return complain(opened.error().message());
    return serve(loop, *config, log, environment);
}

}  // namespace fathom::watchdog
