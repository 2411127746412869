// version and doctor: what this is, and whether it can work here.
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/logo.h"
#include "cli/print.h"
#include "cli/stack_file.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

// `json` at a path of keys, as text; "" when it is not there.
std::string text_at(const Json& json, std::initializer_list<const char*> keys) {
    const Json* at = &json;
    for (const auto* key : keys) {
        if (!at->is_object() || !at->contains(key)) return "";
        at = &(*at)[key];
    }
    return at->is_string() ? at->get<std::string>() : "";
}

Result<Gateway> open_gateway(Ports& ports, const Common& common) {
    auto file = load_stack(ports, common);
    if (!file && !common.yaml.empty()) return fail(std::move(file).error());
    const bool has_stack = file && *file;
    return Gateway::open(
        ports, choose_gateway(ports, common.gateway, has_stack ? (*file)->stack.gateway : ""),
        common.token);
}

Result<Json> read_info(const Gateway& gateway) {
    auto text = gateway.info();
    if (!text) return fail(std::move(text).error());
    auto json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return fail(Errc::bad_upstream, "/system/info is not a JSON object");
    return json;
}

void print_json(Ports& ports, const Json& json) {
    print(ports, "{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

void print_version_json(Ports& ports, const std::string& url, const Json& info) {
    Json json;
    json["cli"] = {{"commit", ports.commit}, {"version", ports.release}};
    json["gateway"] = {{"uri", url},
                       {"version", text_at(info, {"version", "release"})},
                       {"sha", text_at(info, {"version", "sha"})}};
    json["provider"] = {{"name", text_at(info, {"provider", "provider"})},
                        {"orchestration", text_at(info, {"provider", "orchestration"})},
                        {"version", text_at(info, {"provider", "version", "release"})},
                        {"sha", text_at(info, {"provider", "version", "sha"})}};
    print_json(ports, json);
}

// ------------------------------------------------------------------------------------------------
// doctor

void print_finding(Ports& ports, bool is_good, std::string_view name, std::string_view meaning) {
    const auto mark = is_good ? coloured(ports, Stream::out, Colour::green, "ok     ")
                              : coloured(ports, Stream::out, Colour::yellow, "missing");
    print(ports, "  {}  {:<25}  {}\n", mark, name, meaning);
}

struct Tool {
    std::string_view name;
    std::vector<std::string> command;
    std::string_view use;
};

// What `lang:` needs on the machine that builds and, with the gateway here, runs.
void check_tools(Ports& ports, Json& json) {
    const std::vector<Tool> tools = {
        {"python3", {"python3", "--version"}, "lang: python3 (apt install python3)"},
        {"node", {"node", "--version"}, "lang: node (apt install nodejs)"},
        {"c++", {"c++", "--version"}, "lang: cpp (apt install g++)"},
        {"cmake", {"cmake", "--version"}, "lang: cpp with a CMakeLists.txt (apt install cmake)"}};
    for (const auto& tool : tools) {
        auto outcome = ports.launcher.run({.argv = tool.command, .folder = ""});
        const bool is_there = outcome && outcome->exit_code == 0;
        const auto said = is_there ? outcome->output.substr(0, outcome->output.find('\n'))
                                   : fmt::format("needed for {}", tool.use);
        json.push_back({{"name", tool.name}, {"available", is_there}, {"meaning", said}});
    }
}

Json machine_json(const Machine& machine) {
    Json list = Json::array();
    for (const auto& ability : machine.abilities)
        list.push_back({{"name", ability.name},
                        {"available", ability.is_available},
                        {"meaning", ability.meaning}});
    return {{"level", machine.level}, {"abilities", list}};
}

Json examine(Ports& ports, const Result<Gateway>& gateway, const std::string& url) {
    Json report;
    auto info = gateway ? read_info(*gateway) : Result<Json>(fail(gateway.error()));
    report["gateway"] = {
        {"uri", url},
        {"available", info.has_value()},
        {"meaning", info ? fmt::format("{} {}", text_at(*info, {"provider", "provider"}),
                                       text_at(*info, {"version", "release"}))
                         : info.error().message()}};
    const bool has_doctor = info && info->contains("doctor") && (*info)["doctor"].is_object();
    if (has_doctor) {
        report["sandbox"] = (*info)["doctor"];
        report["sandbox"]["of"] = "the gateway's machine";
    } else if (ports.probe) {
        report["sandbox"] = machine_json(ports.probe());
        report["sandbox"]["of"] = "this machine, for this user";
    }
    report["tools"] = Json::array();
    check_tools(ports, report["tools"]);
    return report;
}

void print_list(Ports& ports, const Json& list) {
    if (!list.is_array()) return;
    for (const auto& each : list) {
        const auto is_there = each.is_object() && each.contains("available") &&
                              each["available"].is_boolean() && each["available"].get<bool>();
        print_finding(ports, is_there, text_at(each, {"name"}), text_at(each, {"meaning"}));
    }
}

void print_report(Ports& ports, const Json& report) {
    const auto heading = [&](std::string_view text) {
        print(ports, "{}\n", coloured(ports, Stream::out, Colour::bold, text));
    };
    heading("Gateway");
    print_finding(ports, report["gateway"]["available"].get<bool>(),
                  text_at(report, {"gateway", "uri"}), text_at(report, {"gateway", "meaning"}));
    if (report.contains("sandbox")) {
        heading(fmt::format("Sandbox: {} (of {})", text_at(report, {"sandbox", "level"}),
                            text_at(report, {"sandbox", "of"})));
        if (report["sandbox"].contains("abilities"))
            print_list(ports, report["sandbox"]["abilities"]);
    }
    heading("Languages (on this machine)");
    print_list(ports, report["tools"]);
}

}  // namespace

Result<> version(Ports& ports, const VersionOptions& options) {
    if (options.is_short) {
        print(ports, "{}\n", ports.release);
        return {};
    }
    auto gateway = open_gateway(ports, options.common);
    if (!gateway) return fail(std::move(gateway).error());
    auto info = read_info(*gateway);
    if (options.is_json) {
        print_version_json(ports, gateway->url(), info ? *info : Json::object());
        return {};
    }
    print(ports, "{}\nCLI:\n commit:  {}\n version: {}\n\nGateway\n uri:     {}\n", kLogo,
          ports.commit, ports.release, gateway->url());
    if (!info) {
        note(ports, " {}\n", info.error().message());
        return {};
    }
    print(ports, " version: {}\n sha:     {}\n\n", text_at(*info, {"version", "release"}),
          text_at(*info, {"version", "sha"}));
    print(ports,
          "Provider\n name:          {}\n orchestration: {}\n version:       {}\n sha:           "
          "{}\n",
          text_at(*info, {"provider", "provider"}), text_at(*info, {"provider", "orchestration"}),
          text_at(*info, {"provider", "version", "release"}),
          text_at(*info, {"provider", "version", "sha"}));
    return {};
}

Result<> doctor(Ports& ports, const DoctorOptions& options) {
    auto gateway = open_gateway(ports, options.common);
    const auto url = gateway ? gateway->url() : options.common.gateway;
    const auto report = examine(ports, gateway, url);
    if (options.is_json) {
        print_json(ports, report);
    } else {
        print_report(ports, report);
    }
    return {};
}

}  // namespace fathom::cli
