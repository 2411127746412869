#include "cli/gateway.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/credentials.h"
#include "cli/print.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::json;

std::string normalised(std::string_view text) {
    std::string url(text);
    std::transform(url.begin(), url.end(), url.begin(), [](unsigned char c) {
        return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    });
    while (url.ends_with('/')) url.pop_back();
    if (url.find("://") == std::string::npos) url = "http://" + url;
    return url;
}

std::string query_of(std::string_view space) {
    return space.empty() ? std::string() : "?namespace=" + encode(space);
}

std::string text_field(const Json& json, const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// What the gateway adds to a status that OpenFaaS does not know.
void read_additions(std::string_view body, Deployed& deployed) {
    deployed.updated = deployed.status.available;
    const auto json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return;
    deployed.trouble = text_field(json, "trouble");
    const auto updated = json.find("updatedReplicas");
    if (updated != json.end() && updated->is_number_unsigned())
        deployed.updated = updated->get<unsigned>();
}

}  // namespace

std::string choose_gateway(const Ports& ports, std::string_view flag, std::string_view stack,
                           FlagWins rule) {
    const auto counts = [](std::string_view url) {
        return !url.empty() && normalised(url) != kDefaultGateway;
    };
    if (counts(flag) || (rule == FlagWins::always && !flag.empty())) return normalised(flag);
    if (counts(stack)) return normalised(stack);
    const auto variable = ports.environment("OPENFAAS_URL").value_or("");
    return normalised(variable.empty() ? kDefaultGateway : std::string_view(variable));
}

Result<Gateway> Gateway::open(Ports& ports, std::string url, std::string_view token) {
    auto place = GatewayUrl::parse(url);
    if (!place) return fail(std::move(place).error());
    Gateway gateway(ports, std::move(url), std::move(*place));
    auto stored = Credentials(config_folder(ports.environment)).find(gateway.text_);
    if (!stored) return fail(std::move(stored).error());
    if (*stored) {
        gateway.authorization_ = **stored;
    } else if (!token.empty()) {
        gateway.authorization_ = fmt::format("Bearer {}", token);
    }
    return gateway;
}

Result<Reply> Gateway::call(Request request) const {
    request.headers.emplace_back("User-Agent", "fathom/" + ports_->release);
    auto reply = ports_->transport.send(place_, request);
    if (!reply) {
        const auto& error = reply.error();
        if (error.code() == Errc::unavailable)
            return fail(Errc::unavailable,
                        "cannot reach the gateway at {} ({}): start one with \"fathom serve\", or "
                        "say where it is with --gateway or OPENFAAS_URL",
                        text_, error.message());
        return fail(error.code(), "the gateway at {}: {}", text_, error.message());
    }
    return reply;
}

Result<Reply> Gateway::send(Request request) const {
    if (!authorization_.empty()) request.headers.emplace_back("Authorization", authorization_);
    auto reply = call(std::move(request));
    if (!reply) return reply;
    if (reply->status == 401)
        return fail(Errc::unauthorized,
                    "unauthorized access, run \"fathom login --gateway {}\" to setup "
                    "authentication for this server",
                    text_);
    return reply;
}

Result<std::vector<function::Status>> Gateway::functions(std::string_view space) const {
    auto reply = send({.target = "/system/functions" + query_of(space)});
    if (!reply) return fail(std::move(reply).error());
    if (reply->status != 200) return fail(unexpected(*reply));
    auto list = function::read_statuses(reply->body);
    if (!list) return fail(std::move(list).error().because("the gateway's answer"));
    return list;
}

Result<Deployed> Gateway::function(std::string_view name, std::string_view space) const {
    const auto query = query_of(space);
    auto reply = send({.target = fmt::format("/system/function/{}{}{}", encode(name), query,
                                             query.empty() ? "?usage=1" : "&usage=1")});
    if (!reply) return fail(std::move(reply).error());
    if (reply->status == 404) return fail(Errc::not_found, "no such function: {}", name);
    if (reply->status != 200) return fail(unexpected(*reply));
    auto status = function::read_status(reply->body);
    if (!status) return fail(std::move(status).error().because("the gateway's answer"));
    Deployed deployed{.status = std::move(*status), .updated = 0, .trouble = ""};
    read_additions(reply->body, deployed);
    return deployed;
}

Result<Reply> Gateway::put_function(std::string_view method,
                                    const function::FunctionSpec& spec) const {
    return send({.method = std::string(method),
                 .target = "/system/functions",
                 .headers = {{"Content-Type", "application/json"}},
                 .body = function::write_deployment(spec)});
}

Result<Reply> Gateway::remove_function(std::string_view name, std::string_view space) const {
    Json body = {{"functionName", name}};
    if (!space.empty()) body["namespace"] = space;
    return send({.method = "DELETE",
                 .target = "/system/functions",
                 .headers = {{"Content-Type", "application/json"}},
                 .body = body.dump(-1, ' ', false, Json::error_handler_t::replace)});
}

Result<std::string> Gateway::info() const {
    auto reply = send({.target = "/system/info", .within = 5s});
    if (!reply) return fail(std::move(reply).error());
    if (reply->status != 200) return fail(unexpected(*reply));
    return std::move(reply->body);
}

Result<std::string> Gateway::put_bundle(std::string_view name, int fd, Bytes bytes) const {
    auto reply = send({.method = "POST",
                       .target = "/system/bundles?name=" + encode(name),
                       .headers = {{"Content-Type", "application/x-tar"}},
                       .body_fd = fd,
                       .body_bytes = bytes,
                       .within = std::nullopt});
    if (!reply) return fail(std::move(reply).error());
    if (reply->status == 404 || reply->status == 405)
        return fail(Errc::unsupported,
                    "the gateway at {} takes no handler folders, as it is not Fathom: build an "
                    "image, name it in \"image:\", and say skip_build: true",
                    text_);
    if (reply->status != 200) return fail(unexpected(*reply));
    const auto json = Json::parse(reply->body, nullptr, /*allow_exceptions=*/false);
    auto reference = json.is_object() ? text_field(json, "reference") : std::string();
    if (reference.empty())
        return fail(Errc::bad_upstream, "the gateway took the bundle, but named no reference");
    return reference;
}

void Gateway::warn_if_exposed() const {
    if (!place_.is_local())
        note(*ports_,
             "WARNING! You are not using an encrypted connection to the gateway, consider using "
             "HTTPS.\n");
}

Error unexpected(const Reply& reply) {
    std::string_view message = reply.body;
    while (message.ends_with('\n')) message.remove_suffix(1);
    return {Errc::bad_upstream,
            fmt::format("unexpected status: {}, message: {}", reply.status,
                        message.empty() ? std::string_view(reply.reason) : message)};
}

std::string encode(std::string_view text) {
    std::string encoded;
    for (const char c : text) {
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
                              c == '~';
        if (is_plain) {
            encoded += c;
        } else {
            encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return encoded;
}

}  // namespace fathom::cli
