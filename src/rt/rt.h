// rt: one thread and one edge-triggered epoll loop per core, coroutines, no locks.
//
// An object belongs to the core that made it, so between two co_awaits code is plain sequential
// code. Cores talk by sending values (Core::post, on_core). Timers are coarse (1 ms ticks) and cost
// a few nanoseconds to arm; blocking libraries run in a bounded pool.
//
//   rt/async.h    Async<T>, the coroutine
//   rt/core.h     Core, Runtime, timers
//   rt/wait.h     TaskGroup, within (deadline), both, either, sleep_until, Signal, yield
//   rt/socket.h   Socket, Listener: readiness and bytes
//   rt/fd.h       Fd, an owned file descriptor
//   rt/send.h     on_core: work for another core, and its answer
//   rt/blocking.h BlockingPool: for libraries that block
#pragma once

#include "rt/async.h"
#include "rt/blocking.h"
#include "rt/core.h"
#include "rt/fd.h"
#include "rt/send.h"
#include "rt/socket.h"
#include "rt/wait.h"
