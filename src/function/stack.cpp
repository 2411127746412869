#include "function/stack.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "function/yaml.h"

namespace fathom::function {
namespace {

using yaml::Value;

constexpr auto kStackKeys =
    std::to_array<std::string_view>({"version", "provider", "functions", "configuration"});
constexpr auto kProviderKeys = std::to_array<std::string_view>({"name", "gateway"});
constexpr auto kConfigurationKeys = std::to_array<std::string_view>({"templates", "copy"});
constexpr auto kTemplateKeys = std::to_array<std::string_view>({"name", "source"});
constexpr auto kResourceKeys = std::to_array<std::string_view>({"memory", "cpu"});
constexpr auto kEnvironmentFileKeys = std::to_array<std::string_view>({"environment"});
constexpr auto kFunctionKeys = std::to_array<std::string_view>({"lang",
                                                                "handler",
                                                                "image",
                                                                "fprocess",
                                                                "environment",
                                                                "environment_file",
                                                                "secrets",
                                                                "constraints",
                                                                "labels",
                                                                "annotations",
                                                                "build_options",
                                                                "build_args",
                                                                "build_secrets",
                                                                "limits",
                                                                "requests",
                                                                "skip_build",
                                                                "readonly_root_filesystem",
                                                                "readOnlyRootFilesystem",
                                                                "namespace",
                                                                "platforms"});

// Edits (insert, remove, change) between two words.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t column = 0; column <= b.size(); ++column) row[column] = column;
    for (std::size_t line = 1; line <= a.size(); ++line) {
        auto diagonal = row[0];
        row[0] = line;
        for (std::size_t column = 1; column <= b.size(); ++column) {
            const auto change = diagonal + (a[line - 1] == b[column - 1] ? 0 : 1);
            diagonal = row[column];
            row[column] = std::min({change, row[column] + 1, row[column - 1] + 1});
        }
    }
    return row.back();
}

// The known key that was probably meant; empty when none is near.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
    constexpr std::size_t kWordMax = 64;
    if (word.size() > kWordMax) return {};
    std::string_view best;
    auto best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
    for (const auto key : known) {
        const auto distance = edit_distance(word, key);
        if (distance < best_distance) {
            best = key;
            best_distance = distance;
        }
    }
    return best;
}

std::string join(std::string_view path, std::string_view key) {
    return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

std::vector<std::string> split_at_commas(std::string_view text) {
    std::vector<std::string> parts;
    for (;;) {
        const auto comma = text.find(',');
        auto part = text.substr(0, comma);
        while (part.starts_with(' ')) part.remove_prefix(1);
        while (part.ends_with(' ')) part.remove_suffix(1);
        if (!part.empty()) parts.emplace_back(part);
        if (comma == std::string_view::npos) return parts;
        text.remove_prefix(comma + 1);
    }
}

// Reads typed fields out of the tree. The first error is remembered and everything after it reads
// as absent, so that the code below is a list of fields; done() says how it went.
class Reader {
public:
    explicit Reader(const StackOptions& options) : options_(options) {}

    Result<> done() {
        if (error_) return fail(std::move(*error_));
        return {};
    }
    std::vector<std::string> take_warnings() { return std::move(warnings_); }

    void refuse(int line, std::string_view path, std::string_view found,
                std::string_view accepted) {
        refuse(line, fmt::format("{} is {}; accepted: {}", path, found, accepted));
    }
    void refuse(int line, std::string_view why) {
        if (error_) return;
        error_.emplace(Errc::invalid, fmt::format("{}:{}: {}", options_.file_name, line, why));
    }

    // Whether `node` is a map, with a warning for each key that is not in `known`.
    bool is_map(const Value& node, std::string_view path, std::span<const std::string_view> known) {
        if (error_) return false;
        if (!node.is_map()) {
            refuse(node.line, path.empty() ? "the document" : path, shown(node), "a map");
            return false;
        }
        for (const auto& entry : node.children) {
            if (std::ranges::find(known, entry.key) == known.end())
                warn_unknown(entry, path, known);
        }
        return !error_;
    }

    // The entry, unless it is absent or null.
    const Value* find(const Value& map, std::string_view key) const {
        const auto* entry = error_ ? nullptr : map.find(key);
        return entry == nullptr || entry->is_null() ? nullptr : entry;
    }

    void read(const Value& map, std::string_view path, std::string_view key, std::string& into) {
        const auto* entry = find(map, key);
        if (entry == nullptr) return;
        if (!entry->is_scalar()) {
            return refuse(entry->line, join(path, key), shown(*entry), "a text");
        }
        into = entry->text;
    }

    void read(const Value& map, std::string_view path, std::string_view key, bool& into) {
        const auto* entry = find(map, key);
        if (entry == nullptr) return;
        constexpr auto kTrue = std::to_array<std::string_view>(
            {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"});
        constexpr auto kFalse = std::to_array<std::string_view>(
            {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"});
        const bool is_true = std::ranges::find(kTrue, entry->text) != kTrue.end();
        const bool is_false = std::ranges::find(kFalse, entry->text) != kFalse.end();
        if (!entry->is_scalar() || (!is_true && !is_false)) {
            return refuse(entry->line, join(path, key), shown(*entry), "true or false");
        }
        into = is_true;
    }

    void read(const Value& map, std::string_view path, std::string_view key,
              std::vector<std::string>& into) {
        const auto* entry = find(map, key);
        if (entry == nullptr) return;
        if (!entry->is_list()) {
            return refuse(entry->line, join(path, key), shown(*entry), "a list of texts");
        }
        for (const auto& each : entry->children) {
            if (!each.is_scalar()) {
                return refuse(each.line, fmt::format("{}[{}]", join(path, key), into.size()),
                              shown(each), "a text");
            }
            into.push_back(each.text);
        }
    }

    void read(const Value& map, std::string_view path, std::string_view key, StringMap& into) {
        const auto* entry = find(map, key);
        if (entry != nullptr) read_texts(*entry, join(path, key), into);
    }
    void read(const Value& map, std::string_view path, std::string_view key,
              std::optional<StringMap>& into) {
        if (find(map, key) != nullptr) read(map, path, key, into.emplace());
    }

    void read(const Value& map, std::string_view path, std::string_view key,
              std::optional<Resources>& into) {
        const auto* entry = find(map, key);
        const auto inner = join(path, key);
        if (entry == nullptr || !is_map(*entry, inner, kResourceKeys)) return;
        auto& resources = into.emplace();
        read(*entry, inner, "memory", resources.memory);
        read(*entry, inner, "cpu", resources.cpu);
        check_quantity(*entry, inner, "memory", parse_bytes);
        check_quantity(*entry, inner, "cpu", parse_cpu);
    }

    // A map of texts in which null is the empty text, as faas-cli reads it.
    void read_texts(const Value& node, const std::string& path, StringMap& into) {
        if (!node.is_map()) {
            return refuse(node.line, path, shown(node), "a map of names and texts (NAME: text)");
        }
        for (const auto& entry : node.children) {
            if (!entry.is_scalar() && !entry.is_null()) {
                return refuse(entry.line, join(path, entry.key), shown(entry), "a text");
            }
            into[entry.key] = entry.text;
        }
    }

    // `environment`, also in the form {variables: {...}}, which is flattened.
    void read_environment(const Value& map, std::string_view path, StringMap& into) {
        const auto* entry = find(map, "environment");
        if (entry == nullptr) return;
        const auto inner = join(path, "environment");
        const auto* variables = entry->find("variables");
        if (variables == nullptr || !variables->is_map()) return read_texts(*entry, inner, into);
        auto rest = *entry;
        std::erase_if(rest.children, [](const Value& each) { return each.key == "variables"; });
        read_texts(*variables, join(inner, "variables"), into);
        read_texts(rest, inner, into);
    }

private:
    // A value as it stands in a message.
    static std::string shown(const Value& node) {
        if (!node.is_scalar()) return std::string(node.kind_name());
        constexpr std::size_t kShownMax = 60;
        if (node.text.size() <= kShownMax) return fmt::format("\"{}\"", node.text);
        return fmt::format("\"{}...\"", std::string_view(node.text).substr(0, kShownMax));
    }

    void warn_unknown(const Value& entry, std::string_view path,
                      std::span<const std::string_view> known) {
        if (entry.key.starts_with("x-")) return;
        auto text = fmt::format("unknown field {}", join(path, entry.key));
        if (const auto near = nearest(entry.key, known); !near.empty()) {
            text += fmt::format("; did you mean \"{}\"?", near);
        } else {
            text += fmt::format("; known here: {}", fmt::join(known, ", "));
        }
        if (options_.strictness == Strictness::strict) return refuse(entry.key_line, text);
        warnings_.push_back(
            fmt::format("{}:{}: {} (ignored)", options_.file_name, entry.key_line, text));
    }

    template <class Parse>
    void check_quantity(const Value& map, std::string_view path, std::string_view key,
                        Parse parse) {
        const auto* entry = find(map, key);
        if (entry == nullptr || entry->text.empty()) return;
        if (auto value = parse(entry->text); !value) {
            refuse(entry->line, fmt::format("{}: {}", join(path, key), value.error().message()));
        }
    }

    const StackOptions& options_;
    std::optional<Error> error_;
    std::vector<std::string> warnings_;
};

StackFunction read_function(Reader& reader, const Value& node) {
    StackFunction function;
    function.name = node.key;
    function.line = node.key_line;
    const auto path = join("functions", node.key);
    if (auto name = check_name("function name", node.key); !name) {
        reader.refuse(node.key_line, name.error().message());
    }
    if (!reader.is_map(node, path, kFunctionKeys)) return function;

    reader.read(node, path, "lang", function.language);
    reader.read(node, path, "handler", function.handler);
    reader.read(node, path, "image", function.image);
    reader.read(node, path, "fprocess", function.env_process);
    reader.read(node, path, "namespace", function.space);
    reader.read_environment(node, path, function.environment);
    reader.read(node, path, "environment_file", function.environment_files);
    reader.read(node, path, "secrets", function.secrets);
    reader.read(node, path, "constraints", function.constraints);
    reader.read(node, path, "build_options", function.build_options);
    reader.read(node, path, "labels", function.labels);
    reader.read(node, path, "annotations", function.annotations);
    reader.read(node, path, "build_args", function.build_args);
    reader.read(node, path, "build_secrets", function.build_secrets);
    reader.read(node, path, "limits", function.limits);
    reader.read(node, path, "requests", function.requests);
    reader.read(node, path, "skip_build", function.is_build_skipped);
    reader.read(node, path, "readOnlyRootFilesystem", function.has_readonly_root);
    reader.read(node, path, "readonly_root_filesystem", function.has_readonly_root);
    std::string platforms;
    reader.read(node, path, "platforms", platforms);
    function.platforms = split_at_commas(platforms);
    return function;
}

void read_version(Reader& reader, const Value& root, Stack& stack) {
    reader.read(root, "", "version", stack.version);
    if (!stack.version.empty() && stack.version != "1.0") {
        reader.refuse(root.find("version")->line, "version", fmt::format("\"{}\"", stack.version),
                      "1.0");
    }
}

void read_provider(Reader& reader, const Value& root, Stack& stack) {
    const auto* provider = reader.find(root, "provider");
    if (provider == nullptr || !reader.is_map(*provider, "provider", kProviderKeys)) return;
    std::string name;
    reader.read(*provider, "provider", "name", name);
    reader.read(*provider, "provider", "gateway", stack.gateway);
    if (!name.empty() && name != "openfaas") {
        reader.refuse(provider->find("name")->line, "provider.name", fmt::format("\"{}\"", name),
                      "openfaas");
    }
}

void read_functions(Reader& reader, const Value& root, Stack& stack) {
    const auto* functions = reader.find(root, "functions");
    if (functions == nullptr) return;
    if (!functions->is_map()) {
        return reader.refuse(functions->line, "functions", functions->kind_name(),
                             "a map of function names and their fields");
    }
    for (const auto& each : functions->children) {
        stack.functions.push_back(read_function(reader, each));
    }
}

void read_configuration(Reader& reader, const Value& root, Stack& stack) {
    const std::string path = "configuration";
    const auto* configuration = reader.find(root, path);
    if (configuration == nullptr || !reader.is_map(*configuration, path, kConfigurationKeys))
        return;
    reader.read(*configuration, path, "copy", stack.copied_paths);
    const auto* templates = reader.find(*configuration, "templates");
    if (templates == nullptr) return;
    if (!templates->is_list()) {
        return reader.refuse(templates->line, "configuration.templates", templates->kind_name(),
                             "a list of {name, source}");
    }
    for (const auto& each : templates->children) {
        const auto inner = fmt::format("configuration.templates[{}]", stack.templates.size());
        if (!reader.is_map(each, inner, kTemplateKeys)) return;
        auto& read = stack.templates.emplace_back();
        reader.read(each, inner, "name", read.name);
        reader.read(each, inner, "source", read.source);
    }
}

Result<Value> read_document(std::string_view text, const StackOptions& options) {
    if (options.substitution == Substitution::off) return yaml::read(text, options.file_name);
    if (text.size() > yaml::kDocumentBytesMax) return yaml::read(text, options.file_name);
    const EnvLookup nothing = [](std::string_view) { return std::nullopt; };
    auto substituted = substitute(text, options.lookup ? options.lookup : nothing);
    if (!substituted) {
        return fail(std::move(substituted).error().because(options.file_name));
    }
    return yaml::read(*substituted, options.file_name);
}

}  // namespace

Result<Stack> read_stack(std::string_view text, const StackOptions& options) {
    const auto root = read_document(text, options);
    if (!root) return fail(root.error());
    Stack stack;
    Reader reader(options);
    if (reader.is_map(*root, "", kStackKeys)) {
        read_version(reader, *root, stack);
        read_provider(reader, *root, stack);
        read_functions(reader, *root, stack);
        read_configuration(reader, *root, stack);
    }
    if (auto done = reader.done(); !done) return fail(std::move(done).error());
    stack.warnings = reader.take_warnings();
    return stack;
}

Result<StringMap> read_environment_file(std::string_view text, const StackOptions& options) {
    const auto root = read_document(text, options);
    if (!root) return fail(root.error());
    StringMap environment;
    if (root->is_null()) return environment;
    Reader reader(options);
    if (reader.is_map(*root, "", kEnvironmentFileKeys)) {
        reader.read_environment(*root, "", environment);
    }
    if (auto done = reader.done(); !done) return fail(std::move(done).error());
    return environment;
}

FunctionSpec to_spec(const StackFunction& function) {
    FunctionSpec spec;
    spec.name.name = function.name;
    if (!function.space.empty()) spec.name.space = function.space;
    spec.image = function.image;
    spec.env_process = function.env_process;
    spec.environment = function.environment;
    spec.constraints = function.constraints;
    spec.secrets = function.secrets;
    spec.labels = function.labels.value_or(StringMap{});
    spec.annotations = function.annotations.value_or(StringMap{});
    spec.limits = function.limits;
    spec.requests = function.requests;
    spec.has_readonly_root = function.has_readonly_root;
    return spec;
}

}  // namespace fathom::function
