#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/print.h"
#include "cli/stack_file.h"

namespace fathom::cli {
namespace {

Result<> remove_one(Ports& ports, const Gateway& gateway, const std::string& name,
                    const std::string& space) {
    print(ports, "Deleting: {}.{}\n", name,
          space.empty() ? function::kDefaultNamespace : std::string_view(space));
    auto reply = gateway.remove_function(name, space);
    if (!reply) return fail(std::move(reply).error());
    if (reply->status == 404)
        return fail(Errc::not_found, "no existing function to remove: {}", name);
    if (reply->status < 200 || reply->status > 202) return fail(unexpected(*reply));
    print(ports, "Removing old function.\n");
    return {};
}

}  // namespace

Result<> remove(Ports& ports, const RemoveOptions& options) {
    std::optional<StackFile> file;
    if (options.name.empty() || !options.common.yaml.empty()) {
        auto loaded = load_stack(ports, options.common);
        if (!loaded) return fail(std::move(loaded).error());
        file = std::move(*loaded);
    }
    if (!file && options.name.empty())
        return fail(Errc::invalid, "give the name of a function, or a stack file with -f");
    const auto url = choose_gateway(ports, options.common.gateway, file ? file->stack.gateway : "");
    auto gateway = Gateway::open(ports, url, options.common.token);
    if (!gateway) return fail(std::move(gateway).error());
    if (!options.name.empty())
        return remove_one(ports, *gateway, options.name, options.common.space);

    // All of them, whatever happens to one; the first error is the answer.
    Result<> first;
    for (const auto& function : file->stack.functions) {
        const auto& space = options.common.space.empty() ? function.space : options.common.space;
        auto removed = remove_one(ports, *gateway, function.name, space);
        if (!removed && first) first = std::move(removed);
    }
    return first;
}

}  // namespace fathom::cli
