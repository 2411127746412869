#include "watchdog/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fathom::watchdog {
namespace {

// Runs `words` with its output in a pipe; what it wrote, and how it ended.
struct Outcome {
    std::string output;
    std::string ended;
};
Outcome outcome_of(std::vector<std::string> words) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    Command command(std::move(words), "/nowhere:/usr/bin:/bin");
    char* environment[] = {nullptr};
    const auto pid = command.start(environment, {.in = 0, .out = ends[1], .err = 2});
    ::close(ends[1]);
    Outcome outcome;
    if (pid) {
        char bytes[512];
        for (ssize_t count = 0; (count = ::read(ends[0], bytes, sizeof bytes)) > 0;) {
            outcome.output.append(bytes, static_cast<std::size_t>(count));
        }
        int status = 0;
        EXPECT_EQ(::waitpid(*pid, &status, 0), *pid);
        outcome.ended = exit_text(status);
    } else {
        outcome.ended = pid.error().message();
    }
    ::close(ends[0]);
    return outcome;
}

TEST(Command, FindsItsProgramInThePath) {
    const auto outcome = outcome_of({"printf", "%s", "a b"});
    EXPECT_EQ(outcome.output, "a b");
    EXPECT_EQ(outcome.ended, "");
}

TEST(Command, SaysHowTheProgramEndedAsGoDoes) {
    EXPECT_EQ(outcome_of({"sh", "-c", "exit 3"}).ended, "exit status 3");
    EXPECT_EQ(outcome_of({"sh", "-c", "kill -KILL $$"}).ended, "signal: killed");
    EXPECT_EQ(outcome_of({"sh", "-c", "kill -TERM $$"}).ended, "signal: terminated");
}

TEST(Command, SaysWhyAProgramDoesNotStart) {
    EXPECT_EQ(outcome_of({"no-such-program"}).ended,
              "exec: \"no-such-program\": executable file not found in $PATH");
    EXPECT_EQ(outcome_of({"/no/such"}).ended, "fork/exec /no/such: no such file or directory");
    EXPECT_EQ(outcome_of({"/etc/passwd"}).ended, "fork/exec /etc/passwd: permission denied");
    EXPECT_EQ(outcome_of({""}).ended, "exec: \"\": executable file not found in $PATH");
}

}  // namespace
}  // namespace fathom::watchdog
