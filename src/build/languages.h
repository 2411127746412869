// What `lang:` may be, and what runs then.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "build/build.h"

namespace fathom::build {

struct Language {
    std::string_view name;     // "python3"; with is_family also "python3-http", "python3-debian"
    bool is_family = false;    // whether anything may follow the name
    bool is_compiled = false;  // C++: `handler` is made by a compiler
    // One of these must be in the handler folder; none: anything goes.
    std::vector<std::string_view> needs{};
    std::vector<std::string_view> command{};
    std::string_view process{};  // for the watchdog, where it is the one that runs
};

// The language `text` names ("python3-http", "cpp", "node20@1.2").
// Errors: invalid    unknown; lists the known ones
Result<const Language*> find_language(std::string_view text);

// The manifest of what is made from `source`. `language` is null for a plain command.
// Errors: invalid    neither language nor process
Result<image::Manifest> manifest_of(const Source& source, const Language* language);

}  // namespace fathom::build
