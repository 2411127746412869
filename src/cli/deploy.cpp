#include <algorithm>
#include <nlohmann/json.hpp>

#include "build/build.h"
#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/print.h"
#include "cli/stack_file.h"
#include "cli/wait_ready.h"

namespace fathom::cli {
namespace {

using function::FunctionSpec;
using function::StackFunction;
using function::StringMap;

// One function on its way.
struct Item {
    FunctionSpec spec;
    std::string space;  // as the user said it; empty: the gateway's default
    std::string where;  // "stack.yml:7: ", for messages
    bool is_built = false;
    build::Source source;  // when is_built
    std::optional<build::Bundle> bundle;
};

// "a=b" into `map`; later ones win.
Result<> add_pairs(std::string_view flag, const std::vector<std::string>& texts, StringMap& map) {
    for (const auto& text : texts) {
        const auto equals = text.find('=');
        if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
            return fail(Errc::invalid, "{}: \"{}\" is not key=value with both sides filled", flag,
                        text);
        map.insert_or_assign(text.substr(0, equals), text.substr(equals + 1));
    }
    return {};
}

void add_new(std::vector<std::string>& list, const std::vector<std::string>& more) {
    for (const auto& each : more)
        if (std::find(list.begin(), list.end(), each) == list.end()) list.push_back(each);
}

Result<> add_flags(const DeployOptions& options, FunctionSpec& spec) {
    if (auto added = add_pairs("--env", options.environment, spec.environment); !added)
        return added;
    if (!spec.labels) spec.labels.emplace();
    if (auto added = add_pairs("--label", options.labels, *spec.labels); !added) return added;
    if (!spec.annotations) spec.annotations.emplace();
    if (auto added = add_pairs("--annotation", options.annotations, *spec.annotations); !added)
        return added;
    add_new(spec.secrets, options.secrets);
    if (spec.constraints.empty()) spec.constraints = options.constraints;
    if (options.is_readonly) spec.has_readonly_root = true;
    if (!options.process.empty()) spec.env_process = options.process;
    return {};
}

Result<Item> item_of(Ports& ports, const StackFile& file, const StackFunction& function,
                     const DeployOptions& options) {
    Item item{.spec = function::to_spec(function),
              .space = options.common.space.empty() ? function.space : options.common.space,
              .where = fmt::format("{}:{}: ", file.path, function.line),
              .source = {},
              .bundle = {}};
    if (!item.space.empty()) item.spec.name.space = item.space;
    for (const auto& path : function.environment_files) {
        auto text = read_text(beside(file, path));
        if (!text) return fail(std::move(text).error().because(item.where + "environment_file"));
        auto read = function::read_environment_file(
            *text, {.file_name = path, .lookup = ports.environment});
        if (!read) return fail(std::move(read).error());
        for (auto& [name, value] : *read) item.spec.environment.insert_or_assign(name, value);
    }
    if (auto added = add_flags(options, item.spec); !added) return fail(std::move(added).error());
    if (!options.image.empty()) item.spec.image = options.image;
    item.is_built =
        !function.handler.empty() && !function.is_build_skipped && options.image.empty();
    if (item.is_built)
        item.source = {.name = function.name,
                       .language = function.language,
                       .handler = beside(file, function.handler),
                       .process = item.spec.env_process};
    return item;
}

Result<Item> item_of_flags(const DeployOptions& options) {
    if (options.name.empty() || (options.image.empty() && options.handler.empty()))
        return fail(Errc::invalid,
                    "there is nothing to deploy: no stack.yml here, no -f FILE, and no --name with "
                    "--image or --handler");
    Item item{.spec = {}, .space = options.common.space, .where = "", .source = {}, .bundle = {}};
    item.spec.name.name = options.name;
    if (!item.space.empty()) item.spec.name.space = item.space;
    item.spec.image = options.image;
    if (auto added = add_flags(options, item.spec); !added) return fail(std::move(added).error());
    function::Resources limits, requests;
    limits.memory = options.memory_limit;
    limits.cpu = options.cpu_limit;
    requests.memory = options.memory_request;
    requests.cpu = options.cpu_request;
    if (limits != function::Resources{}) item.spec.limits = limits;
    if (requests != function::Resources{}) item.spec.requests = requests;
    item.is_built = options.image.empty();
    if (item.is_built)
        item.source = {.name = options.name,
                       .language = options.language,
                       .handler = options.handler,
                       .process = options.process};
    return item;
}

build::Options build_options(const Ports& ports) {
    build::Options options;
    const auto home = ports.environment("HOME").value_or(".");
    const auto cache = ports.environment("XDG_CACHE_HOME").value_or(home + "/.cache");
    options.cache_folder = cache + "/fathom/build";
    options.temporary_folder = ports.environment("TMPDIR").value_or("/tmp");
    options.compiler = ports.environment("CXX").value_or("c++");
    return options;
}

// Everything that can be wrong on this side, before the gateway is touched.
Result<> prepare(Ports& ports, Item& item) {
    if (item.is_built) {
        if (ports.has_terminal_errors && item.source.language == "cpp")
            note(ports, "Building: {}.\n", item.source.name);
        build::Builder builder(build_options(ports), ports.launcher);
        auto bundle = builder.build(item.source);
        if (!bundle)
            return fail(std::move(bundle).error().because(
                fmt::format("{}function {}", item.where, item.source.name)));
        item.bundle = std::move(*bundle);
        item.spec.image = "fathom.local/" + item.source.name;  // until the gateway names it
    }
    if (item.spec.image.empty())
        return fail(Errc::invalid,
                    "{}function {}: there is no handler: say which folder holds it, such as "
                    "handler: ./{}",
                    item.where, item.spec.name.name, item.spec.name.name);
    if (auto checked = function::check(item.spec); !checked)
        return fail(checked.error().code(), "{}function {}: {}", item.where, item.spec.name.name,
                    checked.error().message());
    return {};
}

Result<Reply> send_deployment(const Gateway& gateway, const DeployOptions& options,
                              const Item& item) {
    if (options.replace.value_or(false)) {
        auto removed = gateway.remove_function(item.spec.name.name, item.space);
        if (!removed) return removed;
        return gateway.put_function("POST", item.spec);
    }
    if (!options.update.value_or(true)) return gateway.put_function("POST", item.spec);
    auto updated = gateway.put_function("PUT", item.spec);
    if (!updated || updated->status != 404) return updated;
    return gateway.put_function("POST", item.spec);
}

// Errors: those that end the whole; an answer that refuses only this function is in `refused`.
Result<> deploy_one(Ports& ports, const Gateway& gateway, const DeployOptions& options, Item& item,
                    std::vector<std::string>& refused) {
    const auto& name = item.spec.name.name;
    print(ports, "Deploying: {}.\n", name);
    if (item.bundle) {
        auto reference = gateway.put_bundle(name, item.bundle->file.get(), item.bundle->size);
        if (!reference) return fail(std::move(reference).error().because("function " + name));
        item.spec.image = std::move(*reference);
    }
    auto reply = send_deployment(gateway, options, item);
    if (!reply) return fail(std::move(reply).error());
    if (reply->status < 200 || reply->status > 202) {
        print(ports, "\n{}\n\n", capitalised(unexpected(*reply).message()));
        refused.push_back(fmt::format("Function '{}' failed to deploy with status code: {}", name,
                                      reply->status));
        return {};
    }
    if (reply->status == 200)
        print(ports, "Function {} already exists, attempting rolling-update.\n", name);
    print(ports, "\nDeployed. {} {}.\nURL: {}/function/{}{}{}\n\n", reply->status, reply->reason,
          gateway.url(), name, item.space.empty() ? "" : ".", item.space);
    return {};
}

Result<> deploy_all(Ports& ports, const Gateway& gateway, const DeployOptions& options,
                    std::vector<Item>& items) {
    auto wait_max = parse_duration(options.wait_max, BareSeconds::accepted);
    if (!wait_max) return fail(std::move(wait_max).error().because("--timeout"));
    for (auto& item : items)
        if (auto prepared = prepare(ports, item); !prepared) return prepared;

    std::vector<std::string> refused;
    std::vector<FunctionSpec> deployed;
    for (auto& item : items) {
        const auto refused_before = refused.size();
        if (auto done = deploy_one(ports, gateway, options, item, refused); !done) return done;
        if (refused.size() == refused_before) deployed.push_back(item.spec);
    }
    if (options.waits) {
        auto troubles = wait_ready(ports, gateway, deployed, *wait_max);
        if (!troubles) return fail(std::move(troubles).error());
        refused.insert(refused.end(), troubles->begin(), troubles->end());
    }
    if (refused.empty()) return {};
    std::string text;
    for (const auto& sentence : refused) text += (text.empty() ? "" : "\n") + sentence;
    return fail(Errc::bad_upstream, "{}", text);
}

}  // namespace

Result<> deploy(Ports& ports, const DeployOptions& options) {
    if (options.update.value_or(false) && options.replace.value_or(false))
        return fail(Errc::invalid,
                    "cannot specify --update and --replace at the same time. One of --update or "
                    "--replace must be false");
    // Flags that say all of it need no file, unless one is named.
    const bool has_flags =
        !options.name.empty() && (!options.image.empty() || !options.handler.empty());
    std::optional<StackFile> file;
    if (!has_flags || !options.common.yaml.empty()) {
        auto loaded = load_stack(ports, options.common);
        if (!loaded) return fail(std::move(loaded).error());
        file = std::move(*loaded);
    }

    std::vector<Item> items;
    if (file) {
        for (const auto& function : file->stack.functions) {
            auto item = item_of(ports, *file, function, options);
            if (!item) return fail(std::move(item).error());
            items.push_back(std::move(*item));
        }
        if (items.empty()) return fail(Errc::invalid, "{} holds no functions", file->path);
    } else {
        auto item = item_of_flags(options);
        if (!item) return fail(std::move(item).error());
        items.push_back(std::move(*item));
    }

    const auto url = choose_gateway(ports, options.common.gateway, file ? file->stack.gateway : "");
    auto gateway = Gateway::open(ports, url, options.common.token);
    if (!gateway) return fail(std::move(gateway).error());
    gateway->warn_if_exposed();
    return deploy_all(ports, *gateway, options, items);
}

}  // namespace fathom::cli
