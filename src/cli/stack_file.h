// The stack file a command works on.
#pragma once

#include <optional>
#include <string>

#include "cli/cli.h"
#include "cli/options.h"
#include "function/stack.h"

namespace fathom::cli {

struct StackFile {
    std::string path;
    function::Stack stack;  // only the functions that --filter and --regex name
};

// The one -f names, or stack.yaml, or stack.yml of this folder; nothing when there is none. Prints
// the file's warnings.
// Errors: invalid     names file, line, field, value; --filter and --regex together or matching
// none
//         not_found   -f names no file
Result<std::optional<StackFile>> load_stack(Ports& ports, const Common& common);

// All of a text file. Errors: not_found, forbidden, too_large (over 1 MiB)
Result<std::string> read_text(const std::string& path);

// `path` as it stands when it is there, else beside the stack file.
std::string beside(const StackFile& file, const std::string& path);

}  // namespace fathom::cli
