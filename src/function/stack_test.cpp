#include "function/stack.h"

#include <gtest/gtest.h>

#include "function/yaml.h"

namespace fathom::function {
namespace {

Result<Stack> read(std::string_view text, Strictness strictness = Strictness::lenient) {
    StackOptions options;
    options.strictness = strictness;
    options.lookup = [](std::string_view name) -> std::optional<std::string> {
        if (name == "TAG") return "7";
        return {};
    };
    return read_stack(text, options);
}

std::string refusal(std::string_view text) {
    const auto stack = read(text);
    return stack ? "" : stack.error().message();
}

// One function `f` with these lines, each indented already by four spaces.
std::string with(std::string_view fields) {
    return "functions:\n  f:\n" + std::string(fields);
}

StackFunction one(std::string_view fields) {
    const auto stack = read(with(fields));
    EXPECT_TRUE(stack.has_value()) << stack.error().message();
    return stack ? stack->functions.at(0) : StackFunction{};
}

constexpr std::string_view kFull = R"(version: 1.0
provider:
  name: openfaas
  gateway: http://127.0.0.1:8080
functions:
  zeta:
    lang: python3-http
    handler: ./zeta
    image: ${REGISTRY:-ttl.sh}/zeta:${TAG}
    fprocess: python3 index.py
    environment:
      exec_timeout: 10s
      DEBUG: true
      RATIO: 1.0
      EMPTY:
    environment_file:
      - env.yml
    secrets: [db, tls]
    constraints:
      - node=x
    build_options: [dev]
    labels:
      com.openfaas.scale.zero: true
      canary: 1.0
    annotations:
      topic: "a,b"
    build_args:
      GO111MODULE: on
    build_secrets:
      npm: ./.npmrc
    limits:
      memory: 128Mi
      cpu: 100m
    requests:
      memory: 20Mi
    skip_build: yes
    readonly_root_filesystem: true
    namespace: dev
    platforms: linux/amd64, linux/arm64
  alpha:
    image: a
configuration:
  templates:
    - name: python3-http
      source: https://example.org/t.git#main
  copy:
    - ./common
)";

TEST(Stack, ReadsEveryField) {
    const auto stack = read(kFull);
    ASSERT_TRUE(stack.has_value()) << stack.error().message();
    EXPECT_EQ(stack->version, "1.0");
    EXPECT_EQ(stack->gateway, "http://127.0.0.1:8080");
    EXPECT_TRUE(stack->warnings.empty());
    ASSERT_EQ(stack->functions.size(), 2U);
    const auto& zeta = stack->functions[0];
    EXPECT_EQ(zeta.name, "zeta");
    EXPECT_EQ(zeta.line, 6);
    EXPECT_EQ(zeta.language, "python3-http");
    EXPECT_EQ(zeta.handler, "./zeta");
    EXPECT_EQ(zeta.image, "ttl.sh/zeta:7");
    EXPECT_EQ(zeta.env_process, "python3 index.py");
    EXPECT_EQ(
        zeta.environment,
        (StringMap{{"exec_timeout", "10s"}, {"DEBUG", "true"}, {"RATIO", "1.0"}, {"EMPTY", ""}}));
    EXPECT_EQ(zeta.environment_files, std::vector<std::string>{"env.yml"});
    EXPECT_EQ(zeta.secrets, (std::vector<std::string>{"db", "tls"}));
    EXPECT_EQ(zeta.constraints, std::vector<std::string>{"node=x"});
    EXPECT_EQ(zeta.build_options, std::vector<std::string>{"dev"});
    EXPECT_EQ(zeta.labels, (StringMap{{"com.openfaas.scale.zero", "true"}, {"canary", "1.0"}}));
    EXPECT_EQ(zeta.annotations, (StringMap{{"topic", "a,b"}}));
    EXPECT_EQ(zeta.build_args, (StringMap{{"GO111MODULE", "on"}}));
    EXPECT_EQ(zeta.build_secrets, (StringMap{{"npm", "./.npmrc"}}));
    EXPECT_EQ(zeta.limits, (Resources{"128Mi", "100m", {}}));
    EXPECT_EQ(zeta.requests, (Resources{"20Mi", "", {}}));
    EXPECT_TRUE(zeta.is_build_skipped);
    EXPECT_TRUE(zeta.has_readonly_root);
    EXPECT_EQ(zeta.space, "dev");
    EXPECT_EQ(zeta.platforms, (std::vector<std::string>{"linux/amd64", "linux/arm64"}));
    EXPECT_EQ(stack->functions[1].name, "alpha");
    ASSERT_EQ(stack->templates.size(), 1U);
    EXPECT_EQ(stack->templates[0].source, "https://example.org/t.git#main");
    EXPECT_EQ(stack->copied_paths, std::vector<std::string>{"./common"});
}

TEST(Stack, BecomesASpecWithLabelsAndAnnotationsPresent) {
    const auto spec = to_spec(one("    image: i\n    namespace: dev\n"));
    EXPECT_EQ(spec.name, (FunctionName{"f", "dev"}));
    EXPECT_EQ(spec.labels, StringMap{});
    EXPECT_EQ(spec.annotations, StringMap{});
    EXPECT_EQ(to_spec(one("    image: i\n")).name.space, "openfaas-fn");
}

TEST(Stack, AcceptsWhatHasNoFunctions) {
    EXPECT_EQ(refusal("version: 1.0\n"), "");
    EXPECT_EQ(refusal("functions:\n"), "");
    EXPECT_EQ(refusal("functions: {}\nprovider:\n"), "");
}

TEST(Stack, FlattensVariables) {
    EXPECT_EQ(one("    environment:\n      variables: {A: 1, B: x}\n      C: y\n").environment,
              (StringMap{{"A", "1"}, {"B", "x"}, {"C", "y"}}));
    // A variable of that name stays one.
    EXPECT_EQ(one("    environment: {variables: x}\n").environment,
              (StringMap{{"variables", "x"}}));
}

TEST(Stack, KnowsTheOtherSpellingOfAReadOnlyRoot) {
    EXPECT_TRUE(one("    readOnlyRootFilesystem: true\n").has_readonly_root);
}

TEST(Stack, ExpandsMergeKeysAndAliases) {
    const auto stack = read(R"(x-base: &base
  image: shared
  environment: &env {A: 1, B: 2}
x-more: &more
  image: other
  lang: node
functions:
  one:
    <<: *base
    environment:
      <<: *env
      B: 3
  two:
    <<: [*base, *more]
)");
    ASSERT_TRUE(stack.has_value()) << stack.error().message();
    EXPECT_TRUE(stack->warnings.empty());
    EXPECT_EQ(stack->functions[0].image, "shared");
    EXPECT_EQ(stack->functions[0].environment, (StringMap{{"A", "1"}, {"B", "3"}}));
    EXPECT_EQ(stack->functions[1].image, "shared");
    EXPECT_EQ(stack->functions[1].language, "node");
}

TEST(Stack, WarnsOnceForEachUnknownFieldWithItsLineAndTheNearestOne) {
    const auto text = with("    image: i\n    enviroment: {A: 1}\n    frobnicate: 1\n") +
                      "provder:\n  name: openfaas\n";
    const auto stack = read(text);
    ASSERT_TRUE(stack.has_value());
    ASSERT_EQ(stack->warnings.size(), 3U);
    EXPECT_EQ(stack->warnings[0],
              "stack.yml:6: unknown field provder; did you mean \"provider\"? (ignored)");
    EXPECT_EQ(stack->warnings[1],
              "stack.yml:4: unknown field functions.f.enviroment; did you mean \"environment\"? "
              "(ignored)");
    EXPECT_TRUE(stack->warnings[2].starts_with(
        "stack.yml:5: unknown field functions.f.frobnicate; known here: lang, handler, "));

    const auto strict = read(with("    enviroment: {}\n"), Strictness::strict);
    ASSERT_FALSE(strict.has_value());
    EXPECT_EQ(strict.error().message(),
              "stack.yml:3: unknown field functions.f.enviroment; did you mean \"environment\"?");
}

TEST(Stack, RefusesWrongTypesWithFileLineFieldValueAndAccepted) {
    struct Case {
        std::string text, message;
    };
    const Case cases[] = {
        {"- a\n", "1: the document is a list; accepted: a map"},
        {"", "1: the document is nothing; accepted: a map"},
        {"just text", "1: the document is \"just text\"; accepted: a map"},
        {"version: 2\n", "1: version is \"2\"; accepted: 1.0"},
        {"version: [1]\n", "1: version is a list; accepted: a text"},
        {"provider: faasd\n", "1: provider is \"faasd\"; accepted: a map"},
        {"provider:\n  name: faas\n", "2: provider.name is \"faas\"; accepted: openfaas"},
        {"functions: [a]\n",
         "1: functions is a list; accepted: a map of function names and their fields"},
        {"functions:\n  f: text\n", "2: functions.f is \"text\"; accepted: a map"},
        {"functions:\n  f:\n", "2: functions.f is nothing; accepted: a map"},
        {"functions:\n  F: {}\n",
         "2: function name \"F\": accepted: 1 to 63 lower-case letters, digits and '-', with a "
         "letter or digit at both ends"},
        {with("    image: [a]\n"), "3: functions.f.image is a list; accepted: a text"},
        {with("    handler: {a: b}\n"), "3: functions.f.handler is a map; accepted: a text"},
        {with("    secrets: db\n"), "3: functions.f.secrets is \"db\"; accepted: a list of texts"},
        {with("    secrets: [a, [b]]\n"), "3: functions.f.secrets[1] is a list; accepted: a text"},
        {with("    secrets: [~]\n"), "3: functions.f.secrets[0] is nothing; accepted: a text"},
        {with("    environment: [A=1]\n"),
         "3: functions.f.environment is a list; accepted: a map of names and texts (NAME: text)"},
        {with("    environment:\n      A: [1]\n"),
         "4: functions.f.environment.A is a list; accepted: a text"},
        {with("    environment:\n      variables:\n        A: {}\n"),
         "5: functions.f.environment.variables.A is a map; accepted: a text"},
        {with("    labels: x\n"),
         "3: functions.f.labels is \"x\"; accepted: a map of names and texts (NAME: text)"},
        {with("    skip_build: maybe\n"),
         "3: functions.f.skip_build is \"maybe\"; accepted: true or false"},
        {with("    skip_build: []\n"),
         "3: functions.f.skip_build is a list; accepted: true or false"},
        {with("    limits: 128Mi\n"), "3: functions.f.limits is \"128Mi\"; accepted: a map"},
        {with("    limits:\n      memory: 12 Mi\n"),
         "4: functions.f.limits.memory: \"12 Mi\" is not a size; accepted: a number with Ki, Mi, "
         "Gi, k, M, G or nothing, such as 128Mi"},
        {with("    requests: {cpu: half}\n"),
         "3: functions.f.requests.cpu: \"half\" is not an amount of CPU; accepted: cores such as "
         "0.5 or 2, or millicores such as 100m"},
        {with("    platforms: [a]\n"), "3: functions.f.platforms is a list; accepted: a text"},
        {"configuration: x\n", "1: configuration is \"x\"; accepted: a map"},
        {"configuration:\n  templates: a\n",
         "2: configuration.templates is a text; accepted: a list of {name, source}"},
        {"configuration:\n  templates: [a]\n",
         "2: configuration.templates[0] is \"a\"; accepted: a map"},
        {"configuration:\n  copy: a\n",
         "2: configuration.copy is \"a\"; accepted: a list of texts"},
    };
    for (const auto& each : cases) EXPECT_EQ(refusal(each.text), "stack.yml:" + each.message);
}

TEST(Stack, RefusesWhatIsNoGoodYaml) {
    EXPECT_EQ(refusal("a: 1\nb: 2\na: 3\n"), "stack.yml:3: the key \"a\" stands twice");
    EXPECT_EQ(refusal("a: &x [*x]\n"), "stack.yml:1: the alias stands inside what it names");
    EXPECT_EQ(refusal("a: 1\n---\nb: 2\n"),
              "stack.yml holds more than one document; accepted: one");
    EXPECT_EQ(refusal("? [a]\n: b\n"), "stack.yml:1: a key is a list; accepted: a text");
    EXPECT_EQ(refusal("a:\n  <<: x\n"),
              "stack.yml:2: << is a text; accepted: a map, or a list of "
              "maps");
    EXPECT_TRUE(refusal("a: *nowhere\n").starts_with("stack.yml:1: "));
    EXPECT_TRUE(refusal("a: b: c\n").starts_with("stack.yml:1: "));
    EXPECT_TRUE(refusal("a: 1\n\tb: 2\n").starts_with("stack.yml:"));
    EXPECT_TRUE(refusal("a: {b: [c}\n").starts_with("stack.yml:1: "));
    EXPECT_NE(refusal(std::string(100, '[')), "");
    EXPECT_NE(refusal(std::string(100'000, '[')), "");
    EXPECT_NE(refusal(std::string(100'000, '{')), "");
}

TEST(Stack, BoundsAliasBombs) {
    std::string bomb = "x-0: &a0 [1,1,1,1,1,1,1,1,1,1]\n";
    for (int level = 1; level < 12; ++level) {
        bomb += fmt::format("x-{}: &a{} [", level, level);
        for (int copy = 0; copy < 10; ++copy) bomb += fmt::format("*a{},", level - 1);
        bomb += "]\n";
    }
    EXPECT_NE(refusal(bomb).find("holds over 100000 values"), std::string::npos) << refusal(bomb);
}

TEST(Stack, RefusesADocumentOverTheLimit) {
    const auto stack = read(std::string(1_MiB + 1, '#'));
    ASSERT_FALSE(stack.has_value());
    EXPECT_EQ(stack.error().code(), Errc::too_large);
}

TEST(Stack, SubstitutesUnlessToldNotTo) {
    EXPECT_EQ(one("    image: a:${TAG}\n").image, "a:7");
    EXPECT_EQ(refusal("a: 1\nb: ${}\n").substr(0, 18), "stack.yml: line 2:");
    StackOptions options;
    options.substitution = Substitution::off;
    EXPECT_EQ(read_stack(with("    image: a:${TAG}\n"), options)->functions[0].image, "a:${TAG}");
    options.substitution = Substitution::on;  // and no lookup
    EXPECT_EQ(read_stack(with("    image: a${TAG}\n"), options)->functions[0].image, "a");
}

TEST(EnvironmentFile, HoldsOneMap) {
    StackOptions options;
    options.file_name = "env.yml";
    EXPECT_EQ(*read_environment_file("environment:\n  A: 1\n  B: yes\n", options),
              (StringMap{{"A", "1"}, {"B", "yes"}}));
    EXPECT_TRUE(read_environment_file("", options)->empty());
    EXPECT_EQ(read_environment_file("environment: x\n", options).error().message(),
              "env.yml:1: environment is \"x\"; accepted: a map of names and texts (NAME: text)");
}

}  // namespace
}  // namespace fathom::function
