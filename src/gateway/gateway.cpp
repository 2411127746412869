#include "gateway/gateway.h"

#include <algorithm>
#include <array>

#include "gateway/auth.h"
#include "gateway/routes.h"

namespace fathom::gateway {
namespace {

// What providers of OpenFaaS let through; the rest is 405.
constexpr auto kCallMethods =
    std::to_array<std::string_view>({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"});

class Gateway final : public http::Handler {
public:
    explicit Gateway(Services& services)
        : services_(services),
          invoker_(services.directory, services.limits.calls, services.metrics) {}

    Async<> handle(http::Exchange& exchange) override {
        constexpr std::string_view kFunction = "/function/";
        constexpr std::string_view kSystem = "/system/";
        const auto path = exchange.request().path;
        if (path.starts_with(kFunction)) return call(exchange, path.substr(kFunction.size()));
        if (path.starts_with(kSystem)) return manage(exchange, path.substr(kSystem.size()));
        return other(exchange, path);
    }

private:
    // `rest` is what follows /function/: NAME[/PATH], raw.
    Async<> call(http::Exchange& exchange, std::string_view rest) {
        const auto& request = exchange.request();
        if (std::ranges::find(kCallMethods, request.method) == kCallMethods.end()) {
            auto reply = method_not_allowed("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
            invoke::add_call_fields(reply, exchange);
            co_return co_await exchange.reply(std::move(reply));
        }
        const auto name = rest.substr(0, rest.find('/'));
        // The target as it was sent, less /function/NAME: path and query, byte for byte.
        auto target = request.target.substr(
            static_cast<std::size_t>(name.data() + name.size() - request.target.data()));
        std::string with_slash;
        if (!target.starts_with('/')) target = with_slash = "/" + std::string(target);
        exchange.body().limit(services_.limits.call_body_bytes_max);
        co_return co_await invoker_.call({exchange, name, target});
    }

    Async<> manage(http::Exchange& exchange, std::string_view what) {
        const auto& head = exchange.request();
        if (!is_authorized(head.headers.get("Authorization"), services_.credentials)) {
            auto reply = text(401, "wrong user or password; run: fathom login");
            reply.headers.emplace_back("WWW-Authenticate", "Basic realm=\"Restricted\"");
            co_return co_await exchange.reply(std::move(reply));
        }
        Request request{services_, exchange, head.method, head.query};
        if (what == "logs") co_return co_await logs(request);
        auto reply = co_await route(request, what);
        co_return co_await exchange.reply(reply ? std::move(*reply) : refused(reply.error()));
    }

    static Async<http::Reply> route(Request& request, std::string_view what) {
        constexpr std::string_view kStatus = "function/";
        constexpr std::string_view kScale = "scale-function/";
        if (what == "functions") return functions(request);
        if (what.starts_with(kStatus)) return function_status(request, what.substr(kStatus.size()));
        if (what.starts_with(kScale)) return scale_function(request, what.substr(kScale.size()));
        if (what == "bundles") return bundles(request);
        return at_once(what == "info"         ? info(request)
                       : what == "namespaces" ? namespaces(request)
                                              : text(404, "404 page not found"));
    }

    static Async<http::Reply> at_once(http::Reply reply) { co_return reply; }

    Async<> other(http::Exchange& exchange, std::string_view path) {
        if (path == "/healthz") co_return co_await exchange.reply(empty(200));
        co_return co_await exchange.reply(text(404, "404 page not found"));
    }

    Services& services_;
    invoke::Invoker invoker_;
};

}  // namespace

http::Reply text(int status, std::string sentence) {
    return {.status = status,
            .content_type = "text/plain; charset=utf-8",
            .body = std::move(sentence) + "\n",
            .headers = {{"X-Content-Type-Options", "nosniff"}}};
}

http::Reply json(int status, std::string document) {
    return {.status = status, .content_type = "application/json", .body = std::move(document)};
}

http::Reply empty(int status) {
    return {.status = status, .content_type = "", .body = ""};
}

http::Reply refused(const Error& error) {
    auto reply = text(facts(error.code()).http_status, error.message());
    if (facts(error.code()).may_retry) reply.headers.emplace_back("Retry-After", "1");
    return reply;
}

http::Reply method_not_allowed(std::string_view accepted) {
    auto reply = empty(405);
    reply.headers.emplace_back("Allow", accepted);
    return reply;
}

Async<std::string> read_body(Request& request) {
    co_return co_await http::read_all(request.exchange.body(),
                                      request.services.limits.api_body_bytes_max);
}

std::unique_ptr<http::Handler> make_gateway(Services& services) {
    return std::make_unique<Gateway>(services);
}

}  // namespace fathom::gateway
