#include "cli/credentials.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "rt/socket.h"

namespace fathom::cli {
namespace {

namespace fs = std::filesystem;

// yaml-cpp throws; nothing of it leaves this file.
Result<YAML::Node> load(const std::string& path) {
    std::ifstream file(path);
    if (!file) return YAML::Node(YAML::NodeType::Map);
    try {
        auto node = YAML::Load(file);
        if (node.IsNull()) return YAML::Node(YAML::NodeType::Map);
        if (!node.IsMap()) return fail(Errc::invalid, "{} is not a YAML map", path);
        const auto auths = node["auths"];
        if (auths && !auths.IsSequence() && !auths.IsNull())
            return fail(Errc::invalid, "{}: \"auths\" must be a list", path);
        return node;
    } catch (const YAML::Exception& error) {
        return fail(Errc::invalid, "{}: {}", path, error.what());
    }
}

Result<> store(const std::string& folder, const std::string& path, const YAML::Node& node) {
    std::error_code error;
    const bool is_new = fs::create_directories(folder, error);
    if (error) return fail(Errc::forbidden, "cannot make {}: {}", folder, error.message());
    if (is_new) ::chmod(folder.c_str(), 0700);

    const auto text = YAML::Dump(node) + "\n";
    const auto unfinished = fmt::format("{}.{}.new", path, ::getpid());
    const rt::Fd file(::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const bool is_written =
        file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    if (is_written && ::rename(unfinished.c_str(), path.c_str()) == 0) return {};
    return fail_errno(Errc::forbidden, errno, fmt::format("cannot write {}", path));
}

std::string text_of(const YAML::Node& node, const char* key) {
    const auto value = node.IsMap() ? node[key] : YAML::Node();
    return value && value.IsScalar() ? value.Scalar() : std::string();
}

// All entries but the one for `gateway`, and whether there was one.
std::pair<YAML::Node, bool> without(const YAML::Node& auths, std::string_view gateway) {
    YAML::Node others(YAML::NodeType::Sequence);
    bool was_there = false;
    if (!auths || !auths.IsSequence()) return {others, false};
    for (const auto& entry : auths) {
        if (text_of(entry, "gateway") == gateway) {
            was_there = true;
        } else {
            others.push_back(entry);
        }
    }
    return {others, was_there};
}

}  // namespace

std::string config_folder(const function::EnvLookup& environment) {
    if (auto folder = environment("OPENFAAS_CONFIG"); folder && !folder->empty()) return *folder;
    const auto ci = environment("CI").value_or("");
    if (ci == "true" || ci == "1") return ".openfaas";
    return environment("HOME").value_or(".") + "/.openfaas";
}

Result<std::optional<std::string>> Credentials::find(std::string_view gateway) const {
    auto node = load(path());
    if (!node) return fail(std::move(node).error());
    const auto auths = (*node)["auths"];
    if (!auths || !auths.IsSequence()) return std::optional<std::string>();
    for (const auto& entry : auths) {
        if (text_of(entry, "gateway") != gateway) continue;
        const auto token = text_of(entry, "token");
        const bool is_bearer = text_of(entry, "auth") == "oauth2";
        return std::optional(fmt::format("{} {}", is_bearer ? "Bearer" : "Basic", token));
    }
    return std::optional<std::string>();
}

Result<> Credentials::save(std::string_view gateway, std::string_view user,
                           std::string_view password) {
    auto node = load(path());
    if (!node) return fail(std::move(node).error());
    auto others = without((*node)["auths"], gateway).first;
    YAML::Node entry;
    entry["gateway"] = std::string(gateway);
    entry["auth"] = "basic";
    entry["token"] = to_base64(fmt::format("{}:{}", user, password));
    others.push_back(entry);
    (*node)["auths"] = others;
    return store(folder_, path(), *node);
}

Result<> Credentials::erase(std::string_view gateway) {
    auto node = load(path());
    if (!node) return fail(std::move(node).error());
    auto [others, was_there] = without((*node)["auths"], gateway);
    if (!was_there) return fail(Errc::not_found, "there are no credentials for {}", gateway);
    (*node)["auths"] = others;
    return store(folder_, path(), *node);
}

std::string to_base64(std::string_view bytes) {
    static constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        const auto group = bytes.substr(at, 3);
        unsigned bits = 0;
        for (std::size_t i = 0; i < 3; ++i)
            bits = bits << 8 | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0U);
        for (std::size_t digit = 0; digit < 4; ++digit)
            text += digit <= group.size() ? kDigits[bits >> (18 - 6 * digit) & 63U] : '=';
    }
    return text;
}

}  // namespace fathom::cli
