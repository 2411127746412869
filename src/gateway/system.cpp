// /system/info, /system/namespaces, /system/bundles.
#include <nlohmann/json.hpp>
#include <set>

#include "gateway/remote_body.h"
#include "gateway/routes.h"

namespace fathom::gateway {

using Json = nlohmann::json;

namespace {

// On core 0, where the store lives.
Async<image::Image> store(Services& services, std::unique_ptr<http::BodyReader> body) {
    co_return co_await services.images.put(*body);
}

}  // namespace

http::Reply info(Request& request) {
    if (request.method != "GET") return method_not_allowed("GET");
    const auto& services = request.services;
    const Json version = {{"release", services.version.release}, {"sha", services.version.sha}};
    const Json document = {{"provider",
                            {{"provider", services.provider.name()},
                             {"orchestration", services.provider.orchestration()},
                             {"version", version}}},
                           {"version", version},
                           {"arch", "x86_64"},
                           {"doctor", Json::parse(services.doctor_json, nullptr, false)}};
    return json(200, document.dump(-1, ' ', false, Json::error_handler_t::replace));
}

http::Reply namespaces(Request& request) {
    if (request.method != "GET") return method_not_allowed("GET");
    std::set<std::string> spaces{std::string(function::kDefaultNamespace)};
    for (const auto& entry : *request.services.directory.table()) spaces.insert(entry.first.space);
    return json(200, Json(spaces).dump());
}

Async<http::Reply> bundles(Request& request) {
    if (request.method != "POST") co_return method_not_allowed("POST");
    auto& services = request.services;
    request.exchange.body().limit(services.limits.bundle_bytes_max);
    const BodyLoan loan(request.exchange.body());
    auto image = co_await rt::on_core<image::Image>(
        services.runtime.core(0), services.home_tasks,
        [&services, body = loan.reader()]() mutable { return store(services, std::move(body)); });
    if (!image) co_return fail(std::move(image).error());
    const Json document = {{"reference", image->reference}, {"digest", image->digest}};
    co_return json(200, document.dump());
}

}  // namespace fathom::gateway
