// The one binary: `fathom serve` is the platform and forks its keeper (sandbox/sandbox.h), every
// other verb is the client (cli/cli.h).
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "cli/cli.h"
#include "sandbox/sandbox.h"
#include "serve.h"
#include "settings.h"
#include "version.h"

namespace {

using namespace fathom;

std::optional<std::string> environment(std::string_view name) {
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr) return {};
    return value;
}

int serve(const std::vector<std::string>& arguments) {
    auto loaded = app::load_settings(arguments, environment);
    if (!loaded) {
        std::fprintf(stderr, "fathom serve: %s\n", loaded.error().message().c_str());
        return app::kExitUsage;
    }
    if (loaded->wants_help) {
        std::fputs(app::serve_help().c_str(), stdout);
        return 0;
    }
    return app::serve(std::move(loaded->settings), environment);
}

// `fathom config explain [FLAGS of serve]`: each setting, its value and where it came from.
int explain(const std::vector<std::string>& arguments) {
    auto loaded = app::load_settings(arguments, environment);
    if (!loaded) {
        std::fprintf(stderr, "fathom config explain: %s\n", loaded.error().message().c_str());
        return app::kExitUsage;
    }
    if (loaded->wants_help) {
        std::fputs(app::serve_help().c_str(), stdout);
        return 0;
    }
    for (const auto& [name, value, source] : loaded->explained) {
        std::printf("%-18s %-24s %s\n", name.c_str(), value.c_str(), source.c_str());
    }
    return 0;
}

cli::Machine probe() {
    const auto found = sandbox::probe();
    cli::Machine machine{.level = std::string(sandbox::text_of(found.level)), .abilities = {}};
    for (const auto& ability : found.list) {
        machine.abilities.push_back({ability.name, ability.is_available, ability.meaning});
    }
    return machine;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (!arguments.empty() && arguments[0] == "serve") {
        return serve({arguments.begin() + 1, arguments.end()});
    }
    if (arguments.size() >= 2 && arguments[0] == "config" && arguments[1] == "explain") {
        return explain({arguments.begin() + 2, arguments.end()});
    }
    cli::Program program{
        .release = app::kVersion, .commit = app::kCommit, .environment = {}, .probe = probe};
    for (char** variable = environ; *variable != nullptr; ++variable) {
        program.environment.emplace_back(*variable);
    }
    return cli::run(arguments, program);
}
