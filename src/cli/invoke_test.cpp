#include "cli/fake_gateway.h"
#include "cli/time_layout.h"
#include "core/time.h"

namespace fathom::cli {
namespace {

using InvokeTest = CommandTest;
using LogsTest = CommandTest;

TEST_F(InvokeTest, SendsTheInputAndPrintsTheAnswerAsItIs) {
    gateway.answer("POST /function/shout.openfaas-fn?a=b%20c", 200, std::string("HI\0there", 8));
    EXPECT_EQ(run({"invoke", "shout", "--query", "a=b c", "-H", "X-One: 1", "-H", "X-Two=2"}, "hi"),
              0)
        << err;
    EXPECT_EQ(out, std::string("HI\0there", 8));
    const auto& request = gateway.requests.back();
    EXPECT_EQ(request.body, "hi");
    EXPECT_EQ(request.body_bytes, 2U);
    EXPECT_EQ(request.headers, (Fields{{"Content-Type", "text/plain"},
                                       {"X-One", "1"},
                                       {"X-Two", "2"},
                                       {"User-Agent", "fathom/1.2.3"}}));
}

TEST_F(InvokeTest, TakesMethodNamespaceAndContentType) {
    gateway.answer("PUT /function/shout.dev", 204);
    EXPECT_EQ(run({"invoke", "shout", "-n", "dev", "-m", "PUT", "--content-type", "a/b"}), 0)
        << err;
    EXPECT_EQ(gateway.requests.back().headers[0].second, "a/b");
}

TEST_F(InvokeTest, SaysThatAGatewayQueuesNothing) {
    EXPECT_EQ(run({"invoke", "-a", "shout"}, "hi"), 1);
    EXPECT_NE(err.find("without --async"), std::string::npos) << err;
}

TEST_F(InvokeTest, QueuesACall) {
    gateway.answer("POST /async-function/shout.openfaas-fn", 202);
    EXPECT_EQ(run({"invoke", "-a", "shout"}, "hi"), 0);
    EXPECT_EQ(err, "Function submitted asynchronously.\n");
}

TEST_F(InvokeTest, PrintsStatusAndBodyOfARefusal) {
    gateway.answer("POST /function/shout.openfaas-fn", 500, "boom\n");
    EXPECT_EQ(run({"invoke", "shout"}), 1);
    EXPECT_EQ(out, "");
    EXPECT_EQ(err, "Server returned unexpected status code: 500 - boom\n");
}

TEST_F(InvokeTest, RefusesHeadersAndQueriesThatAreNone) {
    EXPECT_EQ(run({"invoke", "shout", "-H", "nothing"}), 1);
    EXPECT_EQ(err, "--header: \"nothing\" is not \"Name: value\"\n");
    EXPECT_EQ(run({"invoke", "shout", "--query", "x"}), 1);
    EXPECT_EQ(err, "--query: \"x\" is not key=value\n");
    EXPECT_TRUE(gateway.asked.empty());
}

constexpr const char* kLines =
    "{\"name\":\"shout\",\"instance\":\"shout-1\",\"timestamp\":\"2026-11-21T12:46:37.123456789Z\","
    "\"text\":\"hello\\n\"}\n"
    "{\"name\":\"shout\",\"instance\":\"shout-1\",\"timestamp\":\"2026-11-21T12:46:38Z\","
    "\"text\":\"bye\"}";

TEST_F(LogsTest, PrintsLinesWithTheirTime) {
    gateway.answer("GET /system/logs?name=shout&tail=-1&follow=true", 200, kLines);
    EXPECT_EQ(run({"logs", "shout"}), 0) << err;
    EXPECT_EQ(out, "2026-11-21T12:46:37Z hello\n2026-11-21T12:46:38Z bye\n");
    EXPECT_EQ(run({"logs", "shout", "--name", "--instance", "--time-format", ""}), 0) << err;
    EXPECT_EQ(out, "shout (shout-1) hello\nshout (shout-1) bye\n");
    EXPECT_EQ(run({"logs", "shout", "-o", "keyvalue", "--time-format", "15:04"}), 0) << err;
    EXPECT_EQ(out, "timestamp=\"12:46\" text=\"hello\" \ntimestamp=\"12:46\" text=\"bye\" \n");
    EXPECT_EQ(run({"logs", "shout", "--json"}), 0) << err;
    EXPECT_EQ(out, std::string(kLines) + "\n");
}

TEST_F(LogsTest, AsksForLinesSinceATime) {
    run({"logs", "shout", "--tail=false", "--lines", "5", "--since", "10m"});
    EXPECT_EQ(gateway.asked.back(), "GET /system/logs?name=shout&tail=5&follow=false&since=" +
                                        std::string("1999-12-24T23%3A50%3A00Z"));
    EXPECT_EQ(err, "No such function: shout\n");
    EXPECT_EQ(run({"logs", "shout", "--since-time", "yesterday"}), 1);
    EXPECT_EQ(run({"logs", "shout", "-o", "xml"}), 1);
    EXPECT_EQ(err, "--output: \"xml\" is none of plain, keyvalue, json\n");
}

TEST(TimeLayout, WritesGoLayouts) {
    const auto at = *parse_rfc3339("2026-03-01T00:05:09.012345678Z");
    EXPECT_EQ(in_layout(at, "2006-01-02T15:04:05.000Z07:00"), "2026-03-01T00:05:09.012Z");
    EXPECT_EQ(in_layout(at, "Mon, 02 Jan 2006 03:04:05 PM MST"),
              "Sun, 01 Mar 2026 12:05:09 AM UTC");
    EXPECT_EQ(in_layout(at, "January _2, 06"), "March  1, 26");
    EXPECT_EQ(in_layout(at, ""), "");
}

}  // namespace
}  // namespace fathom::cli
