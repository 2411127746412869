#include "cli/fake_gateway.h"

namespace fathom::cli {
namespace {

constexpr const char* kTwo = R"([
{"name":"shout","image":"fathom.local/shout:0123456789ab","invocationCount":12,"replicas":1,
 "availableReplicas":1,"createdAt":"2026-11-21T12:46:37Z","labels":{"team":"a"},
 "annotations":{},"envProcess":"cat","envVars":{"mode":"http"},"limits":{"memory":"64Mi"}},
{"name":"idle","image":"i","createdAt":"2026-11-20T12:46:37Z"}])";

class ShowTest : public CommandTest {
protected:
    void SetUp() override {
        CommandTest::SetUp();
        gateway.answer("GET /system/functions", 200, kTwo);
    }
};

TEST_F(ShowTest, ListsInTheColumnsOfFaasCli) {
    EXPECT_EQ(run({"list"}), 0) << err;
    EXPECT_EQ(out,
              "Function                      \tInvocations    \tReplicas\n"
              "idle                          \t0              \t0    \n"
              "shout                         \t12             \t1    \n");
}

TEST_F(ShowTest, ListsWithImages) {
    EXPECT_EQ(run({"ls", "-v"}), 0) << err;
    EXPECT_EQ(
        out,
        "Function                      \tImage                                   \tInvocations    "
        "\tReplicas\tCreatedAt\n"
        "idle                          \ti                                       \t0              "
        "\t0    \t2026-11-20 12:46:37 +0000 UTC\n"
        "shout                         \tfathom.local/shout:0123456789ab         \t12             "
        "\t1    \t2026-11-21 12:46:37 +0000 UTC\n");
}

TEST_F(ShowTest, ListsNamesOnlyAndInTheOrderAskedFor) {
    EXPECT_EQ(run({"list", "-q", "--sort", "invocations"}), 0) << err;
    EXPECT_EQ(out, "shout\nidle\n");
    EXPECT_EQ(run({"list", "-q", "--sort", "creation"}), 0) << err;
    EXPECT_EQ(out, "idle\nshout\n");
    EXPECT_EQ(run({"list", "--sort", "size"}), 1);
    EXPECT_EQ(err, "--sort: \"size\" is none of name, invocations, creation\n");
}

TEST_F(ShowTest, ListsAsJson) {
    gateway.answers["GET /system/functions"] = {{.status = 200, .reason = "OK", .body = "[]"}};
    EXPECT_EQ(run({"list", "--json"}), 0) << err;
    EXPECT_EQ(out, "[]\n");
}

TEST_F(ShowTest, DescribesAFunction) {
    gateway.answer("GET /system/function/shout?usage=1", 200,
                   R"({"name":"shout","image":"i","replicas":1,"availableReplicas":0,
"createdAt":"2026-11-21T12:46:37Z","labels":{"team":"a"},"annotations":{},"envProcess":"cat",
"envVars":{"mode":"http"},"limits":{"memory":"64Mi"},"trouble":"it exited with status 1"})");
    EXPECT_EQ(run({"describe", "shout"}), 0) << err;
    EXPECT_EQ(out,
              "Name:                shout\n"
              "Status:              Not Ready\n"
              "Replicas:            1\n"
              "Available Replicas:  0\n"
              "Invocations:         12\n"
              "Image:               i\n"
              "Function Process:    cat\n"
              "URL:                 http://127.0.0.1:8080/function/shout\n"
              "Async URL:           http://127.0.0.1:8080/async-function/shout\n"
              "Labels:\n"
              " team: a\n"
              "Environment:\n"
              " mode: http\n"
              "Limits:\n"
              " Memory: 64Mi\n"
              "Trouble:\n"
              " it exited with status 1\n");
    EXPECT_EQ(run({"describe", "nothing"}), 1);
    EXPECT_EQ(err, "No such function: nothing\n");
}

TEST_F(ShowTest, RemovesAFunction) {
    gateway.answer("DELETE /system/functions", 202);
    EXPECT_EQ(run({"rm", "shout"}), 0) << err;
    EXPECT_EQ(out, "Deleting: shout.openfaas-fn\nRemoving old function.\n");
    EXPECT_EQ(gateway.requests.back().body, R"({"functionName":"shout"})");
    gateway.answers.clear();
    EXPECT_EQ(run({"remove", "shout"}), 1);
    EXPECT_EQ(err, "No existing function to remove: shout\n");
}

TEST_F(ShowTest, ShowsVersionsEvenWithoutAGateway) {
    gateway.answer("GET /system/info", 200,
                   R"({"provider":{"provider":"fathom-local","orchestration":"sandbox",
"version":{"release":"9","sha":"8"}},"version":{"release":"7","sha":"6"}})");
    EXPECT_EQ(run({"version"}), 0) << err;
    EXPECT_EQ(out.substr(out.find("CLI:")),
              "CLI:\n commit:  abcdef\n version: 1.2.3\n\n"
              "Gateway\n uri:     http://127.0.0.1:8080\n version: 7\n sha:     6\n\n"
              "Provider\n name:          fathom-local\n orchestration: sandbox\n"
              " version:       9\n sha:           8\n");
    gateway.is_down = true;
    EXPECT_EQ(run({"version"}), 0);
    EXPECT_NE(err.find("cannot reach the gateway"), std::string::npos);
    EXPECT_EQ(run({"version", "--short-version"}), 0);
    EXPECT_EQ(out, "1.2.3\n");
}

TEST_F(ShowTest, DoctorLooksAtThisMachineWhenNoGatewayAnswers) {
    gateway.is_down = true;
    EXPECT_EQ(run({"doctor"}), 0) << err;
    EXPECT_NE(out.find("Sandbox: full (of this machine, for this user)\n"
                       "  ok       cgroup memory              limits hold\n"),
              std::string::npos)
        << out;
    EXPECT_NE(out.find("  missing  c++                        needed for lang: cpp"),
              std::string::npos)
        << out;
}

TEST_F(ShowTest, HelpsWithoutACommandAndWithAWrongOne) {
    EXPECT_EQ(run({}), 0);
    EXPECT_NE(out.find("deploy"), std::string::npos);
    EXPECT_EQ(run({"deploy", "--help"}), 0);
    EXPECT_NE(out.find("--annotation"), std::string::npos);
    EXPECT_EQ(run({"deplyo"}), 1);
    EXPECT_EQ(err, "\"deplyo\" is no command of fathom\nSee: fathom --help\n");
    EXPECT_EQ(run({"up"}), 1);
    EXPECT_NE(err.find("fathom deploy"), std::string::npos) << err;
    EXPECT_EQ(run({"help"}), 0);
    EXPECT_NE(out.find("deploy"), std::string::npos);
    EXPECT_EQ(run({"--version"}), 0);
    EXPECT_EQ(run({"list", "--colour"}), 1);
    EXPECT_NE(err.find("See: fathom list --help"), std::string::npos);
}

TEST_F(ShowTest, TakesTheGatewayFromFlagFileAndEnvironmentInThisOrder) {
    environment["OPENFAAS_URL"] = "http://10.0.0.3:8080/";
    run({"list"});
    EXPECT_EQ(gateway.places.back(), "10.0.0.3:8080");
    write("stack.yml", "provider: {name: openfaas, gateway: http://10.0.0.2}\nfunctions: {}\n");
    run({"list"});
    EXPECT_EQ(gateway.places.back(), "10.0.0.2:80");
    run({"list", "-g", "10.0.0.1:81"});
    EXPECT_EQ(gateway.places.back(), "10.0.0.1:81");
    run({"list", "-g", "http://127.0.0.1:8080"});  // the default does not count
    EXPECT_EQ(gateway.places.back(), "10.0.0.2:80");
}

}  // namespace
}  // namespace fathom::cli
