// The manifest of a bundle, `fathom.json`, and the places of its archive.
//
//     {"format": 1, "name": "hello", "language": "python3",
//      "command": ["/usr/bin/python3", "/opt/fathom/python3/runner.py"], "environment": {}}
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "function/function.h"

namespace fathom::image {

inline constexpr int kBundleFormat = 1;
inline constexpr std::string_view kManifestPath = "fathom.json";
inline constexpr std::string_view kFunctionFolder =
    "function";  // /home/app/function in the sandbox
inline constexpr Bytes kManifestBytesMax = 1_MiB;

struct Manifest {
    std::string name{};                  // a function name
    std::string language{};              // "" for a plain command
    std::vector<std::string> command{};  // argv; a first word without "/" is looked for on the host
    function::StringMap environment{};   // defaults; the deployment's own wins
    friend bool operator==(const Manifest&, const Manifest&) = default;
};

// The same manifest is always the same text.
std::string to_json(const Manifest& manifest);

// Errors: invalid      names the field, the value and what is accepted
//         unsupported  a newer format
Result<Manifest> parse_manifest(std::string_view json);

}  // namespace fathom::image
