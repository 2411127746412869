#include "provider/local/launch_spec.h"

namespace fathom::provider {
namespace {

constexpr std::string_view kEgressKey = "com.fathom.egress";
constexpr std::string_view kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace

Result<sandbox::Egress> egress_of(const FunctionSpec& spec) {
    const auto text = spec.annotation(kEgressKey);
    if (text.empty() || text == "open") return sandbox::Egress::open;
    if (text == "none") return sandbox::Egress::none;
    return fail(Errc::invalid, "annotations.{} \"{}\" is not \"open\" or \"none\"", kEgressKey,
                text);
}

Result<sandbox::LaunchSpec> make_launch_spec(const FunctionSpec& spec, std::uint64_t revision,
                                             const image::Image& image, std::string id) {
    sandbox::LaunchSpec launch;
    launch.function = spec.name.text();
    launch.revision = revision;
    launch.files = image.root;
    launch.command = image.command;
    auto egress = egress_of(spec);
    if (!egress) return fail(std::move(egress).error());
    launch.egress = *egress;
    if (spec.limits && !spec.limits->memory.empty()) {
        auto memory = parse_bytes(spec.limits->memory);
        if (!memory) return fail(std::move(memory).error().because("limits.memory"));
        launch.memory_bytes_max = *memory;
    }
    if (spec.limits && !spec.limits->cpu.empty()) {
        auto cpu = parse_cpu(spec.limits->cpu);
        if (!cpu) return fail(std::move(cpu).error().because("limits.cpu"));
        launch.cpu_max = *cpu;
    }
    auto& environment = launch.environment;
    for (const auto& [name, value] : spec.environment) environment[name] = value;
    if (!spec.env_process.empty()) environment.try_emplace("fprocess", spec.env_process);
    for (const auto& [name, value] : image.environment) environment.try_emplace(name, value);
    environment.try_emplace("PATH", kPath);
    environment.try_emplace("HOME", "/home/app");
    environment.try_emplace("HOSTNAME", id);
    environment.try_emplace("OPENFAAS_NAME", spec.name.name);
    environment.try_emplace("OPENFAAS_NAMESPACE", spec.name.space);
    environment["LISTEN_FDS"] = "1";
    environment["FATHOM_LISTEN_FD"] = "3";
    environment.erase("LISTEN_PID");  // set by the keeper, which alone knows it
    launch.id = std::move(id);
    return launch;
}

}  // namespace fathom::provider
