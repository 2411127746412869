// A gateway in memory, and a world around it, for tests of commands.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "cli/cli.h"

namespace fathom::cli {

// Answers by "METHOD /target"; keeps what was asked, and with which fields and bodies.
class FakeGateway final : public Transport {
public:
    Result<Reply> send(const GatewayUrl& gateway, const Request& request) override {
        Request seen = request;
        if (request.body_fd >= 0) {
            char piece[4096];
            for (ssize_t got = 0; (got = ::read(request.body_fd, piece, sizeof piece)) > 0;)
                seen.body.append(piece, static_cast<std::size_t>(got));
        }
        places.push_back(fmt::format("{}:{}", gateway.host, gateway.port));
        asked.push_back(request.method + " " + request.target);
        requests.push_back(std::move(seen));
        if (is_down) return fail(Errc::unavailable, "connection refused");
        const auto answer = answers.find(asked.back());
        if (answer == answers.end()) return Reply{.status = 404, .reason = "Not Found"};
        auto& list = answer->second;
        auto reply = list.front();
        if (list.size() > 1) list.erase(list.begin());
        if (request.on_body && reply.status < 300) {
            request.on_body(reply.body);
            reply.body.clear();
        }
        return reply;
    }
    void sleep(Duration duration) override { slept += duration; }

    // One after the other; the last one again and again.
    void answer(const std::string& request, int status, std::string body = "") {
        const std::string reason = status == 202 ? "Accepted" : status == 200 ? "OK" : "";
        answers[request].push_back({.status = status, .reason = reason, .body = std::move(body)});
    }

    std::map<std::string, std::vector<Reply>> answers;
    std::vector<std::string> asked;
    std::vector<std::string> places;
    std::vector<Request> requests;
    Duration slept{};
    bool is_down = false;
};

class NoLauncher final : public build::ProcessLauncher {
public:
    Result<build::Outcome> run(const build::Command& command) override {
        return fail(Errc::not_found, "the program \"{}\" is not installed", command.argv.front());
    }
};

// A folder of its own, an empty environment, no terminal.
class CommandTest : public testing::Test {
protected:
    void SetUp() override {
        folder = testing::TempDir() + "fathom-cli-XXXXXX";
        ASSERT_NE(::mkdtemp(folder.data()), nullptr);
        environment["HOME"] = folder;
        environment["TMPDIR"] = folder;
        before_ = std::filesystem::current_path();
        std::filesystem::current_path(folder);
    }
    void TearDown() override {
        std::filesystem::current_path(before_);
        std::filesystem::remove_all(folder);
    }

    void write(const std::string& path, const std::string& text) {
        const auto parent = std::filesystem::path(path).parent_path();
        if (!parent.empty()) std::filesystem::create_directories(parent);
        std::ofstream(path) << text;
    }

    // Runs a command; what it said is in out and err.
    int run(const std::vector<std::string>& arguments, const std::string& input = "") {
        char* out_text = nullptr;
        char* err_text = nullptr;
        std::size_t out_bytes = 0;
        std::size_t err_bytes = 0;
        write(".input", input);
        std::FILE* in_file = std::fopen(".input", "rb");
        Ports ports{
            .out = ::open_memstream(&out_text, &out_bytes),
            .err = ::open_memstream(&err_text, &err_bytes),
            .input_fd = ::fileno(in_file),
            .environment = [this](std::string_view name) -> std::optional<std::string> {
                const auto found = environment.find(std::string(name));
                if (found == environment.end()) return {};
                return found->second;
            },
            .clock = clock,
            .transport = gateway,
            .launcher = launcher,
            .ask_secret = [this](std::string_view) { return secret; },
            .probe = [] { return Machine{"full", {{"cgroup memory", true, "limits hold"}}}; },
            .release = "1.2.3",
            .commit = "abcdef"};
        const int code = cli::run(arguments, ports);
        std::fclose(in_file);
        std::fclose(ports.out);
        std::fclose(ports.err);
        out.assign(out_text, out_bytes);
        err.assign(err_text, err_bytes);
        std::free(out_text);
        std::free(err_text);
        return code;
    }

    std::string folder, out, err;
    std::map<std::string, std::string> environment;
    std::optional<std::string> secret;
    FakeGateway gateway;
    NoLauncher launcher;
    ManualClock clock;

private:
    std::filesystem::path before_;
};

}  // namespace fathom::cli
