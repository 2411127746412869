// What the environment says to the watchdog: the variables of both OpenFaaS watchdogs, one struct.
//
// The rules differ by mode as they did between the two programs: classic takes only "true" for true
// and has no exec_timeout, the others take "true" and "1" and end a call after 30 s.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/units.h"

namespace fathom::watchdog {

// "KEY=VALUE" texts, as a program gets them; they outlive what is read from them.
class Environment {
public:
    explicit Environment(std::span<const char* const> entries) : entries_(entries) {}
    std::optional<std::string_view> find(std::string_view key) const;
    std::string_view get(std::string_view key) const { return find(key).value_or(""); }
    std::span<const char* const> entries() const { return entries_; }

private:
    std::span<const char* const> entries_;
};

enum class Mode : std::uint8_t {
    classic,      // a process per request, input and output whole
    serializing,  // the same with the texts and statuses of of-watchdog
    streaming,    // a process per request, bytes pass as they come
    http,         // one long-lived process that speaks HTTP itself
};

// Where the function of http mode listens.
struct Upstream {
    bool is_ipv6 = false;
    std::uint32_t ipv4 = 0;       // network byte order
    unsigned char ipv6[16] = {};  //
    std::uint16_t port = 80;      // host byte order
    std::string authority;        // "127.0.0.1:5000", the Host of requests that have none
    std::string prefix;           // path put in front of every target, without a last '/'
};

struct Config {
    Mode mode = Mode::classic;
    std::vector<std::string> command;  // fprocess, split at single spaces
    std::uint16_t port = 8080;         // TCP; not used with an inherited socket
    int listen_fd = -1;                // FATHOM_LISTEN_FD or LISTEN_FDS; -1: none
    bool is_first_process = false;     // PID 1

    Duration read_timeout = 30s;   // a head must be whole by then; a body may stall that long
    Duration write_timeout = 30s;  // an answer may stall that long; also how long draining takes
    Duration exec_timeout = 0s;    // 0: none
    // How long a terminating watchdog goes on serving, so that others see that it is not healthy.
    // Its default is write_timeout, and 0 on an inherited socket: Fathom sends nothing there then.
    Duration healthcheck_interval = 30s;

    std::string content_type;         // forced type of responses; empty: see the mode
    bool has_combined_output = true;  // classic: standard error belongs to the response
    bool has_cgi_headers = true;      // classic: the request is in the environment
    bool is_marshalled = false;       // classic: standard input is a JSON document
    bool writes_debug = false;        // classic: bodies are logged
    bool prints_headers = false;      // classic: debug_headers

    std::optional<Upstream> upstream;  // http
    bool is_body_buffered = false;     // http: read whole before it is sent on
    std::string ready_path;            // empty: readiness is ours
    bool has_log_prefix = true;
    std::int64_t log_line_bytes_max = 65536;  // longer lines are cut in pieces; -1: never
    bool logs_call_id = false;

    unsigned in_flight_max = 0;      // max_inflight; 0: any number
    bool has_lock_file = true;       // !suppress_lock
    std::string lock_path;           // ".lock" in TMPDIR, else /tmp
    std::string search_path;         // PATH
    Bytes body_bytes_max = 256_MiB;  // FATHOM_BODY_BYTES_MAX: what fork modes keep in memory of one
                                     // request or response
    std::vector<std::string> warnings;  // values that were passed over, to be logged
};

// Reads the variables. `own_pid` decides whether LISTEN_FDS is meant for us.
// Errors: invalid      no command, unknown mode, no upstream_url in http mode, write_timeout=0 ...
//         unsupported  jwt_auth: better no start than an open door
Result<Config> read_config(const Environment& environment, int own_pid);

// "http://127.0.0.1:5000" or "http://localhost:5000/base"; names are not looked up.
Result<Upstream> parse_upstream(std::string_view url);

// Splits at every single space, as OpenFaaS does: no quotes, no shell; two spaces make an empty
// word.
std::vector<std::string> split_command(std::string_view text);

}  // namespace fathom::watchdog
