// What the watchdog and its function write for people to read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/ports.h"
#include "watchdog/loop.h"

namespace fathom::watchdog {

// Lines as Go's logger writes them: "2026/11/21 13:05:59 Forking fprocess.", in UTC, one write
// each.
class Log {
public:
    Log(const Clock& clock, int fd) : clock_(clock), fd_(fd) {}
    void line(std::string_view text) { line_to(fd_, text); }
    void line_to(int fd, std::string_view text);
    // Bare bytes: what a function wrote.
    void raw(std::string_view text);

private:
    const Clock& clock_;
    int fd_;
    std::string buffer_;
};

// Reads what children write to one shared pipe, line by line, and writes it on with a prefix.
// Lines of several children may mix only where a child writes parts of lines.
class LinePump {
public:
    struct Options {
        std::string_view label;      // "stderr"
        int fd = 2;                  // where lines go
        std::int64_t bytes_max = 0;  // longer lines are cut; -1: never
    };
    LinePump(Loop& loop, Log& log, Options options);
    ~LinePump();
    // Errors: unavailable    no pipe to be had
    Result<> open();
    // The end that children write to.
    int write_end() const { return write_end_; }
    // Writes on what is there, the last line whether ended or not.
    void flush();

private:
    void read_some();
    void take(std::string_view bytes);
    void emit(std::string_view line);

    Log& log_;
    Options options_;
    Channel channel_;
    int write_end_ = -1;
    std::string part_;  // of a line that has not ended yet
};

}  // namespace fathom::watchdog
