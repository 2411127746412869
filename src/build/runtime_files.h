// What Fathom itself brings: its runners and watchdog, which every sandbox sees read-only at
// /opt/fathom, and the C++ SDK. They are part of the binary and written out when they differ.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fathom::build {

struct RuntimeFile {
    std::string_view path;  // "python3/runner.py"
    std::string_view bytes;
    bool is_executable = false;
};

std::span<const RuntimeFile> runtime_files();
std::span<const RuntimeFile> sdk_files();

// Digest of all of them, known since the build: comparing it touches none of their pages.
std::string_view runtime_stamp();

// Makes `folder` hold exactly these, readable by everyone, each file whole or not there. Quick when
// they are there already: one small read and a stat each.
// Errors: unavailable    the disk refused; names the file
Result<> write_runtime(const std::string& folder);
Result<> write_sdk(const std::string& folder);

}  // namespace fathom::build
