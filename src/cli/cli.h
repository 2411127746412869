// cli: the commands a person types, with faas-cli's flags, columns, texts and exit codes.
//
//     cli::Program program{.release = "0.1.0", .commit = "1a2b3c", .environment = ..., };
//     return cli::run(arguments, program);          // everything real
//     return cli::run(arguments, ports);            // everything given, for tests
//
// Answers go to stdout, everything else to stderr (faas-cli prints its errors to stdout, where they
// mix with answers). Exit codes as faas-cli's: 0, and 1 for every error.
#pragma once

#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "build/process.h"
#include "cli/transport.h"
#include "core/ports.h"
#include "function/envsubst.h"

namespace fathom::cli {

// What this machine allows a sandbox, for `fathom doctor` where no gateway answers.
struct Ability {
    std::string name;
    bool is_available = false;
    std::string meaning;
};
struct Machine {
    std::string level;  // "full", "user_namespace", "process"
    std::vector<Ability> abilities;
};

// The world, as a command sees it.
struct Ports {
    std::FILE* out;
    std::FILE* err;
    int input_fd;  // what `invoke` sends
    bool has_terminal_input = false;
    bool has_terminal_output = false;  // colours
    bool has_terminal_errors = false;  // colours and progress
    function::EnvLookup environment;
    const Clock& clock;
    Transport& transport;
    build::ProcessLauncher& launcher;  // compilers
    // Asks for a secret without showing it; nothing when nobody can be asked.
    std::function<std::optional<std::string>(std::string_view prompt)> ask_secret;
    std::function<Machine()> probe;
    std::string release;
    std::string commit;
};

// `arguments` without the program's name.
int run(const std::vector<std::string>& arguments, Ports& ports);

// What main() knows and nobody else may ask for.
struct Program {
    std::string release;
    std::string commit;
    std::vector<std::string> environment;  // "NAME=value"
    std::function<Machine()> probe;        // sandbox::probe(), when it is wanted
};
int run(const std::vector<std::string>& arguments, const Program& program);

}  // namespace fathom::cli
