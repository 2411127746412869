#include "watchdog/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "watchdog/text.h"

namespace fathom::watchdog {

void Log::line_to(int fd, std::string_view text) {
    buffer_.clear();
    append_log_time(buffer_, clock_.wall());
    buffer_ += ' ';
    buffer_ += text;
    buffer_ += '\n';
    write_all(fd, buffer_);
    if (buffer_.capacity() > 4096) buffer_ = {};
}

void Log::raw(std::string_view text) {
    write_all(fd_, text);
}

LinePump::LinePump(Loop& loop, Log& log, Options options)
    : log_(log), options_(options), channel_(loop, [this](std::uint32_t) { read_some(); }) {}

LinePump::~LinePump() {
    if (write_end_ >= 0) ::close(write_end_);
}

Result<> LinePump::open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(Errc::unavailable, errno, "pipe");
    // Only our end must not block: what children get is as they expect it.
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    write_end_ = ends[1];
    channel_.open(ends[0], EPOLLIN);
    return {};
}

void LinePump::read_some() {
    std::array<char, 4096> bytes;
    const auto count = ::read(channel_.fd(), bytes.data(), bytes.size());
    if (count > 0) take({bytes.data(), static_cast<std::size_t>(count)});
}

void LinePump::take(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto end = bytes.find('\n');
        part_ += bytes.substr(0, end);
        if (end == std::string_view::npos) break;
        bytes.remove_prefix(end + 1);
        emit(part_);
        part_.clear();
    }
    const auto bytes_max = static_cast<std::uint64_t>(options_.bytes_max);
    while (options_.bytes_max > 0 && part_.size() >= bytes_max) {
        emit(std::string_view(part_).substr(0, bytes_max));
        part_.erase(0, bytes_max);
    }
}

void LinePump::emit(std::string_view line) {
    std::string text(options_.label);
    text += ": ";
    text += line;
    log_.line_to(options_.fd, text);
}

void LinePump::flush() {
    std::array<char, 4096> bytes;
    for (ssize_t count = 0; (count = ::read(channel_.fd(), bytes.data(), bytes.size())) > 0;) {
        take({bytes.data(), static_cast<std::size_t>(count)});
    }
    if (!part_.empty()) emit(std::exchange(part_, {}));
}

}  // namespace fathom::watchdog
