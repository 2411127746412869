// The files of a handler folder, as they go into a bundle.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "image/archive.h"

namespace fathom::build {

struct SourceFile {
    image::Entry entry;  // its path is relative to the folder
    std::string path;    // on this disk
};

struct FileLimits {
    Bytes bytes_max;
    std::size_t entries_max;
};

// Everything under `folder` that counts, sorted by path; see Builder::build.
// Errors: not_found, invalid, forbidden, too_large, as there
Result<std::vector<SourceFile>> list_files(const std::string& folder, FileLimits limits);

// Hands out the bytes of a file, piece by piece.
// Errors: forbidden    it cannot be read; names it
Result<> read_file(const std::string& path,
                   const std::function<Result<>(std::string_view bytes)>& take);

}  // namespace fathom::build
