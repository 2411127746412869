// /system/functions and its neighbours (openfaas.com REST API).
#include <algorithm>
#include <nlohmann/json.hpp>

#include "function/json.h"
#include "gateway/routes.h"

namespace fathom::gateway {
namespace {

using function::FunctionName;
using function::FunctionSpec;
using Json = nlohmann::json;

// Runs a change on the provider's core, to its end, and answers when it is durable.
template <class Make>
Async<> change(Services& services, Make make) {
    return rt::on_core<void>(services.runtime.core(0), services.home_tasks, std::move(make));
}

std::string namespace_of(std::string_view query) {
    auto given = http::query_value(query, "namespace");
    return given && !given->empty() ? *given : std::string(function::kDefaultNamespace);
}

// JSON keys match in any case, as the original's decoder does.
std::string text_field(const Json& document, std::string_view key) {
    for (const auto& [name, value] : document.items()) {
        if (http::equals_ignoring_case(name, key) && value.is_string()) return value;
    }
    return {};
}

enum class Counts : std::uint8_t { left_out, filled };

auto updated_count(const provider::Deployment& deployment) {
    return std::count_if(deployment.replicas.begin(), deployment.replicas.end(),
                         [&](const provider::Replica& replica) {
                             return replica.state == provider::ReplicaState::ready &&
                                    replica.revision == deployment.revision;
                         });
}

std::string one(const Services& services, const provider::Deployment& deployment, Counts counts) {
    function::Status status;
    status.spec = *deployment.spec;
    status.replicas = deployment.desired;
    status.available = deployment.ready_count();
    status.created_at = deployment.created_at;
    if (counts == Counts::filled) {
        status.invocation_count =
            static_cast<double>(services.directory.invocation_count(deployment.spec->name));
    }
    auto document = function::write_status(status);
    // Ours: ready replicas of the newest revision; 0 while an update has only old ones.
    document.pop_back();
    document += fmt::format(",\"updatedReplicas\":{}}}", updated_count(deployment));
    if (!deployment.trouble.empty()) {
        // Ours: why there are fewer ready replicas than there should be.
        document.pop_back();
        document += ",\"trouble\":" +
                    Json(deployment.trouble).dump(-1, ' ', false, Json::error_handler_t::replace) +
                    "}";
    }
    return document;
}

http::Reply list(Request& request) {
    const auto wanted = http::query_value(request.query, "namespace").value_or("");
    const auto space = wanted.empty() ? std::string(function::kDefaultNamespace) : wanted;
    if (auto good = function::check_name("namespace", space); !good) return refused(good.error());
    std::string document = "[";
    for (const auto& [name, deployment] : *request.services.directory.table()) {
        if (name.space != space) continue;
        if (document.size() > 1) document += ',';
        document += one(request.services, *deployment, Counts::filled);
    }
    return json(200, document + "]");
}

Async<http::Reply> deploy(Request& request, provider::DeployMode mode) {
    auto body = co_await read_body(request);
    if (!body) co_return fail(std::move(body).error());
    auto spec = function::read_deployment(*body);
    if (!spec) co_return fail(std::move(spec).error());
    if (auto good = function::check(*spec); !good) co_return fail(std::move(good).error());
    // Refused rather than ignored: the function would start, and miss its file at the first call.
    if (!spec->secrets.empty())
        co_return fail(Errc::invalid, "secret \"{}\" does not exist: there are no secrets yet",
                       spec->secrets.front());
    auto& services = request.services;
    auto done = co_await change(services, [&services, mode, spec = std::move(*spec)]() mutable {
        return services.provider.deploy(std::move(spec), mode);
    });
    if (!done) co_return fail(std::move(done).error());
    co_return empty(202);
}

Async<http::Reply> remove(Request& request) {
    auto body = co_await read_body(request);
    if (!body) co_return fail(std::move(body).error());
    const auto document = Json::parse(*body, nullptr, false);
    if (!document.is_object()) co_return fail(Errc::invalid, "the body is not a JSON object");
    FunctionName name{.name = text_field(document, "functionName"),
                      .space = text_field(document, "namespace")};
    if (name.space.empty()) name.space = namespace_of(request.query);
    if (name.name.empty()) {
        co_return fail(Errc::invalid, "functionName: missing; accepted: the name of a function");
    }
    auto& services = request.services;
    auto done =
        co_await change(services, [&services, name] { return services.provider.remove(name); });
    if (!done) co_return fail(std::move(done).error());
    co_return empty(202);
}

}  // namespace

Async<http::Reply> functions(Request& request) {
    if (request.method == "GET") co_return list(request);
    if (request.method == "POST") {
        co_return co_await deploy(request, provider::DeployMode::create);
    }
    if (request.method == "PUT") {
        co_return co_await deploy(request, provider::DeployMode::update);
    }
    if (request.method == "DELETE") co_return co_await remove(request);
    co_return method_not_allowed("GET, POST, PUT, DELETE");
}

Async<http::Reply> function_status(Request& request, std::string_view name) {
    if (request.method != "GET") co_return method_not_allowed("GET");
    const auto table = request.services.directory.table();
    const auto found =
        table->find(FunctionName{.name = std::string(name), .space = namespace_of(request.query)});
    if (found == table->end()) co_return empty(404);
    co_return json(200, one(request.services, *found->second, Counts::left_out));
}

Async<http::Reply> scale_function(Request& request, std::string_view path_name) {
    if (request.method != "POST") co_return method_not_allowed("POST");
    auto body = co_await read_body(request);
    if (!body) co_return fail(std::move(body).error());
    const auto document = Json::parse(*body, nullptr, false);
    if (!document.is_object()) co_return fail(Errc::invalid, "the body is not a JSON object");
    const auto replicas = document.find("replicas");
    constexpr std::int64_t kReplicasMax = 4096;
    if (replicas == document.end() || !replicas->is_number_integer() ||
        replicas->get<std::int64_t>() < 0 || replicas->get<std::int64_t>() > kReplicasMax) {
        co_return fail(Errc::invalid, "replicas: accepted: a whole number from 0 to {}",
                       kReplicasMax);
    }
    FunctionName name = FunctionName::split(path_name);
    if (path_name.find('.') == std::string_view::npos) {
        const auto in_body = text_field(document, "namespace");
        name.space = in_body.empty() ? namespace_of(request.query) : in_body;
    }
    auto& services = request.services;
    const auto count = replicas->get<unsigned>();
    auto done = co_await change(
        services, [&services, name, count] { return services.provider.scale(name, count); });
    if (!done) co_return fail(std::move(done).error());
    co_return empty(202);
}

}  // namespace fathom::gateway
