// Running other programs, as a port.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/result.h"

namespace fathom::build {

struct Command {
    std::vector<std::string> argv;  // argv[0] is looked for on the PATH
    std::string folder;             // its working directory; empty: ours
};

struct Outcome {
    int exit_code = 0;   // 128 + N after signal N
    std::string output;  // what it said on stdout and stderr; the last 256 KiB of it
};

class ProcessLauncher {
public:
    virtual ~ProcessLauncher() = default;
    // Runs it to its end.
    // Errors: not_found    no such program
    //         unavailable  it cannot be started
    virtual Result<Outcome> run(const Command& command) = 0;
};

// The system's, by posix_spawn. `environment` is what children get: "NAME=value".
std::unique_ptr<ProcessLauncher> make_process_launcher(std::vector<std::string> environment);

}  // namespace fathom::build
