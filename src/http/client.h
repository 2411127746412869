// The client: calls that go out, over connections pooled per core.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"
#include "rt/rt.h"

namespace fathom::http {

struct ClientLimits {
    Bytes head_bytes_max = 1_MiB;
    std::size_t head_fields_max = 1000;
    std::size_t idle_per_upstream_max = 256;
    // Foreign servers close idle connections when they like; ours never do (docs/architecture.md).
    Duration reuse_within = Duration::max();
};

// One request going out and its answer coming back, full duplex. Dropping it before the answer's
// end closes the connection; otherwise the connection goes back to its pool.
class ClientExchange {
public:
    virtual ~ClientExchange() = default;

    // The body going out (only when the head said there is one).
    virtual BodyWriter& out() = 0;
    // The final answer's head (interim ones are skipped; 101 is final). Its views live as long as
    // the exchange. Errors: bad_upstream   closed, reset or not HTTP
    //         timed_out      through within()
    virtual Async<const ResponseHead*> head() = 0;
    virtual BodyReader& body() = 0;
    // Whether any byte of an answer came in. With false and `was_reused` the request may be sent
    // again.
    virtual bool has_answer_bytes() const = 0;
    // Whether the connection came from the pool.
    virtual bool was_reused() const = 0;
};

// One place calls go to, on one core, with its idle connections.
class Upstream {
public:
    Upstream(rt::Address address, ClientLimits limits = {});
    ~Upstream();
    Upstream(const Upstream&) = delete;
    Upstream& operator=(const Upstream&) = delete;

    const rt::Address& address() const noexcept;

    // Sends `head` (its fields as they are, less hop-by-hop ones, plus Host where it has none, and
    // framing from head.body) together with `first`, the beginning of the body, in one write. Of a
    // fixed body `first` may be all; a chunked one always ends with out().finish(), also where
    // nothing follows `first`.
    //
    // A pooled connection that turns out to be closed is replaced by a fresh one by itself where
    // the request cannot have been processed: when not a byte of it could be written, or (RFC 9110
    // section 9.2.2) when no byte of an answer came, the method is idempotent, and the request with
    // its whole body in `first` is at most 16 KiB.
    // Errors: invalid        method, target or host cannot stand in a request
    //         unavailable    nobody listens there
    //         bad_upstream   the connection broke
    enum class Fresh : std::uint8_t { no, yes };  // yes: never a pooled connection
    Async<std::unique_ptr<ClientExchange>> send(const RequestHead& head,
                                                std::string_view first = {},
                                                Fresh fresh = Fresh::no);

    // The same without a coroutine, where a pooled connection is there and `first` is small:
    // nullptr otherwise, and nothing was sent.
    std::unique_ptr<ClientExchange> try_send(const RequestHead& head, std::string_view first = {});

    std::size_t idle() const noexcept;
    std::size_t open() const noexcept;
    // Closes idle connections; those in use close when they end.
    void close_idle() noexcept;

    struct State;

private:
    std::unique_ptr<State> state_;
};

// One call, whole, for the CLI and for tests.
struct Call {
    std::string method = "GET";
    std::string target = "/";
    std::vector<std::pair<std::string, std::string>> headers{};
    std::string body{};
};
struct Answer {
    int status = 0;
    std::vector<std::pair<std::string, std::string>> headers{};
    std::string body{};
    // First value of `name`, or "".
    std::string_view header(std::string_view name) const noexcept;
};
Async<Answer> call_once(rt::Address address, Call call, Bytes body_bytes_max = 64_MiB);

}  // namespace fathom::http
