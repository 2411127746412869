// gateway: the REST API of OpenFaaS, and calls to functions, over HTTP.
//
//   /function/NAME[/PATH][?QUERY]     any method -> invoke
//   /system/...                       management, behind basic auth (docs: openfaas.com REST API)
//   /system/bundles?name=NAME         POST a bundle (image/image.h) -> {"reference","digest"}
//   /healthz                          200 while we serve
//
// One Gateway per core, made by the server; what they share is in Services. Calls go straight to
// this core's Invoker; changes are sent to core 0, where the provider lives.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/units.h"
#include "http/http.h"
#include "image/image.h"
#include "invoke/invoke.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "provider/provider.h"
#include "rt/rt.h"

namespace fathom::gateway {

struct Credentials {
    bool is_required = true;  // false: everybody may do everything
    std::string user{};
    std::string password{};
};

struct Limits {
    Bytes api_body_bytes_max = 1_MiB;          // JSON bodies of /system
    Bytes bundle_bytes_max = 1_GiB;            // an archive
    Bytes call_body_bytes_max = 1_GiB * 1024;  // of a call to a function
    Duration log_follow_max = 1h;  // a followed log ends then; OpenFaaS: its write timeout
    invoke::Limits calls{};
};

struct Version {
    std::string release;  // "0.1.0"
    std::string sha;      // of the commit; never empty
};

// What every core's Gateway uses. All of it outlives the server.
struct Services {
    rt::Runtime& runtime;
    TaskGroup& home_tasks;         // of core 0: changes run there to their end
    provider::Provider& provider;  // core 0
    image::Store& images;          // core 0
    invoke::Directory& directory;
    observe::Registry& metrics;
    Credentials credentials;
    Limits limits;
    Version version;
    std::string doctor_json;  // what `fathom doctor` shows of the machine, made once at start
};

// For http::Server::start.
std::unique_ptr<http::Handler> make_gateway(Services& services);

// GET /metrics and /healthz on the metrics port.
std::unique_ptr<http::Handler> make_metrics_face(Services& services);

}  // namespace fathom::gateway
