// Times as text: RFC 3339 in UTC. (std::chrono's own parser and formatter are not in libstdc++ 12.)
#pragma once

#include <string>
#include <string_view>

#include "core/ports.h"
#include "core/result.h"

namespace fathom {

// "2026-11-21T12:46:37Z", and ".123" or ".123456789" before the Z. The epoch itself stands for
// "unknown" and is written as Go's zero time, 0001-01-01T00:00:00Z.
enum class TimeDigits { seconds, milliseconds, nanoseconds };
std::string to_rfc3339(Clock::Wall at, TimeDigits digits = TimeDigits::seconds);

// Any number of digits and any offset; Go's zero time is the epoch.
// Errors: invalid    not RFC 3339, or outside the years 1678 to 2261
Result<Clock::Wall> parse_rfc3339(std::string_view text);

}  // namespace fathom
