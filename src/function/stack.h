// The reader of stack.yml, the file faas-cli deploys from.
//
// Fields and their meaning are OpenFaaS's. More is accepted than there, and said: unknown fields
// are warnings that name the nearest known one (keys beginning with "x-" hold what you like),
// `environment: {variables: {...}}` is flattened, `readOnlyRootFilesystem` is known. Numbers and
// booleans keep their source text where a text is wanted. A wrong type is an error that names
// file, line, field, value and what is accepted.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "function/envsubst.h"
#include "function/function.h"

namespace fathom::function {

enum class Strictness { lenient, strict };  // strict: what would be a warning is an error
enum class Substitution { on, off };        // of ${VAR}; function/envsubst.h

struct StackOptions {
    std::string file_name = "stack.yml";  // for messages
    EnvLookup lookup;                     // none: every variable is unset
    Strictness strictness = Strictness::lenient;
    Substitution substitution = Substitution::on;
};

struct StackFunction {
    std::string name;
    int line = 0;             // of the name, from 1
    std::string language;     // `lang`: a template, "name@ref" or "dockerfile"; may be empty
    std::string handler;      // a folder
    std::string image;        // may be empty where it is built here
    std::string env_process;  // `fprocess`
    std::string space;        // `namespace`; empty is not said
    StringMap environment;
    std::vector<std::string> environment_files;  // each read with read_environment_file
    std::vector<std::string> secrets;
    std::vector<std::string> constraints;
    std::vector<std::string> build_options;
    std::optional<StringMap> labels;
    std::optional<StringMap> annotations;
    StringMap build_args;
    StringMap build_secrets;  // id -> file
    std::optional<Resources> limits;
    std::optional<Resources> requests;
    std::vector<std::string> platforms;  // "linux/amd64", ...
    bool is_build_skipped = false;       // `skip_build`
    bool has_readonly_root = false;      // `readonly_root_filesystem`
};

struct StackTemplate {
    std::string name;
    std::string source;  // URL#ref; may be empty
};

struct Stack {
    std::string version;                    // "1.0" or empty
    std::string gateway;                    // `provider.gateway`; may be empty
    std::vector<StackFunction> functions;   // in the order of the file; may be none
    std::vector<StackTemplate> templates;   // `configuration.templates`
    std::vector<std::string> copied_paths;  // `configuration.copy`
    std::vector<std::string> warnings;      // "stack.yml:7: ...", in the order of the file
};

// Errors: invalid      names file, line, field, value and what is accepted
//         too_large    over 1 MiB, or 4 MiB after substitution
Result<Stack> read_stack(std::string_view text, const StackOptions& options);

// A file named by `environment_file`: one `environment:` map.
// Errors: as above
Result<StringMap> read_environment_file(std::string_view text, const StackOptions& options);

// What deploying it means, with `image` as it stands: labels and annotations are there, possibly
// empty, as faas-cli sends them. environment_files are not read. Not checked: check(spec).
FunctionSpec to_spec(const StackFunction& function);

}  // namespace fathom::function
