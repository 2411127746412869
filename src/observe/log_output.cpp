#include "observe/log_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace fathom::observe {

LogOutput::LogOutput(int fd) : fd_(fd) {
    struct stat facts{};
    if (::fstat(fd, &facts) != 0) return;  // closed: every line is dropped
    if (S_ISSOCK(facts.st_mode)) {
        how_ = How::socket;
    } else if (S_ISFIFO(facts.st_mode) || S_ISCHR(facts.st_mode)) {
        const auto path = fmt::format("/proc/self/fd/{}", fd);
        own_ = rt::Fd(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
        if (own_) {
            fd_ = own_.get();
        } else {
            how_ = How::polled;  // somebody else's pipe or terminal: ask before each write
        }
    }
}

bool LogOutput::write(std::string_view line) noexcept {
    for (;;) {
        if (how_ == How::polled) {
            pollfd wanted{.fd = fd_, .events = POLLOUT, .revents = 0};
            if (::poll(&wanted, 1, 0) != 1 || (wanted.revents & POLLOUT) == 0) return false;
        }
        const auto sent = how_ == How::socket
                              ? ::send(fd_, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                              : ::write(fd_, line.data(), line.size());
        if (sent >= 0) return true;  // short only on a full disk or a broken terminal
        if (errno != EINTR) return false;
    }
}

}  // namespace fathom::observe
