// One run of the function's command: its standard input, its output, its end.
#pragma once

#include <string>
#include <string_view>

#include "watchdog/byte_queue.h"
#include "watchdog/loop.h"
#include "watchdog/process.h"

namespace fathom::watchdog {

// Where standard error goes.
struct ErrorOutput {
    enum class Kind : unsigned char { with_output, descriptor } kind = Kind::descriptor;
    int fd = 2;
};

class Run {
public:
    // Called from the loop as things happen, never from within a call of ours.
    struct Listener {
        virtual ~Listener() = default;
        // The program wrote `bytes`.
        virtual void on_output(std::string_view bytes) = 0;
        // It took what it was fed: feed more.
        virtual void on_hungry() {}
        // It has ended, and whoever else held its output has closed it.
        virtual void on_end(int wait_status) = 0;
    };

    Run(Loop& loop, Listener& listener);
    ~Run();  // forgets it; a program that still runs goes on and is reaped later

    enum class Input : unsigned char { whole, piecewise };
    // Starts it with `input` waiting on its standard input: all there is, or the beginning.
    // Errors: those of Command::start, and unavailable when there is no pipe to be had
    Result<> start(Command& command, char* const* environment, ErrorOutput error_output,
                   std::string input, Input kind);
    void feed(std::string_view bytes);
    void end_input();
    // It has not taken enough yet: wait for on_hungry().
    bool is_full() const { return pending_.size() >= kFull; }

    void pause_output() { output_.want(0); }
    void resume_output() { output_.want(EPOLLIN); }
    // SIGKILL, to it alone.
    void kill();

private:
    static constexpr std::size_t kFull = 64 * 1024;

    void on_input_ready(std::uint32_t events);
    void write_input();
    void read_output();
    void end_if_done();

    Loop& loop_;
    Listener& listener_;
    Channel input_;
    Channel output_;
    ByteQueue pending_;  // not written to input_ yet
    bool is_input_whole_ = false;
    pid_t pid_ = -1;  // -1: not started, or ended
    int status_ = 0;
};

}  // namespace fathom::watchdog
