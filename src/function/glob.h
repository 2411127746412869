// Shell globs over short texts: * ? [a-z] [!a-z] \x, by bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace fathom::function {

enum class GlobMatch { shortest, longest };

inline constexpr std::size_t kGlobBytesMax = 1024;         // a longer pattern matches nothing
inline constexpr std::size_t kGlobTextBytesMax = 1 << 17;  // nor does a longer text

// How many bytes at the beginning (end) of `text` the pattern matches; nothing when it does not.
// Costs pattern x text steps, whatever they hold.
std::optional<std::size_t> glob_prefix(std::string_view pattern, std::string_view text,
                                       GlobMatch which);
std::optional<std::size_t> glob_suffix(std::string_view pattern, std::string_view text,
                                       GlobMatch which);

}  // namespace fathom::function
