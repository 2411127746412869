#include "function/json.h"

#include <gtest/gtest.h>

namespace fathom::function {
namespace {

std::string refusal(std::string_view json) {
    const auto result = read_deployment(json);
    return result ? "" : result.error().message();
}

constexpr std::string_view kFull = R"({"service":"echo","image":"img:1","namespace":"dev",)"
                                   R"("envProcess":"cat","envVars":{"a":"1"},)"
                                   R"("constraints":["node=x"],"secrets":["s"],)"
                                   R"("labels":{"l":"v"},"annotations":{},)"
                                   R"("limits":{"memory":"128Mi","cpu":"100m","amd.com/gpu":"1"},)"
                                   R"("requests":{},"readOnlyRootFilesystem":true})";

TEST(Deployment, ReadsEveryField) {
    const auto spec = read_deployment(kFull);
    ASSERT_TRUE(spec.has_value()) << spec.error().message();
    EXPECT_EQ(spec->name, (FunctionName{"echo", "dev"}));
    EXPECT_EQ(spec->image, "img:1");
    EXPECT_EQ(spec->env_process, "cat");
    EXPECT_EQ(spec->environment, (StringMap{{"a", "1"}}));
    EXPECT_EQ(spec->constraints, std::vector<std::string>{"node=x"});
    EXPECT_EQ(spec->secrets, std::vector<std::string>{"s"});
    EXPECT_EQ(spec->label("l"), "v");
    EXPECT_EQ(spec->annotations, StringMap{});
    EXPECT_EQ(spec->limits->memory, "128Mi");
    EXPECT_EQ(spec->limits->gpus, (StringMap{{"amd.com/gpu", "1"}}));
    EXPECT_EQ(spec->requests, Resources{});
    EXPECT_TRUE(spec->has_readonly_root);
}

TEST(Deployment, SurvivesWritingAndReading) {
    const auto spec = *read_deployment(kFull);
    EXPECT_EQ(*read_deployment(write_deployment(spec)), spec);
    const auto bare = *read_deployment(R"({"service":"a","image":"b"})");
    EXPECT_EQ(*read_deployment(write_deployment(bare)), bare);
}

TEST(Deployment, IsPinnedOnTheWire) {
    FunctionSpec spec;
    spec.name.name = "echo";
    spec.image = "img";
    EXPECT_EQ(write_deployment(spec),
              R"({"service":"echo","image":"img","namespace":"openfaas-fn"})");
    spec.labels = StringMap{};
    spec.annotations = StringMap{{"topic", "a"}};
    EXPECT_EQ(write_deployment(spec),
              R"({"service":"echo","image":"img","namespace":"openfaas-fn",)"
              R"("labels":{},"annotations":{"topic":"a"}})");
}

TEST(Deployment, MatchesKeysInAnyCaseAndTheExactOneWins) {
    const auto spec =
        read_deployment(R"({"SERVICE":"a","Image":"b","envvars":{"X":"y"},"image":"c"})");
    ASSERT_TRUE(spec.has_value());
    EXPECT_EQ(spec->name.name, "a");
    EXPECT_EQ(spec->image, "c");
    EXPECT_EQ(spec->environment, (StringMap{{"X", "y"}}));
}

TEST(Deployment, IgnoresUnknownAndLegacyFields) {
    EXPECT_EQ(refusal(R"({"service":"a","image":"b","registryAuth":"x","network":"n","z":[{}]})"),
              "");
}

TEST(Deployment, TakesNullForAbsent) {
    const auto spec = read_deployment(
        R"({"service":"a","image":null,"labels":null,"limits":null,"secrets":null,"envVars":{"x":null}})");
    ASSERT_TRUE(spec.has_value());
    EXPECT_FALSE(spec->labels.has_value());
    EXPECT_FALSE(spec->limits.has_value());
    EXPECT_EQ(spec->environment, (StringMap{{"x", ""}}));
}

TEST(Deployment, NamesTheFieldOfAWrongType) {
    struct Case {
        const char *json, *message;
    };
    const Case cases[] = {
        {R"({"service":5})", "service is 5; accepted: a string"},
        {R"({"image":["a"]})", "image is array; accepted: a string"},
        {R"({"envVars":[]})", "envVars is array; accepted: an object of strings"},
        {R"({"envVars":{"PORT":80}})", "envVars.PORT is 80; accepted: an object of strings"},
        {R"({"labels":"x"})", "labels is \"x\"; accepted: an object of strings"},
        {R"({"labels":{"x":true}})", "labels.x is true; accepted: an object of strings"},
        {R"({"secrets":"s"})", "secrets is \"s\"; accepted: an array of strings"},
        {R"({"secrets":[1]})", "secrets is 1; accepted: an array of strings"},
        {R"({"limits":"128Mi"})", "limits is \"128Mi\"; accepted: an object with memory and cpu"},
        {R"({"limits":{"memory":128}})", "limits.memory is 128; accepted: a string"},
        {R"({"readOnlyRootFilesystem":"yes"})",
         "readOnlyRootFilesystem is \"yes\"; accepted: true or false"},
        {R"([])", "the deployment is array; accepted: a JSON object"},
        {R"("x")", "the deployment is string; accepted: a JSON object"},
        {"", "not JSON: something is wrong at byte 1 (line 1)"},
        {"{\n\"a\":}", "not JSON: something is wrong at byte 7 (line 2)"},
        {R"({"replicas":7E77775555})",
         "not JSON we can hold: a number is out of the range of a double"},
        {"{} {}", "not JSON: something is wrong at byte 4 (line 1)"},
        {"{\"service\":\"\xff\"}", "not JSON: something is wrong at byte 13 (line 1)"},
    };
    for (const auto& each : cases) EXPECT_EQ(refusal(each.json), each.message) << each.json;
}

TEST(Deployment, RefusesADocumentOverTheLimit) {
    const auto result = read_deployment(std::string(kDeploymentBytesMax + 1, ' '));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code(), Errc::too_large);
}

TEST(Deployment, StandsDeepNesting) {
    const std::string deep(500'000, '[');
    EXPECT_NE(refusal(deep), "");
    std::string closed = "{\"service\":" + std::string(400'000, '[') + std::string(400'000, ']');
    EXPECT_EQ(refusal(closed + "}"), "service is array; accepted: a string");
}

TEST(Status, LeavesOutWhatIsZeroAndAlwaysHasCreatedAt) {
    Status status;
    status.spec.name.name = "echo";
    status.spec.image = "img";
    EXPECT_EQ(write_status(status), R"({"name":"echo","image":"img","namespace":"openfaas-fn",)"
                                    R"("createdAt":"0001-01-01T00:00:00Z"})");
}

TEST(Status, WritesAllItsFields) {
    Status status;
    status.spec.name.name = "echo";
    status.spec.image = "img";
    status.spec.labels = StringMap{};
    status.replicas = 2;
    status.available = 1;
    status.invocation_count = 12;
    status.created_at = Clock::Wall(1'795'265'197s);
    status.usage = Usage{.cpu_millicores = 1.5, .memory_bytes = 1024};
    EXPECT_EQ(write_status(status),
              R"({"name":"echo","image":"img","namespace":"openfaas-fn","labels":{},)"
              R"("invocationCount":12,"replicas":2,"availableReplicas":1,)"
              R"("createdAt":"2026-11-21T12:46:37Z","usage":{"cpu":1.5,"totalMemoryBytes":1024}})");
    EXPECT_EQ(*read_status(write_status(status)), status);
}

TEST(Status, ListsNoneAsAnEmptyArray) {
    EXPECT_EQ(write_statuses({}), "[]");
    EXPECT_TRUE(read_statuses("[]")->empty());
    EXPECT_TRUE(read_statuses("null")->empty());
    Status status;
    status.spec.name.name = "a";
    const std::vector<Status> two = {status, status};
    EXPECT_EQ(*read_statuses(write_statuses(two)), two);
    EXPECT_EQ(read_statuses(R"([{"name":"a"},{"replicas":-1}])").error().message(),
              "[1].replicas is -1; accepted: a whole number from 0");
}

TEST(Status, ReplacesBytesThatAreNoUtf8) {
    Status status;
    status.spec.name.name = "a\xff";
    EXPECT_NE(write_status(status).find("a\xef\xbf\xbd"), std::string::npos);
}

}  // namespace
}  // namespace fathom::function
