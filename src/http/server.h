// The server: connections become exchanges, exchanges go to a Handler.
#pragma once

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
    std::string content_type{};  // empty: none is sent
    std::string body{};
    std::vector<std::pair<std::string, std::string>> headers{};  // besides Content-Type
};

// One request and its answer. Lives until its handler returns.
class Exchange {
public:
    virtual ~Exchange() = default;

    // The request. Its views stay valid until the handler returns.
    virtual const RequestHead& request() const = 0;
    // Its body. An awaited 100 (Continue) is sent at the first read that has to wait.
    virtual BodyReader& body() = 0;
    // "ip:port" of the other end, or "" on a Unix socket.
    virtual std::string_view peer() const = 0;

    // Answers whole: head and body in one write. HEAD requests, 204 and 304 get no body bytes.
    virtual Async<> reply(Reply reply) = 0;
    // Begins a streamed answer: `head.headers` are sent as they are (framing and hop-by-hop ones
    // are left out, so that an upstream's head can be passed on), Date and framing are ours:
    // `head.body` fixed or chunked; until_close becomes chunked, and chunked until_close towards
    // HTTP/1.0. Whether the connection stays open is ours to say, too. Nothing is sent until the
    // first write, finish or flush, so that head and first bytes share a write. Interim statuses
    // cannot be sent this way: they become a 502.
    virtual void start(const ResponseHead& head) = 0;
    // Sends the head now, before there is a body.
    virtual Async<> flush() = 0;
    virtual BodyWriter& out() = 0;
    // The head went out (or was started): it is too late for another status.
    virtual bool has_started() const = 0;
    // Breaks the connection: the only honest end of an answer that failed half-way.
    virtual void abort() = 0;
    // Becomes ready when the client closes its side or the connection while the handler works, for
    // handlers that then want to stop. A client that only ends its sending half after the request
    // looks the same: who does not ask still answers it. Counts from the end of the request's body.
    virtual Async<> client_gone() = 0;
};

class Handler {
public:
    virtual ~Handler() = default;
    // Answers the exchange; a started answer that has no end yet is finished for it. On an error
    // without a started answer the server sends the error's status and sentence as text/plain; with
    // one it aborts. Called on the connection's core.
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
    ~Server();  // on several cores: only after drain()

    // Opens the listeners and serves on every core with the handler `make` makes on each.
    // Errors: those of rt::Listener::open; conflict also when another process listens there.
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
