#include <gtest/gtest.h>

#include <stdexcept>

#include "fathom.h"

namespace fathom {
namespace {

// fathom::serve on a thread of its own and a socket of its own; ends with the test.
class Serving {
public:
    explicit Serving(Handler handler, std::size_t body_bytes_max = kBodyBytesMax) {
        const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
        address_.sun_family = AF_UNIX;
        // An address without a file: the kernel chooses the name.
        ::bind(listener, reinterpret_cast<sockaddr*>(&address_), sizeof(sa_family_t));
        ::getsockname(listener, reinterpret_cast<sockaddr*>(&address_), &bytes_);
        ::listen(listener, 64);
        server_ = std::make_unique<detail::Server>(
            std::move(handler),
            ServeOptions{.listener = listener, .threads_max = 4, .body_bytes_max = body_bytes_max});
        thread_ = std::thread([this] { server_->run(); });
    }
    Serving(const Serving&) = delete;
    Serving& operator=(const Serving&) = delete;
    ~Serving() {
        server_->stop();
        thread_.join();
    }

    // All that comes back on one connection for `bytes`, until the function closes it.
    std::string talk(std::string_view bytes) const {
        const int caller = ::socket(AF_UNIX, SOCK_STREAM, 0);
        EXPECT_EQ(::connect(caller, reinterpret_cast<const sockaddr*>(&address_), bytes_), 0);
        EXPECT_EQ(::send(caller, bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
        ::shutdown(caller, SHUT_WR);
        std::string all;
        char piece[4096];
        for (ssize_t got = 0; (got = ::recv(caller, piece, sizeof piece, 0)) > 0;)
            all.append(piece, static_cast<std::size_t>(got));
        ::close(caller);
        return all;
    }

private:
    sockaddr_un address_ = {};
    socklen_t bytes_ = sizeof address_;
    std::unique_ptr<detail::Server> server_;
    std::thread thread_;
};

TEST(Serve, AnswersWithStringsAndJson) {
    const Serving serving([](Request request) -> Response {
        if (request.path() == "/json") return Json{{"method", request.method()}};
        return "hello " + request.query("name").value_or("world");
    });
    EXPECT_EQ(serving.talk("GET /?name=x HTTP/1.1\r\nHost: x\r\n\r\n"),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
              "Content-Length: 7\r\n\r\nhello x");
    EXPECT_EQ(serving.talk("PUT /json HTTP/1.1\r\nHost: x\r\n\r\n"),
              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
              "Content-Length: 16\r\n\r\n{\"method\":\"PUT\"}");
}

TEST(Serve, StreamsAnswersInChunksOnlyToHttp11) {
    const Serving serving([](Request) -> Response {
        return Response::stream([](Writer& writer) {
            writer.write("one");
            writer.write("");
            writer.write("two");
        });
    });
    EXPECT_TRUE(serving.talk("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    .ends_with("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"));
    const auto old = serving.talk("GET / HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(old.ends_with("Connection: close\r\n\r\nonetwo")) << old;
    const auto head = serving.talk("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
}

TEST(Serve, CutsAStreamThatThrows) {
    const Serving serving([](Request) -> Response {
        return Response::stream([](Writer& writer) {
            writer.write("one");
            throw std::runtime_error("asked to fail");
        });
    });
    EXPECT_TRUE(serving.talk("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
                    .ends_with("\r\n\r\n3\r\none\r\n"));
}

TEST(Serve, SkipsWhatTheHandlerDidNotReadOfABody) {
    const Serving serving([](Request request) -> Response { return std::string(request.path()); });
    const auto answers = serving.talk(
        "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
        "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_NE(answers.find("/1"), answers.npos);
    EXPECT_NE(answers.find("/2"), answers.npos);
    EXPECT_TRUE(answers.ends_with("/3")) << answers;
}

TEST(Serve, RefusesABodyOneByteOverTheLimit) {
    const Serving serving([](Request request) -> Response { return request.body(); }, 3);
    EXPECT_TRUE(serving.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
                    .ends_with("\r\n\r\nabc"));
    for (const auto* body : {"Content-Length: 4\r\n\r\nabcd",
                             "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"}) {
        const auto answer = serving.talk(std::string("POST / HTTP/1.1\r\nHost: x\r\n") + body);
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 Content Too Large\r\n")) << answer;
        EXPECT_TRUE(
            answer.ends_with("the body is larger than 3 bytes (FATHOM_BODY_MAX of the function)\n"))
            << answer;
    }
}

TEST(Serve, MakesAnExceptionA500AndGoesOn) {
    const Serving serving([](Request request) -> Response {
        if (request.path() == "/odd") throw 7;
        if (request.path() == "/bad") throw std::runtime_error("asked to fail");
        if (request.path() == "/split") return Response("x").header("X-A", "b\r\nX-B: c");
        return "well";
    });
    for (const auto* path : {"/odd", "/bad", "/split"}) {
        const auto answers = serving.talk(std::string("GET ") + path +
                                          " HTTP/1.1\r\nHost: x\r\n\r\n"
                                          "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        EXPECT_TRUE(answers.starts_with("HTTP/1.1 500 Internal Server Error\r\n")) << answers;
        EXPECT_TRUE(answers.ends_with("well")) << answers;
    }
}

TEST(Serve, AnswersReadyAndHealthItself) {
    const Serving serving([](Request) -> Response { return "the handler"; });
    for (const auto* path : {"/_/ready", "/_/health"})
        EXPECT_TRUE(serving.talk(std::string("GET ") + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
                        .ends_with("\r\n\r\nOK\n"));
    EXPECT_TRUE(serving.talk("POST /_/ready HTTP/1.1\r\nHost: x\r\n\r\n")
                    .starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
}

}  // namespace
}  // namespace fathom
