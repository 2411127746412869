#include "watchdog/run.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace fathom::watchdog {
namespace {

// An empty pipe takes a page without blocking, however little the user's share of pipe memory is
// (pipe(7)); so short an input needs neither a non-blocking descriptor nor the loop.
constexpr std::size_t kWrittenAhead = PIPE_BUF;

// A descriptor that closes itself unless it is taken.
class OwnFd {
public:
    OwnFd() = default;
    OwnFd(const OwnFd&) = delete;
    OwnFd& operator=(const OwnFd&) = delete;
    ~OwnFd() {
        if (fd >= 0) ::close(fd);
    }
    int take() { return std::exchange(fd, -1); }
    int fd = -1;
};

struct Pipe {
    OwnFd read_end;
    OwnFd write_end;
    bool open() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return false;
        read_end.fd = ends[0];
        write_end.fd = ends[1];
        return true;
    }
};

// For programs that get nothing to read. Opened once, for as long as we live.
int dev_null() {
    static const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd;
}

}  // namespace

Run::Run(Loop& loop, Listener& listener)
    : loop_(loop),
      listener_(listener),
      input_(loop, [this](std::uint32_t events) { on_input_ready(events); }),
      output_(loop, [this](std::uint32_t) { read_output(); }) {}

Run::~Run() {
    if (pid_ > 0) loop_.forget_exit(pid_);
}

Result<> Run::start(Command& command, char* const* environment, ErrorOutput error_output,
                    std::string input, Input kind) {
    const bool has_no_input = kind == Input::whole && input.empty();
    Pipe in;
    Pipe out;
    if ((!has_no_input && !in.open()) || !out.open()) {
        return fail_errno(Errc::unavailable, errno, "pipe");
    }
    const bool is_written_ahead = kind == Input::whole && input.size() <= kWrittenAhead;
    if (is_written_ahead && !has_no_input) {
        [[maybe_unused]] const auto count = ::write(in.write_end.fd, input.data(), input.size());
    }
    const bool is_combined = error_output.kind == ErrorOutput::Kind::with_output;
    const auto started =
        command.start(environment, {.in = has_no_input ? dev_null() : in.read_end.fd,
                                    .out = out.write_end.fd,
                                    .err = is_combined ? out.write_end.fd : error_output.fd});
    if (!started) return fail(started.error());
    pid_ = *started;
    loop_.on_exit(pid_, [this](int status) {
        pid_ = -1;
        status_ = status;
        end_if_done();
    });
    output_.open(out.read_end.take(), EPOLLIN);
    if (is_written_ahead) return {};

    is_input_whole_ = kind == Input::whole;
    ::fcntl(in.write_end.fd, F_SETFL, O_NONBLOCK);
    input_.open(in.write_end.take(), 0);
    pending_.assign(std::move(input));
    write_input();
    return {};
}

void Run::feed(std::string_view bytes) {
    if (!input_.is_open()) return;  // it does not read any more
    pending_.append(bytes);
    write_input();
}

void Run::end_input() {
    is_input_whole_ = true;
    if (pending_.empty()) input_.close();
}

void Run::on_input_ready(std::uint32_t events) {
    if ((events & EPOLLERR) != 0) {
        // Nobody reads it: the program has what it wanted.
        pending_.clear();
        input_.close();
    } else {
        write_input();
    }
    if (!is_full()) listener_.on_hungry();
}

void Run::write_input() {
    if (!pending_.empty()) {
        const auto waiting = pending_.view();
        const auto count = ::write(input_.fd(), waiting.data(), waiting.size());
        if (count > 0) pending_.take(static_cast<std::size_t>(count));
    }
    input_.want(pending_.empty() ? 0U : EPOLLOUT);
    if (pending_.empty() && is_input_whole_) input_.close();
}

void Run::read_output() {
    const auto scratch = loop_.scratch();
    const auto count = ::read(output_.fd(), scratch.data(), scratch.size());
    if (count > 0) {
        return listener_.on_output({scratch.data(), static_cast<std::size_t>(count)});
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    output_.close();
    end_if_done();
}

void Run::end_if_done() {
    if (pid_ > 0 || output_.is_open()) return;
    input_.close();
    listener_.on_end(status_);
}

void Run::kill() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
}

}  // namespace fathom::watchdog
