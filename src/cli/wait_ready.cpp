#include "cli/wait_ready.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace fathom::cli {
namespace {

using Json = nlohmann::json;

constexpr Duration kFirstPause = 20ms;
constexpr Duration kPauseMax = 400ms;
// A reason that stays for so long is the answer: waiting on does not help.
constexpr Duration kTroubleMax = 3s;
constexpr int kLogLines = 10;

bool is_fathom(std::string_view info) {
    const auto json = Json::parse(info, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return false;
    const auto provider = json.find("provider");
    if (provider == json.end() || !provider->is_object()) return false;
    const auto name = provider->find("provider");
    return name != provider->end() && name->is_string() &&
           name->get<std::string>().starts_with("fathom");
}

std::string last_log_lines(const Gateway& gateway, const function::FunctionName& name) {
    auto reply = gateway.send(
        {.target = fmt::format("/system/logs?name={}&namespace={}&tail={}&follow=false",
                               encode(name.name), encode(name.space), kLogLines),
         .within = 5s});
    if (!reply || reply->status != 200) return "";
    std::string lines;
    for (std::string_view rest = reply->body; !rest.empty();) {
        const auto end = std::min(rest.find('\n'), rest.size());
        const auto json = Json::parse(rest.substr(0, end), nullptr, /*allow_exceptions=*/false);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        const auto text = json.is_object() ? json.find("text") : json.end();
        if (json.is_object() && text != json.end() && text->is_string())
            lines += "  " + text->get<std::string>() + "\n";
    }
    return lines;
}

std::string explain(const Gateway& gateway, const function::FunctionName& name,
                    const std::string& trouble, Duration waited) {
    auto text = fmt::format("Function '{}' is deployed, but was not ready after {}", name.name,
                            to_text(std::chrono::floor<std::chrono::milliseconds>(waited)));
    if (!trouble.empty()) text += ": " + trouble;
    while (text.ends_with('\n')) text.pop_back();
    if (trouble.find('\n') == std::string::npos) {  // otherwise they are in it already
        const auto lines = last_log_lines(gateway, name);
        if (!lines.empty()) text += "\nIts last log lines:\n" + lines;
    }
    if (!text.ends_with('\n')) text += "\n";
    return text + fmt::format("Follow it with: fathom logs {}", name.name);
}

}  // namespace

Result<std::vector<std::string>> wait_ready(Ports& ports, const Gateway& gateway,
                                            const std::vector<function::FunctionSpec>& functions,
                                            Duration wait_max) {
    std::vector<std::string> troubles;
    if (functions.empty() || wait_max <= Duration::zero()) return troubles;
    auto info = gateway.info();
    if (!info || !is_fathom(*info)) return troubles;

    Duration waited{};
    for (const auto& spec : functions) {
        Duration troubled{};
        for (auto pause = kFirstPause;; pause = std::min(pause * 3 / 2, kPauseMax)) {
            auto deployed = gateway.function(spec.name.name, spec.name.space);
            if (!deployed) return fail(std::move(deployed).error());
            if (deployed->status.replicas == 0 || deployed->updated > 0) break;
            if (deployed->trouble.empty()) troubled = {};
            if (waited >= wait_max || troubled >= kTroubleMax) {
                troubles.push_back(explain(gateway, spec.name, deployed->trouble, waited));
                break;
            }
            ports.transport.sleep(pause);
            waited += pause;
            troubled += pause;
        }
    }
    return troubles;
}

}  // namespace fathom::cli
