// What a function is: its name, what runs, within which limits.
//
//   function/function.h   FunctionName, FunctionSpec and their rules
//   function/json.h       the same as JSON, as the REST API spells it
//   function/stack.h      the reader of stack.yml
//   function/envsubst.h   ${VAR} as faas-cli substitutes it
//   function/yaml.h       YAML as a small bounded tree, for readers of manifests
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/units.h"

namespace fathom::function {

inline constexpr std::string_view kDefaultNamespace = "openfaas-fn";

// NAME.NAMESPACE, as metrics and callers spell it.
struct FunctionName {
    std::string name;
    std::string space{kDefaultNamespace};

    // Splits at the last dot, as OpenFaaS does: "fn", "fn.ns", "dev.figlet.openfaas-fn".
    static FunctionName split(std::string_view text);
    std::string text() const { return name + "." + space; }
    friend auto operator<=>(const FunctionName&, const FunctionName&) = default;
};

// ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$, at most 63 characters (a DNS label).
// Errors: invalid    names the field, the value and the rule
Result<> check_name(std::string_view field, std::string_view name);

using StringMap = std::map<std::string, std::string, std::less<>>;

// As written by the user; empty is unset. Values are Kubernetes quantities (core/units.h).
struct Resources {
    std::string memory;
    std::string cpu;
    StringMap gpus;  // "nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu"; kept, not enforced
    friend bool operator==(const Resources&, const Resources&) = default;
};

// The deployment of one function, as the REST API and every manifest reader produce it.
struct FunctionSpec {
    FunctionName name;
    std::string image;        // reference of what runs: an OCI image or a bundle (image/image.h)
    std::string env_process;  // becomes the environment's fprocess unless that is set
    StringMap environment;
    std::vector<std::string> constraints;
    std::vector<std::string> secrets;
    // An empty map and none at all differ on the wire ({} and absent).
    std::optional<StringMap> labels;
    std::optional<StringMap> annotations;
    std::optional<Resources> limits;
    std::optional<Resources> requests;
    bool has_readonly_root = false;
    friend bool operator==(const FunctionSpec&, const FunctionSpec&) = default;

    std::string_view label(std::string_view key) const;       // "" when absent
    std::string_view annotation(std::string_view key) const;  // "" when absent
};

inline constexpr Bytes kMapBytesMax = 256_KiB;  // keys and values of one map together
inline constexpr std::size_t kListEntriesMax = 1024;

// Everything that can be known to be wrong before anything is touched: names, labels (at most 63
// characters of [A-Za-z0-9-_.], alphanumeric ends), quantities, environment names, secret names
// (DNS subdomains), image present, and the limits above.
// Errors: invalid    names the field, the value and what is accepted
Result<> check(const FunctionSpec& spec);

// The figures others derive from a spec; bad texts fall back to the default, as OpenFaaS does.
struct Scaling {
    unsigned min = 1;   // com.openfaas.scale.min, also the initial number of replicas; 0 is allowed
    unsigned max = 20;  // com.openfaas.scale.max
};
Scaling scaling_of(const FunctionSpec& spec);
Duration exec_timeout_of(const FunctionSpec& spec, Duration fallback);  // environment exec_timeout;
                                                                        // 0 is none
unsigned inflight_max_of(const FunctionSpec& spec);  // environment max_inflight; 0 unlimited
unsigned concurrency_of(const FunctionSpec& spec);   // environment FATHOM_CONCURRENCY; 0 unlimited

}  // namespace fathom::function
