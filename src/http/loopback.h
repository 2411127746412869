// For tests: a server on a free port of this machine, and raw bytes to and from it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/http.h"

namespace fathom::http::loopback {

// Handles with a plain coroutine function.
class FunctionHandler final : public Handler {
public:
    using Function = Async<> (*)(Exchange&);
    explicit FunctionHandler(Function function) : function_(function) {}
    Async<> handle(Exchange& exchange) override { return function_(exchange); }

private:
    Function function_;
};

inline rt::Address any_port() {
    return {.unix_path = "", .ip = "127.0.0.1", .port = 0};
}

// A connection a test speaks bytes on. What does not come within 10 s comes never.
class RawConnection {
public:
    explicit RawConnection(rt::Socket socket) : socket_(std::move(socket)) {}

    Async<> send(std::string_view bytes) { return socket_.write(bytes); }
    // Up to and including the first `mark`; all that came before the end where it does not come.
    Async<std::string> read_until(std::string mark) {
        for (;;) {
            if (const auto at = here_.find(mark); at != std::string::npos) {
                auto found = here_.substr(0, at + mark.size());
                here_.erase(0, found.size());
                co_return found;
            }
            auto is_more = co_await read_more();
            if (!*is_more) co_return std::exchange(here_, {});
        }
    }
    // All until the other side closes.
    Async<std::string> read_all() {
        for (;;) {
            auto is_more = co_await read_more();
            if (!*is_more) co_return std::exchange(here_, {});
        }
    }
    bool was_reset() const { return was_reset_; }
    rt::Socket& socket() { return socket_; }

private:
    Async<bool> read_more() {
        std::array<char, 4096> buffer{};
        auto count = co_await within(Deadline::in(10s), socket_.read(buffer));
        was_reset_ |= !count;
        if (!count || *count == 0) co_return false;
        here_.append(buffer.data(), *count);
        co_return true;
    }

    rt::Socket socket_;
    std::string here_;
    bool was_reset_ = false;
};

inline Async<std::unique_ptr<RawConnection>> dial(rt::Address address) {
    auto socket = co_await rt::connect(address);
    if (!socket) co_return fail(std::move(socket).error());
    co_return std::make_unique<RawConnection>(std::move(*socket));
}

// Sends `bytes` and answers everything that comes back until the server closes.
inline Async<std::string> talk(rt::Address address, std::string bytes) {
    auto connection = co_await dial(address);
    if (!connection) co_return fail(std::move(connection).error());
    auto sent = co_await (*connection)->send(bytes);
    if (!sent) co_return fail(std::move(sent).error());
    co_return co_await (*connection)->read_all();
}

// What a test does while a server runs.
using Talk = Async<> (*)(Server& server);

inline Async<> run_server(rt::Runtime& runtime, Server::Options options,
                          FunctionHandler::Function function, Talk talk) {
    Server server(runtime, std::move(options));
    auto started = co_await server.start(
        any_port(), [function](rt::Core&) { return std::make_unique<FunctionHandler>(function); });
    if (!started) co_return fail(std::move(started).error());
    auto talked = co_await talk(server);
    auto drained = co_await server.drain(Deadline::in(5s));
    EXPECT_EQ(server.counts().open, 0U);
    co_return talked ? std::move(drained) : std::move(talked);
}

inline void with_server(FunctionHandler::Function function, Talk talk, ServerLimits limits = {},
                        int cores = 1) {
    const SystemClock clock;
    rt::Runtime runtime({.cores = cores}, clock);
    const auto ran =
        runtime.run(run_server(runtime, {.limits = limits, .name = "test"}, function, talk));
    EXPECT_TRUE(ran) << ran.error().message();
}

// The body of an answer that came back as bytes.
inline std::string body_of(const std::string& answer) {
    const auto end = answer.find("\r\n\r\n");
    return end == std::string::npos ? "" : answer.substr(end + 4);
}

inline int status_of(std::string_view answer) {
    return answer.size() < 12 ? 0 : std::atoi(std::string(answer.substr(9, 3)).c_str());
}

}  // namespace fathom::http::loopback
