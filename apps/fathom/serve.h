// `fathom serve`: everything, in order.
#pragma once

#include "settings.h"

namespace fathom::app {

// Exit statuses of `fathom serve` besides 0, an orderly stop (docs/configuration.md).
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;       // a wrong flag, variable or file
inline constexpr int kExitAddress = 3;     // taken, or not this machine's
inline constexpr int kExitDataFolder = 4;  // not writable, locked, of another format
inline constexpr int kExitKeeper = 5;      // the keeper cannot start

// Runs until a signal, and returns the exit status.
int serve(Settings settings, const Environment& environment);

}  // namespace fathom::app
