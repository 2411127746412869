#include <nlohmann/json.hpp>

#include "cli/fake_gateway.h"

namespace fathom::cli {
namespace {

class DeployTest : public CommandTest {
protected:
    void SetUp() override {
        CommandTest::SetUp();
        write("stack.yml", R"(version: 1.0
provider:
  name: openfaas
functions:
  up:
    handler: ./up
    fprocess: tr a-z A-Z
    image: up:latest
    environment:
      mode: classic
)");
        write("up/readme.txt", "shouts");
        gateway.answer("POST /system/bundles?name=up", 200,
                       R"({"reference":"fathom.local/up:0123456789ab","digest":"sha256:x"})");
        gateway.answer("GET /system/info", 200, R"({"provider":{"provider":"fathom-local"}})");
    }
    void is_ready(const std::string& status = R"({"name":"up","image":"i","replicas":1,)"
                                              R"("availableReplicas":1,"createdAt":""})") {
        gateway.answer("GET /system/function/up?namespace=openfaas-fn&usage=1", 200, status);
    }
    nlohmann::json body_of(const std::string& request) {
        for (std::size_t i = 0; i < gateway.asked.size(); ++i)
            if (gateway.asked[i] == request) return nlohmann::json::parse(gateway.requests[i].body);
        return {};
    }
};

constexpr const char* kReady =
    R"({"name":"up","image":"i","replicas":1,"availableReplicas":1,"createdAt":"2026-01-01T00:00:00Z"})";
constexpr const char* kNotReady =
    R"({"name":"up","image":"i","replicas":1,"createdAt":"2026-01-01T00:00:00Z"})";

TEST_F(DeployTest, SendsTheHandlerFolderAndThenTheFunction) {
    gateway.answer("PUT /system/functions", 202);
    is_ready(kReady);
    EXPECT_EQ(run({"deploy"}), 0) << err;
    EXPECT_EQ(out,
              "Deploying: up.\n"
              "\n"
              "Deployed. 202 Accepted.\n"
              "URL: http://127.0.0.1:8080/function/up\n"
              "\n");
    EXPECT_EQ(err, "");
    EXPECT_EQ(gateway.asked,
              (std::vector<std::string>{"POST /system/bundles?name=up", "PUT /system/functions",
                                        "GET /system/info",
                                        "GET /system/function/up?namespace=openfaas-fn&usage=1"}));
    EXPECT_EQ(gateway.requests[0].body.substr(0, 11), "fathom.json");
    const auto body = body_of("PUT /system/functions");
    EXPECT_EQ(body["image"], "fathom.local/up:0123456789ab");
    EXPECT_EQ(body["envProcess"], "tr a-z A-Z");
    EXPECT_EQ(body["labels"], nlohmann::json::object());
    EXPECT_EQ(body["annotations"], nlohmann::json::object());
}

TEST_F(DeployTest, MakesANewFunctionWhenThereIsNoneToUpdate) {
    gateway.answer("PUT /system/functions", 404, "no such function");
    gateway.answer("POST /system/functions", 202);
    is_ready(kReady);
    EXPECT_EQ(run({"deploy"}), 0) << err;
    EXPECT_EQ(gateway.asked[2], "POST /system/functions");
}

TEST_F(DeployTest, RemovesFirstWhenToldToReplace) {
    gateway.answer("POST /system/functions", 202);
    EXPECT_EQ(run({"deploy", "--replace", "--wait=false"}), 0) << err;
    EXPECT_EQ(gateway.asked,
              (std::vector<std::string>{"POST /system/bundles?name=up", "DELETE /system/functions",
                                        "POST /system/functions"}));
    EXPECT_EQ(run({"deploy", "--update=false", "--wait=false"}), 0) << err;
    EXPECT_EQ(gateway.asked.back(), "POST /system/functions");
    EXPECT_EQ(run({"deploy", "--replace", "--update"}), 1);
    EXPECT_EQ(err,
              "Cannot specify --update and --replace at the same time. One of --update or "
              "--replace must be false\n");
}

TEST_F(DeployTest, LetsFlagsWinOverTheFile) {
    write("more.yml", "environment: {a: file, b: file}");
    write("stack.yml", R"(provider: {name: openfaas}
functions:
  up:
    image: up:latest
    environment: {a: inline, c: inline}
    environment_file: [more.yml]
    labels: {x: true}
)");
    gateway.answer("PUT /system/functions", 202);
    EXPECT_EQ(run({"deploy", "-e", "b=flag", "-l", "y=2", "--annotation", "z=3", "--secret", "s",
                   "-n", "dev", "--wait=false"}),
              0)
        << err;
    const auto body = body_of("PUT /system/functions");
    EXPECT_EQ(body["envVars"], (nlohmann::json{{"a", "file"}, {"b", "flag"}, {"c", "inline"}}));
    EXPECT_EQ(body["labels"], (nlohmann::json{{"x", "true"}, {"y", "2"}}));
    EXPECT_EQ(body["annotations"], (nlohmann::json{{"z", "3"}}));
    EXPECT_EQ(body["secrets"], nlohmann::json::array({"s"}));
    EXPECT_EQ(body["namespace"], "dev");
    EXPECT_NE(out.find("URL: http://127.0.0.1:8080/function/up.dev\n"), std::string::npos);
}

TEST_F(DeployTest, DeploysWithoutAFileByFlags) {
    std::filesystem::remove("stack.yml");
    gateway.answer("PUT /system/functions", 202);
    EXPECT_EQ(run({"deploy", "--image", "ghcr.io/x/y:1", "--name", "y", "--memory-limit", "64Mi",
                   "--wait=false"}),
              0)
        << err;
    const auto body = body_of("PUT /system/functions");
    EXPECT_EQ(body["service"], "y");
    EXPECT_EQ(body["limits"], (nlohmann::json{{"memory", "64Mi"}}));

    EXPECT_EQ(run({"deploy"}), 1);
    EXPECT_EQ(err,
              "There is nothing to deploy: no stack.yml here, no -f FILE, and no --name with "
              "--image or --handler\n");
}

TEST_F(DeployTest, TouchesNothingWhenOneHandlerIsWrong) {
    const auto refusal = [&](const std::string& fields) {
        write("stack.yml",
              "provider: {name: openfaas}\nfunctions:\n  good:\n    handler: ./up\n"
              "    fprocess: cat\n  bad:\n" +
                  fields);
        EXPECT_EQ(run({"deploy"}), 1);
        EXPECT_TRUE(gateway.asked.empty());
        return err;
    };
    EXPECT_EQ(refusal("    handler: ./nowhere\n    lang: python3\n"),
              "stack.yml:6: function bad: handler: the folder \"./nowhere\" does not exist\n");
    EXPECT_NE(refusal("    lang: python3\n").find("stack.yml:6: function bad: there is no handler"),
              std::string::npos)
        << err;
    EXPECT_EQ(
        refusal("    handler: ./up\n    lang: cobol\n"),
        "stack.yml:6: function bad: lang: \"cobol\" is not known; known are python3*, node*, cpp, "
        "bash*, or no lang and a command in fprocess\n");
    EXPECT_EQ(
        refusal("    handler: ./up\n    lang: python3\n"),
        "stack.yml:6: function bad: handler: the folder \"./up\" holds no handler.py, which lang "
        "python3 serves\n");
}

TEST_F(DeployTest, WaitsUntilTheFunctionIsReady) {
    gateway.answer("PUT /system/functions", 202);
    is_ready(kNotReady);
    is_ready(kNotReady);
    is_ready(kReady);
    EXPECT_EQ(run({"deploy"}), 0) << err;
    EXPECT_EQ(gateway.slept, 50ms);
}

TEST_F(DeployTest, SaysWhyAFunctionDoesNotBecomeReady) {
    gateway.answer("PUT /system/functions", 202);
    is_ready(R"({"name":"up","image":"i","replicas":1,"createdAt":"2026-01-01T00:00:00Z",)"
             R"("trouble":"it exited with status 1"})");
    gateway.answer("GET /system/logs?name=up&namespace=openfaas-fn&tail=10&follow=false", 200,
                   "{\"text\":\"SyntaxError: line 3\"}\n");
    EXPECT_EQ(run({"deploy"}), 1);
    EXPECT_EQ(err.substr(0, err.find(" after ")), "Function 'up' is deployed, but was not ready");
    EXPECT_EQ(err.substr(err.find(": ") + 2),
              "it exited with status 1\n"
              "Its last log lines:\n"
              "  SyntaxError: line 3\n"
              "Follow it with: fathom logs up\n");
    EXPECT_LT(gateway.slept, 4s);
}

TEST_F(DeployTest, GivesUpAfterItsTimeEvenWithoutAReason) {
    gateway.answer("PUT /system/functions", 202);
    is_ready(kNotReady);
    EXPECT_EQ(run({"deploy", "--timeout", "5s"}), 1);
    EXPECT_GE(gateway.slept, 5s);
    EXPECT_LT(gateway.slept, 6s);
}

TEST_F(DeployTest, WaitsForNothingThatWantsNoReplicaOrIsNotFathom) {
    gateway.answer("PUT /system/functions", 202);
    is_ready(R"({"name":"up","image":"i","createdAt":"2026-01-01T00:00:00Z"})");
    EXPECT_EQ(run({"deploy"}), 0) << err;
    gateway.answers["GET /system/info"] = {
        {.status = 200, .reason = "OK", .body = R"({"provider":{"provider":"faasd"}})"}};
    is_ready(kNotReady);
    EXPECT_EQ(run({"deploy"}), 0) << err;
    EXPECT_EQ(gateway.slept, 0s);
}

TEST_F(DeployTest, PrintsWhatTheGatewayRefuses) {
    gateway.answer("PUT /system/functions", 400, "memory: \"1x\" is no quantity\n");
    EXPECT_EQ(run({"deploy"}), 1);
    EXPECT_EQ(
        out,
        "Deploying: up.\n\nUnexpected status: 400, message: memory: \"1x\" is no quantity\n\n");
    EXPECT_EQ(err, "Function 'up' failed to deploy with status code: 400\n");
}

TEST_F(DeployTest, SaysWhatToDoWhenTheGatewayIsAwayOrForeignOrLocked) {
    gateway.is_down = true;
    EXPECT_EQ(run({"deploy"}), 1);
    EXPECT_EQ(
        err,
        "Function up: cannot reach the gateway at http://127.0.0.1:8080 (connection refused): "
        "start one with \"fathom serve\", or say where it is with --gateway or "
        "OPENFAAS_URL\n");
    gateway.is_down = false;
    gateway.answers.clear();
    EXPECT_EQ(run({"deploy"}), 1);
    EXPECT_NE(err.find("takes no handler folders, as it is not Fathom"), std::string::npos);
    gateway.answer("POST /system/bundles?name=up", 401);
    EXPECT_EQ(run({"deploy"}), 1);
    EXPECT_EQ(err,
              "Function up: unauthorized access, run \"fathom login --gateway "
              "http://127.0.0.1:8080\" to setup authentication for this server\n");
}

TEST_F(DeployTest, TakesOnlyTheFunctionsThatAreNamed) {
    EXPECT_EQ(run({"deploy", "--filter", "no*"}), 1);
    EXPECT_EQ(err, "No function of the stack file matches --filter \"no*\"\n");
    EXPECT_EQ(run({"deploy", "--filter", "u*", "--regex", "u"}), 1);
    EXPECT_EQ(err, "--filter and --regex exclude each other: pass one of them\n");
    gateway.answer("PUT /system/functions", 202);
    for (const auto* pattern : {"*", "up", "u*p", "*p", "**", "u*"})
        EXPECT_EQ(run({"deploy", "--filter", pattern, "--wait=false"}), 0) << pattern;
    EXPECT_EQ(run({"deploy", "--filter", "?p"}), 1);
    EXPECT_EQ(run({"deploy", "--regex", "^u", "--wait=false"}), 0) << err;
}

}  // namespace
}  // namespace fathom::cli
