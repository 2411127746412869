// list and describe: the columns are faas-cli's, since scripts cut them.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/print.h"
#include "cli/stack_file.h"

namespace fathom::cli {
namespace {

using function::Status;
using Json = nlohmann::ordered_json;

std::string count_text(double count) {
    return fmt::format("{:.0f}", count);
}

// As Go prints a time: "2026-11-21 12:46:37 +0000 UTC".
std::string go_time(Clock::Wall at) {
    auto text = to_rfc3339(at);  // 2026-11-21T12:46:37Z
    std::replace(text.begin(), text.end(), 'T', ' ');
    if (text.ends_with('Z')) text.pop_back();
    return text + " +0000 UTC";
}

Result<> sort(std::vector<Status>& list, std::string_view order) {
    const auto by = [&](auto key) {
        std::sort(list.begin(), list.end(), [&](const Status& a, const Status& b) {
            return std::tuple(key(a), a.spec.name) < std::tuple(key(b), b.spec.name);
        });
    };
    if (order == "name") {
        by([](const Status&) { return 0; });
    } else if (order == "invocations") {
        by([](const Status& each) { return -each.invocation_count; });
    } else if (order == "creation") {
        by([](const Status& each) { return each.created_at; });
    } else {
        return fail(Errc::invalid, "--sort: \"{}\" is none of name, invocations, creation", order);
    }
    return {};
}

void print_table(Ports& ports, const std::vector<Status>& list) {
    print(ports, "{:<30}\t{:<15}\t{:<5}\n", "Function", "Invocations", "Replicas");
    for (const auto& each : list)
        print(ports, "{:<30}\t{:<15}\t{:<5}\n", each.spec.name.name,
              count_text(each.invocation_count), each.replicas);
}

void print_wide_table(Ports& ports, const std::vector<Status>& list) {
    std::size_t width = 40;
    for (const auto& each : list) width = std::max(width, each.spec.image.size());
    print(ports, "{:<30}\t{:<{}}\t{:<15}\t{:<5}\t{:<5}\n", "Function", "Image", width,
          "Invocations", "Replicas", "CreatedAt");
    for (const auto& each : list)
        print(ports, "{:<30}\t{:<{}}\t{:<15}\t{:<5}\t{:<5}\n", each.spec.name.name, each.spec.image,
              width, count_text(each.invocation_count), each.replicas, go_time(each.created_at));
}

void print_field(Ports& ports, std::string_view name, std::string_view value) {
    print(ports, "{:<21}{}\n", fmt::format("{}:", name), value);
}

enum class Empty { hidden, shown };

// A heading and its lines; without lines "<none>", or nothing at all.
void print_block(Ports& ports, std::string_view name, const std::vector<std::string>& lines,
                 Empty empty) {
    if (lines.empty()) {
        if (empty == Empty::shown) print_field(ports, name, "<none>");
        return;
    }
    print(ports, "{}:\n", name);
    for (const auto& line : lines) print(ports, " {}\n", line);
}

std::vector<std::string> pairs(const std::optional<function::StringMap>& map) {
    std::vector<std::string> lines;
    if (map)
        for (const auto& [name, value] : *map) lines.push_back(fmt::format("{}: {}", name, value));
    return lines;
}

std::vector<std::string> items(const std::vector<std::string>& list) {
    std::vector<std::string> lines;
    lines.reserve(list.size());
    for (const auto& each : list) lines.push_back("- " + each);
    return lines;
}

std::vector<std::string> resources(const std::optional<function::Resources>& given) {
    std::vector<std::string> lines;
    if (given && !given->cpu.empty()) lines.push_back("CPU: " + given->cpu);
    if (given && !given->memory.empty()) lines.push_back("Memory: " + given->memory);
    return lines;
}

std::vector<std::string> usage_lines(const std::optional<function::Usage>& usage) {
    if (!usage) return {};
    return {fmt::format("RAM: {:.2f} MB", usage->memory_bytes / 1024 / 1024),
            fmt::format("CPU: {:.0f} Mi", usage->cpu_millicores)};
}

struct Described {
    Deployed deployed;
    double invocations = 0;
    std::string url, async_url;
    std::string_view state() const { return deployed.status.available > 0 ? "Ready" : "Not Ready"; }
};

void print_described(Ports& ports, const Described& about, Empty empty) {
    const auto& status = about.deployed.status;
    const auto& spec = status.spec;
    const auto process = spec.env_process.empty() ? "<default>" : spec.env_process;
    print_field(ports, "Name", spec.name.name);
    print_field(ports, "Status", about.state());
    print_field(ports, "Replicas", std::to_string(status.replicas));
    print_field(ports, "Available Replicas", std::to_string(status.available));
    print_field(ports, "Invocations", count_text(about.invocations));
    print_field(ports, "Image", spec.image);
    print_field(ports, "Function Process", process);
    print_field(ports, "URL", about.url);
    print_field(ports, "Async URL", about.async_url);
    print_block(ports, "Labels", pairs(spec.labels), empty);
    print_block(ports, "Annotations", pairs(spec.annotations), empty);
    print_block(ports, "Constraints", items(spec.constraints), empty);
    print_block(ports, "Environment", pairs(spec.environment), empty);
    print_block(ports, "Secrets", items(spec.secrets), empty);
    print_block(ports, "Requests", resources(spec.requests), empty);
    print_block(ports, "Limits", resources(spec.limits), empty);
    print_block(ports, "Usage", usage_lines(status.usage), empty);
    if (!about.deployed.trouble.empty()) print(ports, "Trouble:\n {}\n", about.deployed.trouble);
}

void print_json(Ports& ports, const Json& json) {
    print(ports, "{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

Result<Gateway> open_gateway(Ports& ports, const Common& common) {
    auto file = load_stack(ports, common);
    // A broken stack file of this folder is no reason not to list.
    if (!file && !common.yaml.empty()) return fail(std::move(file).error());
    const bool has_stack = file && *file;
    return Gateway::open(
        ports, choose_gateway(ports, common.gateway, has_stack ? (*file)->stack.gateway : ""),
        common.token);
}

}  // namespace

Result<> list(Ports& ports, const ListOptions& options) {
    auto gateway = open_gateway(ports, options.common);
    if (!gateway) return fail(std::move(gateway).error());
    auto functions = gateway->functions(options.common.space);
    if (!functions) return fail(std::move(functions).error());
    if (auto sorted = sort(*functions, options.order); !sorted) return sorted;

    if (options.is_json) {
        Json array = Json::array();
        for (const auto& each : *functions)
            array.push_back(Json::parse(function::write_status(each), nullptr, false));
        print_json(ports, array);
    } else if (options.is_quiet) {
        for (const auto& each : *functions) print(ports, "{}\n", each.spec.name.name);
    } else if (options.is_verbose) {
        print_wide_table(ports, *functions);
    } else {
        print_table(ports, *functions);
    }
    return {};
}

Result<> describe(Ports& ports, const DescribeOptions& options) {
    auto gateway = open_gateway(ports, options.common);
    if (!gateway) return fail(std::move(gateway).error());
    const auto& space = options.common.space;
    auto deployed = gateway->function(options.name, space);
    if (!deployed) return fail(std::move(deployed).error());
    auto all = gateway->functions(space);
    if (!all) return fail(std::move(all).error());

    const auto suffix = space.empty() ? std::string() : "." + space;
    Described about{
        .deployed = std::move(*deployed),
        .url = fmt::format("{}/function/{}{}", gateway->url(), options.name, suffix),
        .async_url = fmt::format("{}/async-function/{}{}", gateway->url(), options.name, suffix)};
    for (const auto& each : *all)
        if (each.spec.name.name == options.name) about.invocations = each.invocation_count;

    if (!options.is_json) {
        print_described(ports, about, options.is_verbose ? Empty::shown : Empty::hidden);
        return {};
    }
    auto json = Json::parse(function::write_status(about.deployed.status), nullptr, false);
    json["Status"] = about.state();
    json["InvocationCount"] = static_cast<std::uint64_t>(about.invocations);
    json["URL"] = about.url;
    json["AsyncURL"] = about.async_url;
    print_json(ports, json);
    return {};
}

}  // namespace fathom::cli
