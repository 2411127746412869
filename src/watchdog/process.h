// Starting the function's program as fast as the kernel allows, and the words for how it ended.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace fathom::watchdog {

// What a child gets as descriptors 0, 1 and 2. All three stay open here.
struct Stdio {
    int in = 0;
    int out = 1;
    int err = 2;
};

enum class Parting : unsigned char {
    lives_on,  // the child survives us
    dies_too,  // SIGKILL when we end, whatever the reason
};

// The command of the function. The program is looked up in PATH once and remembered.
class Command {
public:
    Command(std::vector<std::string> words, std::string search_path);

    // Starts it with `environment` (null-terminated). The parent waits until the program is loaded,
    // as vfork(2) does, and no memory is copied. Signals are as if the watchdog were not there.
    // Errors: not_found    `exec: "x": executable file not found in $PATH`, as Go words it
    //         unavailable  `fork/exec /x: permission denied` and whatever else the kernel says
    Result<pid_t> start(char* const* environment, const Stdio& stdio,
                        Parting parting = Parting::lives_on);

private:
    Result<> look_up();

    std::vector<std::string> words_;
    std::vector<char*> arguments_;  // of words_, null-terminated
    std::string search_path_;
    std::string program_;  // empty: to be looked up
};

// Raises the soft limit of open files to the hard one for ourselves; children get the old one.
void raise_file_limit();
// How many files may be open.
rlim_t file_limit();

// "exit status 1", "signal: killed", as Go words a wait status; empty for success.
std::string exit_text(int status);

}  // namespace fathom::watchdog
