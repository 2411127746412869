#include "image/bundle.h"

#include <nlohmann/json.hpp>

namespace fathom::image {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kCommandWordsMax = 256;
constexpr std::size_t kEnvironmentMax = 1000;

auto wrong(std::string_view field, std::string_view accepted) {
    return fail(Errc::invalid, "{}: \"{}\" must be {}", kManifestPath, field, accepted);
}

Result<> take_command(const Json& json, Manifest& manifest) {
    if (!json.is_array() || json.empty() || json.size() > kCommandWordsMax)
        return wrong("command", "a list of 1 to 256 texts");
    for (const auto& word : json) {
        if (!word.is_string()) return wrong("command", "a list of texts");
        manifest.command.push_back(word.get<std::string>());
        if (manifest.command.back().find('\0') != std::string::npos)
            return wrong("command", "a list of texts without NUL");
    }
    if (manifest.command.front().empty())
        return wrong("command", "a list whose first is a program");
    return {};
}

Result<> take_environment(const Json& json, Manifest& manifest) {
    if (!json.is_object() || json.size() > kEnvironmentMax)
        return wrong("environment", "an object of at most 1000 texts");
    for (const auto& [name, value] : json.items()) {
        const bool is_name = !name.empty() && name.find('=') == std::string::npos &&
                             name.find('\0') == std::string::npos;
        if (!is_name || !value.is_string())
            return wrong("environment", "an object of texts, its names without \"=\"");
        auto text = value.get<std::string>();
        if (text.find('\0') != std::string::npos) return wrong("environment", "texts without NUL");
        manifest.environment.emplace(name, std::move(text));
    }
    return {};
}

}  // namespace

std::string to_json(const Manifest& manifest) {
    Json json;  // keys come out sorted
    json["format"] = kBundleFormat;
    json["name"] = manifest.name;
    json["language"] = manifest.language;
    json["command"] = manifest.command;
    json["environment"] = Json::object();
    for (const auto& [name, value] : manifest.environment) json["environment"][name] = value;
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Manifest> parse_manifest(std::string_view text) {
    const auto json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return fail(Errc::invalid, "{} is not a JSON object", kManifestPath);

    const auto format = json.find("format");
    if (format == json.end() || !format->is_number_integer() || *format < 1)
        return wrong("format", "a whole number from 1");
    if (*format > kBundleFormat)
        return fail(Errc::unsupported,
                    "the bundle has format {}, this Fathom reads up to {}: update the gateway",
                    format->dump(), kBundleFormat);

    Manifest manifest;
    const auto name = json.find("name");
    if (name == json.end() || !name->is_string()) return wrong("name", "a function name");
    manifest.name = name->get<std::string>();
    if (auto checked = function::check_name("name", manifest.name); !checked)
        return fail(std::move(checked).error().because(kManifestPath));

    const auto language = json.find("language");
    if (language != json.end()) {
        if (!language->is_string()) return wrong("language", "a text");
        manifest.language = language->get<std::string>();
    }
    const auto command = json.find("command");
    if (command == json.end()) return wrong("command", "a list of 1 to 256 texts");
    if (auto taken = take_command(*command, manifest); !taken) return fail(taken.error());
    const auto environment = json.find("environment");
    if (environment != json.end()) {
        if (auto taken = take_environment(*environment, manifest); !taken)
            return fail(taken.error());
    }
    return manifest;
}

}  // namespace fathom::image
