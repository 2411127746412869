#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/print.h"
#include "cli/stack_file.h"
#include "cli/time_layout.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLineBytesMax = 4U << 20;

struct Message {
    std::string name, instance, timestamp, text;
};

std::string field(const Json& json, const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string time_of(const Message& message, const LogsOptions& options) {
    if (options.time_format.empty()) return "";
    const auto at = parse_rfc3339(message.timestamp);
    return at ? in_layout(*at, options.time_format) : message.timestamp;
}

std::string plain(const Message& message, const LogsOptions& options) {
    auto line = time_of(message, options);
    if (!line.empty()) line += ' ';
    if (options.shows_name) line += message.name + " ";
    if (options.shows_instance) line += "(" + message.instance + ") ";
    return line + message.text;
}

std::string key_value(const Message& message, const LogsOptions& options) {
    std::string line;
    const auto add = [&](std::string_view key, const std::string& value) {
        line += fmt::format("{}=\"{}\" ", key, value);
    };
    if (const auto at = time_of(message, options); !at.empty()) add("timestamp", at);
    if (options.shows_name) add("name", message.name);
    if (options.shows_instance) add("instance", message.instance);
    add("text", message.text);
    return line;
}

// The lines of a stream of JSON objects, however its bytes arrive.
class Printer {
public:
    Printer(Ports& ports, const LogsOptions& options) : ports_(ports), options_(options) {}

    bool take(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto end = bytes.find('\n');
            pending_ += bytes.substr(0, end);
            if (end == std::string_view::npos) break;
            bytes.remove_prefix(end + 1);
            show(std::exchange(pending_, {}));
        }
        if (pending_.size() > kLineBytesMax) show(std::exchange(pending_, {}));
        return std::fflush(ports_.out) == 0;
    }
    void finish() { show(std::exchange(pending_, {})); }

private:
    void show(const std::string& line) {
        if (line.empty()) return;
        const auto json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
        if (!json.is_object() || options_.output == "json") {
            print(ports_, "{}\n", line);
            return;
        }
        Message message{.name = field(json, "name"),
                        .instance = field(json, "instance"),
                        .timestamp = field(json, "timestamp"),
                        .text = field(json, "text")};
        while (message.text.ends_with('\n')) message.text.pop_back();
        const bool is_plain = options_.output == "plain";
        print(ports_, "{}\n", is_plain ? plain(message, options_) : key_value(message, options_));
    }

    Ports& ports_;
    const LogsOptions& options_;
    std::string pending_;
};

Result<std::string> target_of(const Ports& ports, const LogsOptions& options,
                              const std::string& space) {
    auto target = fmt::format("/system/logs?name={}&tail={}&follow={}", encode(options.name),
                              options.lines, options.follows);
    if (!space.empty()) target += "&namespace=" + encode(space);
    if (!options.since.empty() && !options.since_time.empty())
        return fail(Errc::invalid, "--since and --since-time exclude each other: pass one of them");
    if (!options.since.empty()) {
        auto ago = parse_duration(options.since, BareSeconds::accepted);
        if (!ago) return fail(std::move(ago).error().because("--since"));
        target += "&since=" + encode(to_rfc3339(ports.clock.wall() - *ago));
    } else if (!options.since_time.empty()) {
        if (auto at = parse_rfc3339(options.since_time); !at)
            return fail(std::move(at).error().because("--since-time"));
        target += "&since=" + encode(options.since_time);
    }
    return target;
}

}  // namespace

Result<> logs(Ports& ports, const LogsOptions& given) {
    auto options = given;
    if (options.is_json) options.output = "json";
    if (options.output != "plain" && options.output != "keyvalue" && options.output != "json")
        return fail(Errc::invalid, "--output: \"{}\" is none of plain, keyvalue, json",
                    options.output);
    auto file = load_stack(ports, options.common);
    if (!file && !options.common.yaml.empty()) return fail(std::move(file).error());
    const bool has_stack = file && *file;
    const auto url = choose_gateway(ports, options.common.gateway,
                                    has_stack ? (*file)->stack.gateway : "", FlagWins::always);
    auto gateway = Gateway::open(ports, url, options.common.token);
    if (!gateway) return fail(std::move(gateway).error());
    auto target = target_of(ports, options, options.common.space);
    if (!target) return fail(std::move(target).error());

    Printer printer(ports, options);
    auto reply =
        gateway->send({.target = std::move(*target),
                       .within = std::nullopt,
                       .on_body = [&](std::string_view bytes) { return printer.take(bytes); }});
    if (!reply) return fail(std::move(reply).error());
    if (reply->status == 404) return fail(Errc::not_found, "no such function: {}", options.name);
    if (reply->status != 200) return fail(unexpected(*reply));
    printer.finish();
    return {};
}

}  // namespace fathom::cli
