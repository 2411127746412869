// ${VAR} in the raw text of a stack file, before it is read as YAML; as faas-cli does it.
//
//   ${V}                                  its value, empty when unset
//   ${V:-d} ${V:=d} ${V=d} ${V:+d} ${V:?d}  d when V is unset or empty (all five, as faas-cli)
//   ${#V}                                 how many characters it has
//   ${V:off} ${V:off:len}                 a part; negative numbers count from the end
//   ${V^} ${V^^} ${V,} ${V,,}             first or all letters (ASCII) upper, lower
//   ${V#p} ${V##p} ${V%p} ${V%%p}         without the shortest, longest beginning or end like the
//                                         glob p (* ? [a-z] \x)
//   ${V/a/b} ${V//a/b} ${V/#a/b} ${V/%a/b}  the first, all, the beginning, the end: a becomes b
//   $$                                    one $
//
// d, p, a and b may hold ${...} themselves; in them \} is }, and in a \/ is /. $VAR,
// and a $ before anything else, stay as they are.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/units.h"

namespace fathom::function {

// Looks a variable up; nothing when it is unset. The environment is never read directly.
using EnvLookup = std::function<std::optional<std::string>(std::string_view name)>;

inline constexpr Bytes kSubstitutedBytesMax = 4_MiB;
inline constexpr int kSubstitutionDepthMax = 32;

// Errors: invalid      "${}", "${V-d}", a name that is none, no closing brace: names the line
//         too_large    the result has more than kSubstitutedBytesMax bytes
Result<std::string> substitute(std::string_view text, const EnvLookup& lookup);

}  // namespace fathom::function
