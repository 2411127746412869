// A cell: a sandbox and its first process (PID 1 inside), made before anyone knows what for.
//
// The first process mounts, waits for an order, starts the program, reaps, passes signals on to the
// program, tells how it ended, and with its own end the kernel ends everything inside. It is a
// fork of the keeper that never executes anything itself: from the fork on it makes only raw system
// calls on memory laid out before, and it is not dumpable, so nobody inside can look into it.
#pragma once

#include <span>
#include <string>

#include "rt/rt.h"
#include "sandbox/message.h"

namespace fathom::sandbox {

struct CellPlan {
    Level level = Level::process;
    std::string root;           // the HostRoot's folder; unused at level process
    bool changes_user = false;  // to uid and gid, before the program runs
    unsigned uid = 1000;
    unsigned gid = 1000;
    std::string tmp_options;  // of the tmpfs at /tmp
};

struct CellStart {
    int pid = 0;
    rt::Fd pidfd;
    rt::Fd line;  // orders in, reports out (message.h)
};
// Forks the first process; it joins `groups` (see Cgroups::make) and reports when it is prepared.
// Errors: unavailable    the kernel refused
Result<CellStart> start_cell(const CellPlan& plan, std::span<const rt::Fd> groups);

}  // namespace fathom::sandbox
