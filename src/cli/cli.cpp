#include "cli/cli.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "cli/commands.h"
#include "rt/socket.h"

namespace fathom::cli {
namespace {

// The terminal itself, even when standard input is something else; its echo is off for as long.
class SilentTerminal {
public:
    SilentTerminal() : fd_(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)) {
        if (!fd_ || ::tcgetattr(fd_.get(), &before_) != 0) {
            fd_ = {};
            return;
        }
        auto silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG);
        silent.c_cc[VEOL] = kControlC;  // ends the line instead of us, so that the echo comes back
        ::tcsetattr(fd_.get(), TCSAFLUSH, &silent);
    }
    SilentTerminal(const SilentTerminal&) = delete;
    SilentTerminal& operator=(const SilentTerminal&) = delete;
    ~SilentTerminal() {
        if (fd_) ::tcsetattr(fd_.get(), TCSAFLUSH, &before_);
    }

    std::optional<std::string> ask(std::string_view prompt) {
        if (!fd_) return {};
        write(prompt);
        std::array<char, 4096> line{};
        ssize_t got = 0;
        while ((got = ::read(fd_.get(), line.data(), line.size())) < 0 && errno == EINTR) {
        }
        write("\n");
        if (got <= 0) return {};
        const std::string_view text(line.data(), static_cast<std::size_t>(got));
        if (text.find(static_cast<char>(kControlC)) != std::string_view::npos) return {};
        return std::string(text.substr(0, text.find('\n')));
    }

private:
    static constexpr cc_t kControlC = 3;

    void write(std::string_view text) {
        if (::write(fd_.get(), text.data(), text.size()) < 0) fd_ = {};
    }
    rt::Fd fd_;
    termios before_{};
};

std::optional<std::string> look_up(const std::vector<std::string>& environment,
                                   std::string_view name) {
    for (const auto& entry : environment) {
        const auto equals = entry.find('=');
        if (std::string_view(entry).substr(0, equals) == name && equals != std::string::npos)
            return entry.substr(equals + 1);
    }
    return {};
}

}  // namespace

int run(const std::vector<std::string>& arguments, Ports& ports) {
    return parse_and_run(arguments, ports);
}

int run(const std::vector<std::string>& arguments, const Program& program) {
    const SystemClock clock;
    const auto transport = make_http_transport();
    const auto launcher = build::make_process_launcher(program.environment);
    Ports ports{
        .out = stdout,
        .err = stderr,
        .input_fd = STDIN_FILENO,
        .has_terminal_input = ::isatty(STDIN_FILENO) != 0,
        .has_terminal_output = ::isatty(STDOUT_FILENO) != 0,
        .has_terminal_errors = ::isatty(STDERR_FILENO) != 0,
        .environment = [&](std::string_view name) { return look_up(program.environment, name); },
        .clock = clock,
        .transport = *transport,
        .launcher = *launcher,
        .ask_secret = [](std::string_view prompt) { return SilentTerminal().ask(prompt); },
        .probe = program.probe,
        .release = program.release,
        .commit = program.commit};
    return run(arguments, ports);
}

}  // namespace fathom::cli
