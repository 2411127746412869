#include "provider/local/launch_spec.h"

#include <gtest/gtest.h>

namespace fathom::provider {
namespace {

FunctionSpec resize() {
    FunctionSpec spec;
    spec.name.name = "resize";
    spec.image = "fathom.local/resize:0123456789ab";
    return spec;
}

image::Image bundle() {
    image::Image image;
    image.root = "images/sha256-1/function";
    image.command = {"/home/app/function/handler"};
    image.environment = {{"exec_timeout", "5s"}, {"mode", "http"}};
    return image;
}

TEST(LaunchSpec, TheDeploymentsEnvironmentWinsOverTheImages) {
    auto spec = resize();
    spec.environment["exec_timeout"] = "30s";
    auto launch = make_launch_spec(spec, 4, bundle(), "resize-4-1");
    ASSERT_TRUE(launch);
    EXPECT_EQ(launch->environment["exec_timeout"], "30s");
    EXPECT_EQ(launch->environment["mode"], "http");
    EXPECT_EQ(launch->function, "resize.openfaas-fn");
    EXPECT_EQ(launch->revision, 4u);
}

TEST(LaunchSpec, GivesWhatTheContractPromises) {
    auto launch = make_launch_spec(resize(), 1, bundle(), "resize-1-1");
    ASSERT_TRUE(launch);
    auto& environment = launch->environment;
    EXPECT_EQ(environment["HOME"], "/home/app");
    EXPECT_EQ(environment["HOSTNAME"], "resize-1-1");
    EXPECT_EQ(environment["OPENFAAS_NAME"], "resize");
    EXPECT_EQ(environment["OPENFAAS_NAMESPACE"], "openfaas-fn");
    EXPECT_EQ(environment["LISTEN_FDS"], "1");
    EXPECT_EQ(environment["FATHOM_LISTEN_FD"], "3");
}

TEST(LaunchSpec, AnFprocessInTheEnvironmentWinsOverEnvProcess) {
    auto spec = resize();
    spec.env_process = "cat";
    EXPECT_EQ(make_launch_spec(spec, 1, bundle(), "a")->environment["fprocess"], "cat");
    spec.environment["fprocess"] = "wc";
    EXPECT_EQ(make_launch_spec(spec, 1, bundle(), "a")->environment["fprocess"], "wc");
}

TEST(LaunchSpec, ReadsLimitsAsQuantities) {
    auto spec = resize();
    spec.limits.emplace();
    spec.limits->memory = "128Mi";
    spec.limits->cpu = "250m";
    auto launch = make_launch_spec(spec, 1, bundle(), "a");
    ASSERT_TRUE(launch);
    EXPECT_EQ(launch->memory_bytes_max, 128_MiB);
    EXPECT_EQ(launch->cpu_max.count, 250);
}

TEST(LaunchSpec, NamesTheEgressItDoesNotKnow) {
    auto spec = resize();
    spec.annotations = function::StringMap{{"com.fathom.egress", "some"}};
    auto launch = make_launch_spec(spec, 1, bundle(), "a");
    ASSERT_FALSE(launch);
    EXPECT_EQ(launch.error().message(),
              "annotations.com.fathom.egress \"some\" is not \"open\" or \"none\"");
}

}  // namespace
}  // namespace fathom::provider
