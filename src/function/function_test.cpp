#include "function/function.h"

#include <gtest/gtest.h>

namespace fathom::function {
namespace {

FunctionSpec valid() {
    FunctionSpec spec;
    spec.name.name = "echo";
    spec.image = "fathom.local/echo:0123456789ab";
    return spec;
}

std::string refusal(const FunctionSpec& spec) {
    const auto result = check(spec);
    return result ? "" : result.error().message();
}

TEST(FunctionName, SplitsAtTheLastDot) {
    struct Case {
        const char *text, *name, *space;
    };
    for (const auto& each :
         {Case{"echo", "echo", "openfaas-fn"}, Case{"echo.dev", "echo", "dev"},
          Case{"dev.figlet.openfaas-fn", "dev.figlet", "openfaas-fn"}, Case{"", "", "openfaas-fn"},
          Case{"echo.", "echo", ""}, Case{".dev", "", "dev"}}) {
        const auto name = FunctionName::split(each.text);
        EXPECT_EQ(name.name, each.name) << each.text;
        EXPECT_EQ(name.space, each.space) << each.text;
    }
    EXPECT_EQ(FunctionName::split("echo").text(), "echo.openfaas-fn");
}

TEST(FunctionName, IsADnsLabel) {
    for (const auto& name : {std::string("a"), std::string("7"), std::string("a-b"),
                             std::string("hello--world"), std::string(63, 'x')}) {
        EXPECT_TRUE(check_name("service", name).has_value()) << name;
    }
    for (const auto& name :
         {std::string(), std::string("-a"), std::string("a-"), std::string("A"), std::string("a_b"),
          std::string("a.b"), std::string("a b"), std::string("../x"), std::string("\xc3\xa4"),
          std::string("a\0b", 3), std::string(64, 'x')}) {
        EXPECT_FALSE(check_name("service", name).has_value()) << name;
    }
}

TEST(FunctionName, RefusalNamesFieldValueAndRule) {
    const auto result = check_name("service", "Hello");
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().message(),
              "service \"Hello\": accepted: 1 to 63 lower-case letters, digits and '-', with a "
              "letter or digit at both ends");
}

TEST(FunctionSpec, AcceptsAnOrdinaryOne) {
    auto spec = valid();
    spec.environment = {{"exec_timeout", "10s"}, {"my.var-1", ""}};
    spec.labels = StringMap{{"com.openfaas.scale.zero", "true"}, {"empty", ""}};
    spec.annotations = StringMap{{"topic", "a,b c"}, {"fathom.dev/x", "any text\n"}};
    spec.secrets = {"db-password", "tls.key"};
    spec.limits = Resources{.memory = "128Mi", .cpu = "100m", .gpus = {}};
    EXPECT_EQ(refusal(spec), "");
}

TEST(FunctionSpec, RefusesEachWrongFieldByName) {
    struct Case {
        const char* mentions;
        void (*spoil)(FunctionSpec&);
    };
    const Case cases[] = {
        {"function name \"Echo\"", [](FunctionSpec& s) { s.name.name = "Echo"; }},
        {"namespace \"a.b\"", [](FunctionSpec& s) { s.name.space = "a.b"; }},
        {"namespace \"kube-system\"", [](FunctionSpec& s) { s.name.space = "kube-system"; }},
        {"image is missing", [](FunctionSpec& s) { s.image = ""; }},
        {"image \"a b\"", [](FunctionSpec& s) { s.image = "a b"; }},
        {"image has 2000", [](FunctionSpec& s) { s.image = std::string(2000, 'x'); }},
        {"fprocess holds", [](FunctionSpec& s) { s.env_process = std::string("a\0b", 3); }},
        {"environment name \"1a\"", [](FunctionSpec& s) { s.environment["1a"] = ""; }},
        {"environment name \"a=b\"", [](FunctionSpec& s) { s.environment["a=b"] = ""; }},
        {"environment a holds", [](FunctionSpec& s) { s.environment["a"] = std::string("\0", 1); }},
        {"environment holds", [](FunctionSpec& s) { s.environment["a"].assign(300'000, 'x'); }},
        {"secret name \"a/b\"", [](FunctionSpec& s) { s.secrets = {"a/b"}; }},
        {"secret name \"..\"", [](FunctionSpec& s) { s.secrets = {".."}; }},
        {"secrets and constraints", [](FunctionSpec& s) { s.constraints.resize(2000); }},
        {"labels key \"-x\"", [](FunctionSpec& s) { s.labels = StringMap{{"-x", ""}}; }},
        {"label x=\"a b\"", [](FunctionSpec& s) { s.labels = StringMap{{"x", "a b"}}; }},
        {"label x=", [](FunctionSpec& s) { s.labels = StringMap{{"x", std::string(64, 'y')}}; }},
        {"annotations key \"\"", [](FunctionSpec& s) { s.annotations = StringMap{{"", ""}}; }},
        {"limits.memory: \"12 Mi\"", [](FunctionSpec& s) { s.limits = {"12 Mi", "", {}}; }},
        {"limits.cpu: \"half\"", [](FunctionSpec& s) { s.limits = {"", "half", {}}; }},
        {"requests.memory", [](FunctionSpec& s) { s.requests = {"-1", "", {}}; }},
    };
    for (const auto& each : cases) {
        auto spec = valid();
        each.spoil(spec);
        const auto message = refusal(spec);
        EXPECT_NE(message.find(each.mentions), std::string::npos)
            << each.mentions << " is not in: " << message;
    }
}

TEST(FunctionSpec, ScalesBetweenItsLabelsAndIgnoresBadOnes) {
    auto spec = valid();
    EXPECT_EQ(scaling_of(spec).min, 1U);
    EXPECT_EQ(scaling_of(spec).max, 20U);
    spec.labels = StringMap{{"com.openfaas.scale.min", "0"}, {"com.openfaas.scale.max", "3"}};
    EXPECT_EQ(scaling_of(spec).min, 0U);
    EXPECT_EQ(scaling_of(spec).max, 3U);
    spec.labels = StringMap{{"com.openfaas.scale.min", "5"}, {"com.openfaas.scale.max", "2"}};
    EXPECT_EQ(scaling_of(spec).max, 5U);
    for (const auto* bad : {"", "-1", "1.5", "many", "99999999999", "1 "}) {
        spec.labels = StringMap{{"com.openfaas.scale.min", bad}};
        EXPECT_EQ(scaling_of(spec).min, 1U) << bad;
    }
}

TEST(FunctionSpec, DerivesItsLimitsFromTheEnvironment) {
    auto spec = valid();
    EXPECT_EQ(exec_timeout_of(spec, 60s), 60s);
    EXPECT_EQ(inflight_max_of(spec), 0U);
    EXPECT_EQ(concurrency_of(spec), 0U);
    spec.environment = {
        {"exec_timeout", "1m30s"}, {"max_inflight", "4"}, {"FATHOM_CONCURRENCY", "1"}};
    EXPECT_EQ(exec_timeout_of(spec, 60s), 90s);
    EXPECT_EQ(inflight_max_of(spec), 4U);
    EXPECT_EQ(concurrency_of(spec), 1U);
    spec.environment = {
        {"exec_timeout", "soon"}, {"max_inflight", "-4"}, {"FATHOM_CONCURRENCY", "x"}};
    EXPECT_EQ(exec_timeout_of(spec, 60s), 60s);
    EXPECT_EQ(inflight_max_of(spec), 0U);
    EXPECT_EQ(concurrency_of(spec), 0U);
}

}  // namespace
}  // namespace fathom::function
