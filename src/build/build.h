// build: makes bundles (image/bundle.h) out of handler folders. No container engine, no registry.
//
//   build/build.h          Builder: a folder in, a bundle out
//   build/process.h        ProcessLauncher, the port through which compilers are run
//   build/runtime_files.h  what Fathom brings into every sandbox, and the C++ SDK
//
// Blocking, for the command line: nothing here runs in the daemon but write_runtime().
#pragma once

#include <string>
#include <string_view>

#include "build/process.h"
#include "function/function.h"
#include "image/bundle.h"
#include "rt/rt.h"

namespace fathom::build {

struct Source {
    std::string name;      // of the function
    std::string language;  // as `lang:` says it; empty: `process` is run by the watchdog
    std::string handler;   // the folder
    std::string process;   // as `fprocess:` says it
};

struct Bundle {
    image::Manifest manifest;
    rt::Fd file;  // the archive, in an unlinked file, at its start
    Bytes size = 0;
    std::string digest;  // "sha256:<64 hex digits>", as the gateway's store will say it
};

struct Options {
    std::string cache_folder;      // compiled handlers and the SDK; made when needed
    std::string temporary_folder;  // for the archive
    std::string compiler = "c++";
    Bytes archive_bytes_max = 1_GiB;
    std::size_t entries_max = 100'000;
};

class Builder {
public:
    Builder(Options options, ProcessLauncher& launcher);

    // The same folder gives the same bytes, whoever packs it, whenever: entries are sorted, times
    // and owners are zero, of the modes only "executable" is kept. Left out: .git, __pycache__,
    // *.pyc, node_modules/.cache, .DS_Store, and of C++ the sources.
    // Errors: not_found    no such folder, or not the file the language asks for (handler.py)
    //         invalid      unknown language (lists the known ones), a link that leads outside, a
    //                      socket or device, a C++ handler that does not compile (with the
    //                      compiler's own words)
    //         forbidden    a file that cannot be read; names it
    //         too_large    over a limit of Options
    //         unavailable  the disk, or no compiler
    Result<Bundle> build(const Source& source);

private:
    Options options_;
    ProcessLauncher& launcher_;
};

// "python3*, node*, ...": what `lang:` may be, for messages.
std::string known_languages();

}  // namespace fathom::build
