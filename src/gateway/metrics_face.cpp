#include "gateway/gateway.h"
#include "gateway/routes.h"

namespace fathom::gateway {
namespace {

class MetricsFace final : public http::Handler {
public:
    explicit MetricsFace(Services& services) : services_(services) {}

    Async<> handle(http::Exchange& exchange) override {
        const auto& head = exchange.request();
        const bool is_read = head.method == "GET" || head.method == "HEAD";
        if (head.path != "/metrics" && head.path != "/healthz") {
            co_return co_await exchange.reply(text(404, "404 page not found"));
        }
        if (!is_read) co_return co_await exchange.reply(method_not_allowed("GET"));
        if (head.path == "/healthz") {
            co_return co_await exchange.reply({.content_type = "text/plain", .body = "OK"});
        }
        co_return co_await exchange.reply({.content_type = std::string(observe::kPrometheusType),
                                           .body = services_.metrics.prometheus()});
    }

private:
    Services& services_;
};

}  // namespace

std::unique_ptr<http::Handler> make_metrics_face(Services& services) {
    return std::make_unique<MetricsFace>(services);
}

}  // namespace fathom::gateway
