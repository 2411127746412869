// Private: lines into a file descriptor, without ever waiting for who reads them.
#pragma once

#include <string_view>

#include "rt/fd.h"

namespace fathom::observe {

class LogOutput {
public:
    // Borrows `fd`. Its flags are shared with other processes (a terminal, a pipe), so they are not
    // touched: a pipe or terminal is opened anew, non-blocking, through /proc/self/fd.
    explicit LogOutput(int fd);

    // One line of at most PIPE_BUF bytes, whole or not at all. False when it would have to wait or
    // nobody reads any more.
    bool write(std::string_view line) noexcept;

private:
    enum class How { plain, socket, polled };
    int fd_;
    How how_ = How::plain;
    rt::Fd own_;
};

}  // namespace fathom::observe
