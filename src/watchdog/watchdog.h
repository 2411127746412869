// fathom-watchdog: turns any command into an HTTP server, as the two OpenFaaS watchdogs do.
//
//   config         what the environment says          loop        descriptors, timers, children
//   server         connections, health, draining      connection  one client, request by request
//   forking        a process per request: buffered_call (classic, serializing), streamed_call
//   proxying       http mode: proxied_call over an upstream_link
//   process, run   starting programs, their pipes     request_text  a request as environment
//
// One thread, one loop, no dynamic library: idle it holds well under a MiB.
#pragma once

#include <span>

#include "core/ports.h"

namespace fathom::watchdog {

// The program. `arguments` without its name: none to serve, -version, or -run-healthcheck.
// Answers the exit code.
int run(std::span<const char* const> arguments, std::span<const char* const> environment,
        const Clock& clock);

}  // namespace fathom::watchdog
