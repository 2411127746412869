#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "cli/transport.h"
#include "http/http.h"

namespace fathom::cli {
namespace {

constexpr Bytes kReplyBytesMax = 64_MiB;
constexpr std::size_t kPieceBytes = 64UL * 1024;

Result<std::vector<rt::Address>> resolve(const GatewayUrl& gateway) {
    if (gateway.host == "localhost")
        return std::vector<rt::Address>{{.unix_path = "", .ip = "127.0.0.1", .port = gateway.port},
                                        {.unix_path = "", .ip = "::1", .port = gateway.port}};
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* list = nullptr;
    const int error = ::getaddrinfo(gateway.host.c_str(), nullptr, &hints, &list);
    if (error != 0)
        return fail(Errc::unavailable, "the name \"{}\" is unknown: {}", gateway.host,
                    ::gai_strerror(error));
    std::vector<rt::Address> addresses;
    for (const auto* entry = list; entry != nullptr; entry = entry->ai_next) {
        std::array<char, NI_MAXHOST> ip{};
        if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, ip.data(), ip.size(), nullptr, 0,
                          NI_NUMERICHOST) == 0)
            addresses.push_back({.unix_path = "", .ip = ip.data(), .port = gateway.port});
    }
    ::freeaddrinfo(list);
    return addresses;
}

// A descriptor that bytes of a body come from: a file is read, everything else is waited for. The
// flags it had before are put back, since a terminal shares them with the shell.
class Source {
public:
    // Errors: invalid    not readable
    static Result<std::unique_ptr<Source>> open(int fd) {
        const int flags = ::fcntl(fd, F_GETFL);
        struct stat facts{};
        if (flags < 0 || ::fstat(fd, &facts) != 0)
            return fail_errno(Errc::invalid, errno, "cannot read the input");
        auto source = std::unique_ptr<Source>(new Source(fd, flags));
        const bool is_waited_for = S_ISFIFO(facts.st_mode) || S_ISSOCK(facts.st_mode) ||
                                   (S_ISCHR(facts.st_mode) && ::isatty(fd) != 0);
        if (!is_waited_for) return source;
        auto socket = rt::Socket::adopt(rt::Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 3)));
        if (!socket) return fail(std::move(socket).error());
        source->socket_ = std::move(*socket);
        return source;
    }
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    ~Source() {
        socket_.close();
        (void)::fcntl(fd_, F_SETFL, flags_);
    }

    // 0 at the end.
    Async<std::size_t> read(std::span<char> into) {
        if (socket_) co_return co_await socket_.read(into);
        for (;;) {
            const auto got = ::read(fd_, into.data(), into.size());
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) co_return fail_errno(Errc::invalid, errno, "cannot read the input");
            co_return static_cast<std::size_t>(got);
        }
    }

private:
    Source(int fd, int flags) : fd_(fd), flags_(flags) {}
    int fd_;
    int flags_;
    rt::Socket socket_;
};

// `text`, then everything of `source`, where there is one.
Async<> upload(http::BodyWriter& out, std::string_view text, Source* source) {
    if (!text.empty()) {
        auto sent = co_await out.write(text);
        if (!sent) co_return fail(std::move(sent).error());
    }
    std::string buffer(source != nullptr ? kPieceBytes : 0, '\0');
    while (source != nullptr) {
        auto got = co_await source->read(buffer);
        if (!got) co_return fail(std::move(got).error());
        if (*got == 0) break;
        auto sent = co_await out.write(std::string_view(buffer).substr(0, *got));
        if (!sent) co_return fail(std::move(sent).error());
    }
    co_return co_await out.finish();
}

// Remembers what it answered instead of answering it: the other side may answer early, and its
// answer says more than "the connection is closed".
Async<> remembered(Async<> work, std::optional<Error>& failure) {
    auto done = co_await std::move(work);
    if (!done) failure = std::move(done).error();
    co_return Result<>{};
}

Async<> download(http::ClientExchange& exchange, const Request& request, Reply& reply) {
    auto head = co_await exchange.head();
    if (!head) co_return fail(std::move(head).error());
    reply.status = (*head)->status;
    reply.reason = (*head)->reason.empty() ? http::reason_of(reply.status) : (*head)->reason;
    for (const auto& [name, value] : (*head)->headers) reply.headers.emplace_back(name, value);

    const bool is_streamed = request.on_body && reply.status >= 200 && reply.status <= 299;
    for (;;) {
        auto piece = co_await exchange.body().read();
        if (!piece) co_return fail(std::move(piece).error());
        if (piece->empty()) co_return Result<>{};
        if (is_streamed) {
            if (!request.on_body(*piece)) co_return Result<>{};
            continue;
        }
        reply.body += *piece;
        if (reply.body.size() > kReplyBytesMax)
            co_return fail(Errc::too_large, "the gateway's answer is over {} bytes",
                           kReplyBytesMax);
    }
}

http::BodyLength length_of(const Request& request) {
    if (request.body_fd >= 0)
        return request.body_bytes ? http::BodyLength::fixed(*request.body_bytes)
                                  : http::BodyLength::chunked();
    const bool has_body = !request.body.empty() || request.method != "GET";
    return has_body ? http::BodyLength::fixed(request.body.size()) : http::BodyLength::none();
}

// One exchange over a connection of its own.
Async<> exchange_with(const rt::Address& address, const std::string& authority,
                      const std::string& target, const Request& request, Reply& reply) {
    http::RequestHead head;
    head.method = request.method;
    head.target = target;
    head.headers.add("Host", authority);
    for (const auto& [name, value] : request.headers) head.headers.add(name, value);
    head.body = length_of(request);

    std::unique_ptr<Source> source;
    if (request.body_fd >= 0) {
        auto opened = Source::open(request.body_fd);
        if (!opened) co_return fail(std::move(opened).error());
        source = std::move(*opened);
    }
    http::Upstream upstream(address);
    auto exchange = co_await upstream.send(head);
    if (!exchange) co_return fail(std::move(exchange).error());

    std::optional<Error> failed_upload;
    TaskGroup uploads;
    if (source || !request.body.empty())
        uploads.spawn(
            remembered(upload((*exchange)->out(), request.body, source.get()), failed_upload));
    auto done = co_await download(**exchange, request, reply);
    uploads.cancel();
    if (!done && failed_upload) co_return fail(std::move(*failed_upload));
    co_return done;
}

Async<> first_that_answers(const std::vector<rt::Address>& addresses, const std::string& authority,
                           const std::string& target, const Request& request, Reply& reply) {
    Result<> last = fail(Errc::unavailable, "the name has no address");
    for (const auto& address : addresses) {
        last = co_await exchange_with(address, authority, target, request, reply);
        if (last || last.error().code() != Errc::unavailable) break;
    }
    co_return last;
}

Async<> in_time(Async<> work, std::optional<Duration> limit) {
    if (!limit) co_return co_await std::move(work);
    auto done = co_await within(Deadline::in(*limit), std::move(work));
    if (!done && done.error().code() == Errc::timed_out)
        co_return fail(Errc::timed_out, "no answer within {}", to_text(*limit));
    co_return done;
}

class HttpTransport final : public Transport {
public:
    Result<Reply> send(const GatewayUrl& gateway, const Request& request) override {
        auto addresses = resolve(gateway);
        if (!addresses) return fail(std::move(addresses).error());
        const bool is_ipv6 = gateway.host.find(':') != std::string::npos;
        const auto authority = is_ipv6 ? fmt::format("[{}]:{}", gateway.host, gateway.port)
                                       : fmt::format("{}:{}", gateway.host, gateway.port);
        const auto target = gateway.prefix + request.target;
        Reply reply;
        auto done = rt::run(in_time(
            first_that_answers(*addresses, authority, target, request, reply), request.within));
        if (!done) return fail(std::move(done).error());
        return reply;
    }

    void sleep(Duration duration) override {
        (void)rt::run([](Duration time) -> Async<> {
            co_await rt::sleep_for(time);
            co_return Result<>{};
        }(duration));
    }
};

}  // namespace

std::unique_ptr<Transport> make_http_transport() {
    return std::make_unique<HttpTransport>();
}

}  // namespace fathom::cli
