// C++ handlers: from sources to the one executable `handler`.
#pragma once

#include <string>
#include <vector>

#include "build/build.h"
#include "build/files.h"

namespace fathom::build {

// Whether a file is only read by the compiler, and stays out of the bundle.
bool is_cpp_source(std::string_view path);

// The path of the executable, in the cache: compiled now, or before from the same sources with the
// same compiler and SDK. With a CMakeLists.txt its target `handler` is built, where find_package
// and the SDK's folder FATHOM_SDK are there; otherwise every *.cpp of the folder is compiled
// together. Errors: invalid      the sources do not compile; ends with the compiler's own words
//         unavailable  no compiler, or the disk
Result<std::string> compile_handler(const Source& source, const std::vector<SourceFile>& files,
                                    const Options& options, ProcessLauncher& launcher);

}  // namespace fathom::build
