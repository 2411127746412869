// Times in a layout as Go writes it: the reference time spelled as the result shall look.
#pragma once

#include <string>
#include <string_view>

#include "core/ports.h"

namespace fathom::cli {

// `at` in UTC: "2006-01-02T15:04:05Z07:00" gives "2026-11-21T12:46:37Z". Known parts: 2006 06 01 1
// Jan January 02 2 _2 15 03 3 04 05 PM pm Mon Monday MST Z07:00 -07:00 -0700 and .000 (.999) with
// three, six or nine digits; everything else stands as it is.
// (https://pkg.go.dev/time#pkg-constants)
std::string in_layout(Clock::Wall at, std::string_view layout);

}  // namespace fathom::cli
