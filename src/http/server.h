// The server: connections become exchanges, exchanges go to a Handler.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "rt/rt.h"

namespace fathom::http {

struct ServerLimits {
    Bytes head_bytes_max = 1_MiB;  // request line and fields together, as OpenFaaS; 431 beyond
    std::size_t head_fields_max = 1000;   // 431 beyond
    Bytes body_bytes_max = 1_GiB * 1024;  // 413 beyond; a route lowers it through BodyReader::limit
    Duration head_within = 10s;           // from the first byte of a head to its last: 408
    Duration idle_max = 60s;              // kept-alive and silent: closed
    Duration stall_max = 60s;             // a body (either way) that moves no byte: closed
    std::size_t connections_max = 65536;  // of this server over all cores: 503 and closed beyond
    int requests_per_wake_max = 16;       // pipelined requests served before others get their turn
};

// A small answer, whole.
struct Reply {
    int status = 200;
    std::string content_type;  // empty: none is sent
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers{};  // besides Content-Type
};

// One request and its answer. Lives until its handler returns.
class Exchange {
public:
    virtual ~Exchange() = default;

    // The request. Its views stay valid until the handler returns.
    virtual const RequestHead& request() const = 0;
    virtual BodyReader& body() = 0;
    // "ip:port" of the other end, or "" on a Unix socket.
    virtual std::string_view peer() const = 0;

    // Answers whole: head and body in one write. HEAD requests, 204 and 304 get no body bytes.
    virtual Async<> reply(Reply reply) = 0;
    // Begins a streamed answer: `head.headers` are sent as they are (no hop-by-hop ones), Date and
    // framing are ours: `head.body` fixed or chunked (until_close towards HTTP/1.0). Nothing is
    // sent until the first write, finish, or flush, so that head and first bytes share a write.
    virtual void start(const ResponseHead& head) = 0;
    // Sends an interim 100 now if the client waits for it; done by itself at the first body read.
    virtual Async<> flush() = 0;
    virtual BodyWriter& out() = 0;
    // The head went out (or was started): it is too late for another status.
    virtual bool has_started() const = 0;
    // Breaks the connection: the only honest end of an answer that failed half-way.
    virtual void abort() = 0;
    // Becomes ready when the client goes away while the handler works.
    virtual Async<> client_gone() = 0;
};

class Handler {
public:
    virtual ~Handler() = default;
    // Answers the exchange. On an error without a started answer the server sends the error's
    // status and sentence as text/plain; with one it aborts. Called on the connection's core.
    virtual Async<> handle(Exchange& exchange) = 0;
};

// One listening address on every core. Core i accepts on its own SO_REUSEPORT socket; a core
// clearly above the least loaded one sends the new fd there before its first read.
class Server {
public:
    struct Options {
        ServerLimits limits{};
        std::string name = "fathom";  // the Server field; empty: none
    };
    Server(rt::Runtime& runtime, Options options);
    ~Server();

    // Opens the listeners and serves on every core with the handler `make` makes on each.
    // Errors: those of rt::Listener::open. Call on core 0.
    Async<> start(const rt::Address& address,
                  std::function<std::unique_ptr<Handler>(rt::Core&)> make);
    // Where it listens.
    rt::Address address() const;

    // Stops accepting, closes idle connections, lets running exchanges finish until `deadline`,
    // then cuts them off.
    Async<> drain(Deadline deadline);

    struct Counts {
        std::uint64_t accepted = 0, open = 0, refused = 0, requests = 0, bad_requests = 0;
    };
    Counts counts() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace fathom::http
