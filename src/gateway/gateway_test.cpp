#include "gateway/gateway.h"

#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>

#include "provider/fake/fake.h"

namespace fathom::gateway {
namespace {

using Json = nlohmann::json;
using provider::Fake;

// A store that takes everything; bytes are checked by image/.
class Shelf final : public image::Store {
public:
    Result<image::Image> find(std::string_view reference) const override {
        image::Image image;
        image.reference = reference;
        return image;
    }
    std::vector<image::Image> list() const override { return {}; }
    Async<image::Image> put(http::BodyReader& archive) override {
        auto bytes = co_await http::read_all(archive, 1_MiB);
        if (!bytes) co_return fail(std::move(bytes).error());
        image::Image image;
        image.reference = "fathom.local/x:" + std::to_string(bytes->size());
        image.digest = "sha256:0";
        co_return image;
    }
    Async<> remove(std::string_view /*reference*/) override { co_return Result<>{}; }
};

constexpr const char* kAdmin = "Basic YWRtaW46cHc=";  // admin:pw

struct House {
    rt::Runtime& runtime;
    TaskGroup home_tasks{};
    Fake fake;
    Shelf shelf{};
    observe::Registry metrics;
    invoke::Directory directory;
    Services services;
    http::Server server;
    http::Server metrics_server;

    explicit House(rt::Runtime& on)
        : runtime(on),
          fake(rt::this_core().clock(), {}),
          metrics(on.core_count()),
          directory(on, fake, metrics),
          services{.runtime = on,
                   .home_tasks = home_tasks,
                   .provider = fake,
                   .images = shelf,
                   .directory = directory,
                   .metrics = metrics,
                   .credentials = {.user = "admin", .password = "pw"},
                   .limits = {},
                   .version = {.release = "1.2.3", .sha = "abc"},
                   .doctor_json = "{}"},
          server(on, {}),
          metrics_server(on, {}) {}

    Async<> open() {
        const auto any = *rt::Address::parse("127.0.0.1:0");
        auto up = co_await server.start(any, [this](rt::Core&) { return make_gateway(services); });
        if (!up) co_return up;
        co_return co_await metrics_server.start(
            any, [this](rt::Core&) { return make_metrics_face(services); });
    }

    Async<http::Answer> ask(std::string method, std::string target, std::string body = {},
                            std::string authorization = kAdmin) {
        http::Call call{
            .method = std::move(method), .target = std::move(target), .body = std::move(body)};
        if (!authorization.empty()) call.headers.emplace_back("Authorization", authorization);
        return http::call_once(server.address(), std::move(call));
    }

    Async<> close() {
        (void)co_await server.drain(Deadline::in(5s));
        (void)co_await metrics_server.drain(Deadline::in(5s));
        home_tasks.cancel();
        co_return Result<>{};
    }
};

using Script = Async<> (*)(House&);

// On two cores, so that requests reach the provider from another one, too.
void run(Script script) {
    const SystemClock clock;
    rt::Runtime runtime({.cores = 2}, clock);
    const auto main = [](rt::Runtime& on, Script play) -> Async<> {
        House house(on);
        auto played = co_await house.open();
        if (played) played = co_await play(house);
        (void)co_await house.close();
        co_return played;
    };
    auto done = runtime.run(main(runtime, script));
    EXPECT_TRUE(done.has_value()) << done.error().message();
}

constexpr const char* kEcho = R"({"service":"echo","image":"any","labels":{"a":"b"}})";

TEST(Gateway, DeploysListsUpdatesScalesAndRemoves) {
    run([](House& house) -> Async<> {
        EXPECT_EQ((co_await house.ask("GET", "/system/functions"))->body, "[]");
        EXPECT_EQ((co_await house.ask("PUT", "/system/functions", kEcho))->status, 404);
        EXPECT_EQ((co_await house.ask("POST", "/system/functions", kEcho))->status, 202);
        EXPECT_GE((co_await house.ask("POST", "/system/functions", kEcho))->status, 400);
        EXPECT_EQ((co_await house.ask("PUT", "/system/functions", kEcho))->status, 202);

        auto listed = co_await house.ask("GET", "/system/functions");
        EXPECT_EQ(listed->header("Content-Type"), "application/json");
        auto one = Json::parse(listed->body, nullptr, false).at(0);
        EXPECT_EQ(one.at("name"), "echo");
        EXPECT_EQ(one.at("replicas"), 1);
        EXPECT_EQ(one.at("availableReplicas"), 1);

        const auto* scale = R"({"serviceName":"echo","replicas":3})";
        EXPECT_EQ((co_await house.ask("POST", "/system/scale-function/echo", scale))->status, 202);
        auto status = co_await house.ask("GET", "/system/function/echo?namespace=openfaas-fn");
        EXPECT_EQ(Json::parse(status->body, nullptr, false).at("replicas"), 3);

        const auto* remove = R"({"functionName":"echo","namespace":"openfaas-fn"})";
        EXPECT_EQ((co_await house.ask("DELETE", "/system/functions", remove))->status, 202);
        EXPECT_EQ((co_await house.ask("DELETE", "/system/functions", remove))->status, 404);
        auto gone = co_await house.ask("GET", "/system/function/echo");
        EXPECT_EQ(gone->status, 404);
        EXPECT_EQ(gone->body, "");
        co_return Result<>{};
    });
}

struct Refusal {
    const char* method;
    const char* target;
    const char* body;
    int status;
    const char* says;
};
constexpr Refusal kRefusals[] = {
    {"POST", "/system/functions", "{", 400, ""},
    {"POST", "/system/functions", R"({"image":"x"})", 400, "name"},
    {"POST", "/system/functions", R"({"service":"Echo","image":"x"})", 400, "Echo"},
    {"POST", "/system/functions", R"({"service":"echo"})", 400, "image"},
    {"POST", "/system/functions", R"({"service":"echo","image":"x","envVars":{"a":1}})", 400,
     "envVars"},
    {"DELETE", "/system/functions", "[]", 400, "object"},
    {"DELETE", "/system/functions", "{}", 400, "functionName"},
    {"PATCH", "/system/functions", "", 405, ""},
    {"GET", "/system/functions?namespace=Not%20One", "", 400, "namespace"},
    {"POST", "/system/scale-function/echo", R"({"replicas":-1})", 400, "replicas"},
    {"POST", "/system/scale-function/echo", R"({"replicas":"two"})", 400, "replicas"},
    {"POST", "/system/scale-function/none", R"({"replicas":1})", 404, "none"},
    {"GET", "/system/scale-function/echo", "", 405, ""},
    {"GET", "/system/logs", "", 422, "name"},
    {"GET", "/system/logs?name=echo&tail=many", "", 422, "tail"},
    {"GET", "/system/logs?name=echo&since=yesterday", "", 422, "since"},
    {"GET", "/system/logs?name=none", "", 404, "none"},
    {"GET", "/system/nothing", "", 404, ""},
    {"GET", "/nothing", "", 404, ""},
    {"GET", "/function/none", "", 404, "none"},
};

TEST(Gateway, RefusesBadRequestsWithTheFieldAndWhatIsAccepted) {
    run([](House& house) -> Async<> {
        for (const auto& refusal : kRefusals) {
            auto answer = co_await house.ask(refusal.method, refusal.target, refusal.body);
            if (!answer) co_return fail(std::move(answer).error());
            EXPECT_EQ(answer->status, refusal.status) << refusal.target << " " << answer->body;
            EXPECT_NE(answer->body.find(refusal.says), std::string::npos)
                << refusal.target << " " << answer->body;
        }
        co_return Result<>{};
    });
}

TEST(Gateway, AsksForThePasswordOnSystemOnly) {
    run([](House& house) -> Async<> {
        for (const auto* wrong : {"", "Basic YWRtaW46d3Jvbmc=", "Bearer x"}) {
            auto refused = co_await house.ask("GET", "/system/functions", "", wrong);
            EXPECT_EQ(refused->status, 401);
            EXPECT_EQ(refused->header("WWW-Authenticate"), "Basic realm=\"Restricted\"");
        }
        EXPECT_EQ((co_await house.ask("GET", "/healthz", "", ""))->status, 200);
        EXPECT_EQ((co_await house.ask("GET", "/function/none", "", ""))->status, 404);
        co_return Result<>{};
    });
}

TEST(Gateway, NamesTheCallInEveryAnswerToOne) {
    run([](House& house) -> Async<> {
        for (const auto* method : {"GET", "TRACE"}) {  // 404, 405
            auto answer = co_await house.ask(method, "/function/none", "", "");
            EXPECT_GE(answer->status, 404);
            EXPECT_EQ(answer->header("X-Call-Id").size(), 36u) << method;
            EXPECT_FALSE(answer->header("X-Start-Time").empty()) << method;
        }
        co_return Result<>{};
    });
}

TEST(Gateway, SaysThatItClosesBehindABodyItRefuses) {
    run([](House& house) -> Async<> {
        house.services.limits.bundle_bytes_max = 10;
        auto socket = co_await rt::connect(house.server.address());
        if (!socket) co_return fail(std::move(socket).error());
        const auto request = fmt::format(
            "POST /system/bundles HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n"
            "Content-Length: 20\r\n\r\n01234567890123456789",
            kAdmin);
        (void)co_await socket->write(request);
        std::string answer;
        std::array<char, 4096> buffer{};
        for (;;) {
            auto count = co_await within(Deadline::in(10s), socket->read(buffer));
            if (!count || *count == 0) break;
            answer.append(buffer.data(), *count);
        }
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 ")) << answer;
        EXPECT_NE(answer.find("Connection: close"), std::string::npos) << answer;
        co_return Result<>{};
    });
}

TEST(Gateway, TellsItsVersionsInFull) {
    run([](House& house) -> Async<> {
        auto answer = co_await house.ask("GET", "/system/info");
        const auto info = Json::parse(answer->body, nullptr, false);
        EXPECT_EQ(info.at("version").at("release"), "1.2.3");
        EXPECT_EQ(info.at("provider").at("version").at("sha"), "abc");
        EXPECT_EQ(info.at("provider").at("provider"), "fathom-fake");
        co_return Result<>{};
    });
}

TEST(Gateway, TakesBundlesOnEveryCore) {
    run([](House& house) -> Async<> {
        for (int i = 0; i < 8; ++i) {  // connections land on both cores
            const std::string archive(100'000, 'x');
            auto answer = co_await house.ask("POST", "/system/bundles?name=x", archive);
            EXPECT_EQ(answer->status, 200) << answer->body;
            EXPECT_EQ(Json::parse(answer->body, nullptr, false).at("reference"),
                      "fathom.local/x:100000");
        }
        co_return Result<>{};
    });
}

TEST(Gateway, SendsLogLinesAsNdjson) {
    run([](House& house) -> Async<> {
        (void)co_await house.ask("POST", "/system/functions", kEcho);
        house.fake.write_log({.name = "echo"}, "echo-1", "first");
        house.fake.write_log({.name = "echo"}, "echo-1", "second");
        auto answer = co_await house.ask("GET", "/system/logs?name=echo&tail=1");
        EXPECT_EQ(answer->header("Content-Type"), "application/x-ndjson");
        const auto line = Json::parse(answer->body, nullptr, false);
        EXPECT_EQ(line.at("text"), "second");
        EXPECT_EQ(line.at("instance"), "echo-1");
        co_return Result<>{};
    });
}

TEST(Gateway, ShowsMetricsOnTheirOwnPort) {
    run([](House& house) -> Async<> {
        (void)co_await house.ask("POST", "/system/functions", kEcho);
        auto answer =
            co_await http::call_once(house.metrics_server.address(), {.target = "/metrics"});
        EXPECT_EQ(answer->header("Content-Type"), observe::kPrometheusType);
        EXPECT_NE(answer->body.find("gateway_service_count{function_name=\"echo.openfaas-fn\"} 1"),
                  std::string::npos)
            << answer->body;
        co_return Result<>{};
    });
}

}  // namespace
}  // namespace fathom::gateway
