// What `fathom serve` can be told: flags > environment > fathom.yaml > defaults.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/units.h"

namespace fathom::app {

// One field a setting, in the order of `fathom serve --help`. docs/configuration.md explains each.
struct Settings {
    std::string listen = "127.0.0.1:8080";
    std::string metrics_listen = "127.0.0.1:8082";
    std::string data;        // empty: /var/lib/fathom as root, $XDG_STATE_HOME/fathom otherwise
    std::string ready_file;  // written once calls are served; empty: none
    std::string user = "fathom";  // the daemon becomes it when started as root
    int cores = 0;                // 0: one a CPU
    bool basic_auth = true;
    Duration upstream_timeout = 60s;
    int in_flight_max = 100'000;
    Bytes header_bytes_max = 1_MiB;
    Bytes body_bytes_max = 1_GiB * 1024;
    Duration drain = 30s;  // what running calls get on SIGTERM
    std::string log_format = "text";
    std::string log_level = "info";
};

// How one setting is spelled and read.
struct Setting {
    std::string_view flag;         // "--listen"
    std::string_view environment;  // "FATHOM_LISTEN"
    std::string_view value;        // what stands for its value in help: "ADDRESS"
    std::string_view help;
    Result<> (*read)(Settings&, std::string_view text);
    std::string (*text)(const Settings&);
};
const std::vector<Setting>& all_settings();

using Environment = std::function<std::optional<std::string>(std::string_view)>;

// Where a value came from, for `fathom config explain`.
struct Explained {
    std::string name, value, source;
};

struct LoadedSettings {
    Settings settings;
    std::vector<Explained> explained;
    bool wants_help = false;
};

// `arguments` without program and verb. A file is read where --config or FATHOM_CONFIG names one.
// Errors: invalid    names the flag, variable, or file and line, the value, and what is accepted
Result<LoadedSettings> load_settings(const std::vector<std::string>& arguments,
                                     const Environment& environment);

std::string serve_help();

}  // namespace fathom::app
