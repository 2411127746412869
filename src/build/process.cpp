#include "build/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "rt/socket.h"

namespace fathom::build {
namespace {

constexpr std::size_t kOutputBytesMax = 256UL * 1024;

// What the child starts with: nothing to read, one pipe for both outputs.
class SpawnActions {
public:
    SpawnActions() { ::posix_spawn_file_actions_init(&actions_); }
    SpawnActions(const SpawnActions&) = delete;
    SpawnActions& operator=(const SpawnActions&) = delete;
    ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }

    void set_up(int output, const std::string& folder) {
        ::posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
        ::posix_spawn_file_actions_adddup2(&actions_, output, 1);
        ::posix_spawn_file_actions_adddup2(&actions_, output, 2);
        if (!folder.empty()) ::posix_spawn_file_actions_addchdir_np(&actions_, folder.c_str());
    }
    const posix_spawn_file_actions_t* get() const { return &actions_; }

private:
    posix_spawn_file_actions_t actions_{};
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> list;
    list.reserve(texts.size() + 1);
    for (auto& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
}

// Until the last writer is gone; keeps the end, which says what went wrong.
std::string read_output(int fd) {
    std::string output;
    std::array<char, 16UL * 1024> buffer{};
    for (;;) {
        const auto got = ::read(fd, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return output;
        output.append(buffer.data(), static_cast<std::size_t>(got));
        if (output.size() > 2 * kOutputBytesMax) output.erase(0, output.size() - kOutputBytesMax);
    }
}

class PosixLauncher final : public ProcessLauncher {
public:
    explicit PosixLauncher(std::vector<std::string> environment)
        : environment_(std::move(environment)) {}

    Result<Outcome> run(const Command& command) override {
        std::array<int, 2> pipe{};
        if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
            return fail_errno(Errc::unavailable, errno, "cannot make a pipe");
        const rt::Fd read_end(pipe[0]);
        rt::Fd write_end(pipe[1]);

        SpawnActions actions;
        actions.set_up(write_end.get(), command.folder);
        auto words = command.argv;
        const auto argv = pointers(words);
        const auto environment = pointers(environment_);
        pid_t pid = 0;
        const int error =
            ::posix_spawnp(&pid, argv[0], actions.get(), nullptr, argv.data(), environment.data());
        if (error == ENOENT)
            return fail(Errc::not_found, "the program \"{}\" is not installed", command.argv[0]);
        if (error != 0)
            return fail_errno(Errc::unavailable, error,
                              fmt::format("cannot start \"{}\"", command.argv[0]));
        write_end = {};

        Outcome outcome{.exit_code = 0, .output = read_output(read_end.get())};
        int status = 0;
        while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return outcome;
    }

private:
    std::vector<std::string> environment_;
};

}  // namespace

std::unique_ptr<ProcessLauncher> make_process_launcher(std::vector<std::string> environment) {
    return std::make_unique<PosixLauncher>(std::move(environment));
}

}  // namespace fathom::build
