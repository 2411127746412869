#include "watchdog/request_text.h"

#include <gtest/gtest.h>

#include <map>

#include "http/parse.h"

namespace fathom::watchdog {
namespace {

struct Request {
    explicit Request(std::string bytes) : text(std::move(bytes)) {
        http::HeadScan scan;
        const auto parsed = http::parse_request_head(text, scan, {}, head);
        EXPECT_EQ(parsed.state, http::Parsed::State::complete);
    }
    std::string text;
    http::RequestHead head;
};

std::map<std::string, std::string> variables(std::string request, Mode mode,
                                             std::vector<const char*> own = {}) {
    const Request parsed(std::move(request));
    ChildEnvironment environment{Environment(own)};
    const auto entries = environment.with_request(parsed.head, mode);
    std::map<std::string, std::string> found;
    EXPECT_TRUE(entries);
    for (auto* const* entry = *entries; *entry != nullptr; ++entry) {
        const std::string text = *entry;
        const auto equals = text.find('=');
        EXPECT_TRUE(found.emplace(text.substr(0, equals), text.substr(equals + 1)).second) << text;
    }
    return found;
}

using Variables = std::map<std::string, std::string>;

TEST(RequestAsEnvironment, HasEveryFieldByItsCanonicalName) {
    EXPECT_EQ(variables("POST /a%20b/?x=%31&y HTTP/1.1\r\nhost: f:8080\r\nx-call-ID: 7\r\n"
                        "User-Agent: curl\r\nContent-Length: 5\r\n\r\n",
                        Mode::classic),
              (Variables{{"Http_X_Call_Id", "7"},
                         {"Http_User_Agent", "curl"},
                         {"Http_Method", "POST"},
                         {"Http_Query", "x=%31&y"},
                         {"Http_Path", "/a b/"},
                         {"Http_ContentLength", "5"},
                         {"Http_Content_Length", "5"},
                         {"Http_Host", "f:8080"}}));
}

TEST(RequestAsEnvironment, LeavesHostAndLengthToClassicMode) {
    EXPECT_EQ(variables("GET / HTTP/1.1\r\nHost: f\r\n\r\n", Mode::streaming),
              (Variables{{"Http_Method", "GET"}, {"Http_Path", "/"}}));
    EXPECT_EQ(variables("POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 3\r\n\r\n",
                        Mode::streaming)["Http_Content_Length"],
              "3");
}

TEST(RequestAsEnvironment, SaysMinusOneForAnUnknownLength) {
    auto found = variables("POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n",
                           Mode::classic);
    EXPECT_EQ(found["Http_ContentLength"], "-1");
    EXPECT_EQ(found["Http_Content_Length"], "-1");
    EXPECT_EQ(found["Http_Transfer_Encoding"], "chunked");
}

TEST(RequestAsEnvironment, TakesTheFirstOfSeveralFields) {
    EXPECT_EQ(
        variables("GET / HTTP/1.1\r\nHost: f\r\nA: 1\r\na: 2\r\n\r\n", Mode::classic)["Http_A"],
        "1");
}

TEST(RequestAsEnvironment, LetsNoFieldStandInForWhatTheWatchdogSays) {
    auto found = variables(
        "GET /real HTTP/1.1\r\nHost: f\r\nPath: /forged\r\nMethod: PUT\r\n"
        "Query: q\r\n\r\n",
        Mode::classic);
    EXPECT_EQ(found["Http_Path"], "/real");
    EXPECT_EQ(found["Http_Method"], "GET");
    EXPECT_FALSE(found.contains("Http_Query"));
}

TEST(RequestAsEnvironment, KeepsTheWatchdogsOwnVariablesButNotItsSocket) {
    const auto found = variables(
        "GET / HTTP/1.1\r\nHost: f\r\n\r\n", Mode::streaming,
        {"PATH=/bin", "LISTEN_FDS=1", "LISTEN_PID=4", "FATHOM_LISTEN_FD=3", "Http_Cookie=stale"});
    EXPECT_EQ(found, (Variables{{"Http_Method", "GET"}, {"Http_Path", "/"}, {"PATH", "/bin"}}));
}

TEST(RequestAsEnvironment, RefusesAPathThatCannotBeAVariable) {
    for (const auto* path : {"/%00", "/%zz", "/%4"}) {
        const Request request("GET " + std::string(path) + " HTTP/1.1\r\nHost: f\r\n\r\n");
        ChildEnvironment environment{Environment({})};
        EXPECT_FALSE(environment.with_request(request.head, Mode::classic)) << path;
    }
}

TEST(RequestAsJson, HasFieldsInOrderAndTheBodyInBase64) {
    const Request request(
        "POST / HTTP/1.1\r\nHost: f\r\nb: 1\r\nA: <x>\r\nB: 2\r\nContent-Length: 2\r\n\r\n");
    EXPECT_EQ(marshal_request(request.head, "hi"),
              R"({"header":{"A":["\u003cx\u003e"],"B":["1","2"],"Content-Length":["2"]},)"
              R"("body":{"raw":"aGk="}})");
}

TEST(RequestAsJson, IsWholeWithoutFieldsToo) {
    const Request request("GET / HTTP/1.1\r\nHost: f\r\n\r\n");
    EXPECT_EQ(marshal_request(request.head, ""), R"({"header":{},"body":{"raw":""}})");
}

}  // namespace
}  // namespace fathom::watchdog
