// Private: files that are whole and durable, or not there.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace fathom::state {

// Errors of all: unavailable (the disk) or forbidden (no permission), naming the path.

// Writes `text` under a temporary name, syncs, renames, syncs the folder. Mode 0600.
Result<> write_durably(const std::string& path, std::string_view text);
// Syncs `from`, renames it to `to`, syncs the folder.
Result<> sync_and_rename(const std::string& from, const std::string& to);
Result<> remove_file(const std::string& path);  // fine when there is none
// At most `bytes_max` bytes of it. not_found when there is none.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max);

// The error of a failed call on `path`: errno as ours.
std::unexpected<Error> fail_file(int error_number, std::string_view doing, const std::string& path);

}  // namespace fathom::state
