// Write a Fathom function in C++: include this header, call fathom::serve with a handler.
//
//     #include <fathom.h>
//     int main() {
//         return fathom::serve([](fathom::Request request) -> fathom::Response {
//             return "hello " + request.query("name").value_or("world") + "\n";
//         });
//     }
//
//     c++ -std=c++20 -O2 -I sdk/cpp handler.cpp -o handler
//
// serve() meets the function contract (docs/function-contract.md): it answers HTTP/1.1 on the
// socket the process inherits, `/_/ready` and `/_/health` itself, and drains on SIGTERM. The
// handler is called on up to FATHOM_CONCURRENCY threads (unset or 0: 64) at a time; at 1 it needs
// no locks. What it throws becomes a 500, with what() in the log. Everything works by plain
// blocking calls.
#pragma once

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fathom_http.h"
#include "fathom_json.h"

namespace fathom {

inline constexpr std::size_t kBodyBytesMax =
    32 << 20;  // of Request::body(); FATHOM_BODY_MAX overrules

// Text with %XX decoded, and in queries also '+'. What is no such escape stays as it is.
inline std::string percent_decoded(std::string_view text, bool plus_is_space = false) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::uint64_t byte = 0;
        if (text[i] == '%' && i + 2 < text.size() &&
            detail::parse_number(text.substr(i + 1, 2), 16, byte)) {
            out += static_cast<char>(byte);
            i += 2;
        } else {
            out += plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

// Text that is a whole number of at most 18 digits, without sign or space.
inline std::optional<std::uint64_t> whole_number(std::string_view text) {
    std::uint64_t number = 0;
    if (!detail::parse_number(text, 10, number)) return std::nullopt;
    return number;
}

// One call. Valid until its answer is sent, so a stream may move it in and go on reading.
class Request {
public:
    std::string_view method() const { return head_->method; }
    std::string_view path() const { return head_->path; }  // as sent, percent-encoded
    std::string_view query_string() const { return head_->query; }
    // The first value of a query parameter, decoded.
    std::optional<std::string> query(std::string_view name) const;
    // A header field, whatever the case of its name; empty when absent.
    std::string_view header(std::string_view name) const { return head_->field(name); }
    const std::vector<detail::Field>& headers() const { return head_->fields; }

    // The whole body. More than FATHOM_BODY_MAX bytes are answered with 413.
    const std::string& body();
    // The body in pieces, of any length in all: up to `room` bytes, waiting for at least one;
    // 0 at the end.
    std::size_t read(char* out, std::size_t room) { return body_->read(out, room); }

    Request(const detail::Head& head, detail::Body& body, std::size_t body_bytes_max)
        : head_(&head), body_(&body), body_bytes_max_(body_bytes_max) {}
    Request(Request&&) = default;
    Request& operator=(Request&&) = default;

private:
    const detail::Head* head_;
    detail::Body* body_;
    std::size_t body_bytes_max_;
    std::string whole_;
};

// The answer of a streaming handler: what is written is on its way when write() returns.
class Writer {
public:
    void write(std::string_view bytes);

    Writer(detail::Connection& connection, bool is_chunked, bool is_head)
        : connection_(connection), is_chunked_(is_chunked), is_head_(is_head) {}

private:
    detail::Connection& connection_;
    bool is_chunked_;
    bool is_head_;
};

// What a handler returns. A string is sent as text/plain, a Json as application/json.
class Response {
public:
    Response() = default;
    Response(std::string body, int status = 200) : status_(status), body_(std::move(body)) {}
    Response(const char* body, int status = 200) : status_(status), body_(body) {}
    template <std::same_as<Json> Value>
    Response(const Value& json, int status = 200)
        : status_(status), body_(json.print()), type_("application/json") {}

    // `produce(Writer&)` runs after the handler returned and writes the body piece by piece. What
    // it throws cuts the connection, so that the caller sees that the answer is not whole.
    template <class Produce>
    static Response stream(Produce produce) {
        Response response;
        auto shared = std::make_shared<Produce>(std::move(produce));
        response.produce_ = [shared](Writer& writer) { (*shared)(writer); };
        return response;
    }

    Response& status(int status) & { return status_ = status, *this; }
    Response&& status(int status) && { return status_ = status, std::move(*this); }
    // Content-Length, Transfer-Encoding and Connection are the SDK's own and left out.
    Response& header(std::string name, std::string value) & {
        headers_.emplace_back(std::move(name), std::move(value));
        return *this;
    }
    Response&& header(std::string name, std::string value) && {
        return std::move(header(std::move(name), std::move(value)));
    }

    int status() const { return status_; }
    const std::string& body() const { return body_; }
    const std::function<void(Writer&)>& producer() const { return produce_; }
    // Appends head and fields, without framing. False when a field or the status cannot be sent.
    bool print_head(std::string& out) const;

private:
    int status_ = 200;
    std::string body_;
    std::string_view type_ = "text/plain; charset=utf-8";
    std::vector<std::pair<std::string, std::string>> headers_;
    std::function<void(Writer&)> produce_;
};

using Handler = std::function<Response(Request)>;

struct ServeOptions {
    int listener = -1;  // a listening stream socket
    int threads_max = 64;
    std::size_t body_bytes_max = kBodyBytesMax;
};

// Serves until SIGTERM, then finishes what is there. Returns the exit code of the process.
int serve(Handler handler);
int serve(Handler handler, const ServeOptions& options);

// ---- what follows is how -----------------------------------------------------------------------

inline std::optional<std::string> Request::query(std::string_view name) const {
    std::string_view rest = head_->query;
    while (!rest.empty()) {
        const auto pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(pair.size() == rest.size() ? rest.size() : pair.size() + 1);
        const auto equals = pair.find('=');
        if (percent_decoded(pair.substr(0, equals), true) != name) continue;
        return percent_decoded(equals == pair.npos ? "" : pair.substr(equals + 1), true);
    }
    return std::nullopt;
}

inline const std::string& Request::body() {
    const auto too_large = [&] {
        return detail::Refusal{413, "the body is larger than " + std::to_string(body_bytes_max_) +
                                        " bytes (FATHOM_BODY_MAX of the function)"};
    };
    if (!head_->is_chunked && head_->body_bytes > body_bytes_max_) throw too_large();
    std::size_t have = whole_.size();
    while (!body_->is_over()) {
        // The declared length is trusted only as far as bytes have come.
        whole_.resize(have + std::max<std::size_t>(detail::kBufferBytes, have));
        const std::size_t got = body_->read(whole_.data() + have, whole_.size() - have);
        have += got;
        if (have > body_bytes_max_) throw too_large();
    }
    whole_.resize(have);
    return whole_;
}

inline void Writer::write(std::string_view bytes) {
    if (is_head_ || bytes.empty()) return;
    if (!is_chunked_) return connection_.send(bytes);
    char size[24];
    const int digits = std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    connection_.send({size, static_cast<std::size_t>(digits)}, bytes, "\r\n");
}

namespace detail {

inline std::string_view reason(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 202:
            return "Accepted";
        case 204:
            return "No Content";
        case 301:
            return "Moved Permanently";
        case 302:
            return "Found";
        case 304:
            return "Not Modified";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 413:
            return "Content Too Large";
        case 415:
            return "Unsupported Media Type";
        case 422:
            return "Unprocessable Content";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 503:
            return "Service Unavailable";
        case 505:
            return "HTTP Version Not Supported";
        default:
            return "Status";
    }
}

inline bool has_no_body(int status) {
    return status == 204 || status == 304;
}

inline void log(std::string_view what) {
    std::fprintf(stderr, "fathom: %.*s\n", static_cast<int>(what.size()), what.data());
}

// Sends the answer to one request. Returns whether the connection can carry another.
class Answering {
public:
    Answering(Connection& connection, const Head& head, bool keep_alive)
        : connection_(connection), head_(head), keep_(keep_alive) {}

    bool send(const Response& response) {
        std::string out;
        if (!response.print_head(out)) {
            log("the answer has a status or a header field that cannot be sent");
            return send(Response("the function failed; its log has the reason\n", 500));
        }
        return response.producer() ? send_stream(response, out) : send_whole(response, out);
    }

private:
    bool is_head() const { return head_.method == "HEAD"; }

    bool send_whole(const Response& response, std::string& out) {
        if (!has_no_body(response.status()))
            out += "Content-Length: " + std::to_string(response.body().size()) + "\r\n";
        end_head(out);
        const bool bodiless = is_head() || has_no_body(response.status());
        connection_.send(out, bodiless ? std::string_view() : response.body());
        return keep_;
    }

    bool send_stream(const Response& response, std::string& out) {
        const bool bodiless = is_head() || has_no_body(response.status());
        const bool is_chunked = head_.is_http_1_1;
        if (!is_chunked) keep_ = false;
        if (is_chunked && !bodiless) out += "Transfer-Encoding: chunked\r\n";
        end_head(out);
        connection_.send(out);
        if (bodiless) return keep_;
        Writer writer(connection_, is_chunked, false);
        try {
            response.producer()(writer);
        } catch (const std::exception& error) {
            return log(error.what()), false;
        } catch (const Refusal& refusal) {
            return log(refusal.text), false;
        }
        if (is_chunked) connection_.send("0\r\n\r\n");
        return keep_;
    }

    void end_head(std::string& out) const {
        if (!keep_) out += "Connection: close\r\n";
        out += "\r\n";
    }

    Connection& connection_;
    const Head& head_;
    bool keep_;
};

// Reads away what a refused caller still sends, so that it sees the answer and not a reset.
inline void linger(Connection& connection) {
    const timeval half_a_second = {0, 500000};
    ::shutdown(connection.descriptor(), SHUT_WR);
    ::setsockopt(connection.descriptor(), SOL_SOCKET, SO_RCVTIMEO, &half_a_second,
                 sizeof half_a_second);
    char bytes[4096];
    for (int i = 0; i < 256; ++i)
        if (::recv(connection.descriptor(), bytes, sizeof bytes, 0) <= 0) return;
}

// Every thread waits on one epoll in which each connection is armed for one event. Who gets the
// event reads the request, calls the handler, writes the answer and arms the connection again; so
// idle connections cost no thread, and a call never changes threads.
class Server {
public:
    Server(Handler handler, const ServeOptions& options)
        : handler_(std::move(handler)),
          options_(options),
          poll_(::epoll_create1(EPOLL_CLOEXEC)),
          stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        ::fcntl(options_.listener, F_SETFL, O_NONBLOCK);
        watch(EPOLL_CTL_ADD, options_.listener, EPOLLIN | EPOLLONESHOT);
        watch(EPOLL_CTL_ADD, stop_, EPOLLIN);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server() {
        ::close(poll_);
        ::close(stop_);
    }

    // Callable from a signal handler. The event is never read: it wakes every thread that waits.
    void stop() const {
        const std::uint64_t one = 1;
        if (::write(stop_, &one, sizeof one) < 0) return;
    }

    void run() {
        work();
        for (auto& thread : workers_) thread.join();
    }

private:
    void watch(int operation, int descriptor, std::uint32_t events) const {
        epoll_event event = {};
        event.events = events;
        event.data.fd = descriptor;
        ::epoll_ctl(poll_, operation, descriptor, &event);
    }

    // The descriptor that is ready; -1 after `timeout_ms` (-1: never).
    int wait(int timeout_ms) const {
        for (;;) {
            epoll_event event = {};
            const int count = ::epoll_wait(poll_, &event, 1, timeout_ms);
            if (count == 1) return event.data.fd;
            if (count == 0) return -1;
        }
    }

    void work() {
        for (;;) {
            const int descriptor = wait(-1);
            if (descriptor == stop_) {
                if (is_over_) return;
                if (!draining_.exchange(true)) drain();
            } else if (descriptor == options_.listener) {
                accept();
                watch(EPOLL_CTL_MOD, descriptor, EPOLLIN | EPOLLONESHOT);
            } else {
                serve_ready(descriptor);
            }
        }
    }

    bool accept() {
        const int descriptor = ::accept4(options_.listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (descriptor < 0) return false;
        const std::lock_guard lock(mutex_);
        connections_.emplace(descriptor, std::make_unique<Connection>(descriptor));
        watch(EPOLL_CTL_ADD, descriptor, EPOLLIN | EPOLLONESHOT);
        return true;
    }

    // Answers what waits in the backlog and on open connections, until all is quiet.
    void drain() {
        static constexpr int kQuietMs = 50;  // how long a connection may still begin a request
        watch(EPOLL_CTL_DEL, stop_, 0);
        while (accept()) {
        }
        watch(EPOLL_CTL_DEL, options_.listener, 0);
        ::close(options_.listener);
        for (std::uint64_t served = served_ - 1; busy_ > 0 || served != served_;) {
            served = served_;
            if (const int descriptor = wait(kQuietMs); descriptor >= 0) serve_ready(descriptor);
        }
        is_over_ = true;
        watch(EPOLL_CTL_ADD, stop_, EPOLLIN);
    }

    void serve_ready(int descriptor) {
        Connection* connection = nullptr;
        {
            const std::lock_guard lock(mutex_);
            connection = connections_.at(descriptor).get();
        }
        ++busy_;
        bool keep = false;
        try {
            do keep = serve_one(*connection);
            while (keep && !connection->is_empty());
        } catch (const Gone&) {
            keep = false;
        }
        pass_on(descriptor, keep);
        ++served_;
        --busy_;
    }

    // From here on the connection belongs to whoever gets its next event. The lock says so to C++,
    // which does not know that the kernel orders memory.
    void pass_on(int descriptor, bool keep) {
        const std::lock_guard lock(mutex_);
        if (keep)
            watch(EPOLL_CTL_MOD, descriptor, EPOLLIN | EPOLLONESHOT);
        else
            connections_.erase(descriptor);
    }

    // One request and its answer. Returns whether another may follow.
    bool serve_one(Connection& connection) {
        thread_local std::string block;
        thread_local Head head;
        Refusal refusal;
        if (!read_head(connection, block, head, refusal)) return false;
        if (refusal) return refuse(connection, head, refusal);

        Body body(connection, head);
        try {
            const bool is_own = head.path == "/_/ready" || head.path == "/_/health";
            const Response response = is_own ? own_answer(head) : call(head, body);
            const bool keep = head.keep_alive && !draining_ && !body.is_unasked();
            return Answering(connection, head, keep).send(response) && skip_rest(body);
        } catch (const Refusal& thrown) {
            return refuse(connection, head, thrown);
        }
    }

    Response call(const Head& head, Body& body) {
        leave_one_waiting();
        try {
            return handler_(Request(head, body, options_.body_bytes_max));
        } catch (const Refusal&) {
            throw;
        } catch (const Gone&) {
            throw;
        } catch (const std::exception& error) {
            log(error.what());
        } catch (...) {
            log("the handler threw what is no std::exception");
        }
        return {"the function failed; its log has the reason\n", 500};
    }

    Response own_answer(const Head& head) const {
        if (head.method != "GET" && head.method != "HEAD")
            return Response("", 405).header("Allow", "GET, HEAD");
        if (draining_ && head.path == "/_/ready") return {"draining\n", 503};
        return "OK\n";
    }

    static bool refuse(Connection& connection, Head& head, const Refusal& refusal) {
        head.is_http_1_1 = true;
        Answering(connection, head, false).send(Response(refusal.text + "\n", refusal.status));
        linger(connection);
        return false;
    }

    // What the handler did not read of the body: a little is read away, for more we close.
    static bool skip_rest(Body& body) {
        char bytes[4096];
        for (int i = 0; i < 64 && !body.is_over(); ++i) body.read(bytes, sizeof bytes);
        return body.is_over();
    }

    // Before a handler runs: starts a thread when nobody is left to wait for events.
    void leave_one_waiting() {
        if (busy_ < threads_ || threads_ >= options_.threads_max) return;
        const std::lock_guard lock(mutex_);
        if (busy_ < threads_ || threads_ >= options_.threads_max) return;
        ++threads_;
        workers_.emplace_back([this] { work(); });
    }

    Handler handler_;
    ServeOptions options_;
    int poll_;
    int stop_;
    std::atomic<bool> draining_ = false;
    std::atomic<bool> is_over_ = false;
    std::atomic<int> threads_ = 1;
    std::atomic<int> busy_ = 0;  // threads with a request
    std::atomic<std::uint64_t> served_ = 0;
    std::mutex mutex_;  // guards what follows, and the arming of connections
    std::unordered_map<int, std::unique_ptr<Connection>> connections_;
    std::vector<std::thread> workers_;
};

inline Server* serving = nullptr;  // for the signal handler

[[noreturn]] inline void give_up(const std::string& why) {
    log(why);
    std::exit(1);
}

inline std::size_t environment_number(const char* name, std::size_t fallback) {
    const char* text = std::getenv(name);
    if (text == nullptr || *text == '\0') return fallback;
    std::uint64_t number = 0;
    if (!parse_number(text, 10, number))
        give_up(std::string(name) + "=\"" + text + "\" must be a number, 0 or more");
    return number == 0 ? fallback : number;
}

inline int bound_listener(const char* path) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string_view name = path;
    if (name.size() >= sizeof address.sun_path) give_up("FATHOM_LISTEN is longer than 107 bytes");
    name.copy(address.sun_path, name.size());
    const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener, 1024) != 0)
        give_up("cannot listen at FATHOM_LISTEN=" + std::string(path));
    return listener;
}

inline int find_listener() {
    const bool is_systemd = std::getenv("LISTEN_FDS") != nullptr;
    if (const auto number = environment_number("FATHOM_LISTEN_FD", is_systemd ? 3 : 0)) {
        const int listener = static_cast<int>(number);
        // A child must not keep the socket open.
        if (::fcntl(listener, F_SETFD, FD_CLOEXEC) != 0)
            give_up("FATHOM_LISTEN_FD=" + std::to_string(number) + " is not open");
        return listener;
    }
    if (const char* path = std::getenv("FATHOM_LISTEN")) return bound_listener(path);
    give_up(
        "FATHOM_LISTEN_FD (an inherited listening socket) or FATHOM_LISTEN (a path) must be set");
}

}  // namespace detail

inline bool Response::print_head(std::string& out) const {
    if (status_ < 200 || status_ > 599) return false;
    (((out += "HTTP/1.1 ") += std::to_string(status_)) += ' ') += detail::reason(status_);
    out += "\r\n";
    bool has_type = false;
    for (const auto& [name, value] : headers_) {
        if (!detail::is_token(name) || !detail::is_field_value(value)) return false;
        if (detail::same_name(name, "Content-Length") || detail::same_name(name, "Connection") ||
            detail::same_name(name, "Transfer-Encoding"))
            continue;
        has_type = has_type || detail::same_name(name, "Content-Type");
        (((out += name) += ": ") += value) += "\r\n";
    }
    if (!has_type) ((out += "Content-Type: ") += type_) += "\r\n";
    return true;
}

inline int serve(Handler handler, const ServeOptions& options) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // the log is read line by line
    detail::Server server(std::move(handler), options);
    detail::serving = &server;
    struct sigaction action = {};
    action.sa_handler = [](int) { detail::serving->stop(); };
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGTERM, &action, nullptr);
    server.run();
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGTERM, &action, nullptr);
    return 0;
}

inline int serve(Handler handler) {
    ServeOptions options;
    options.listener = detail::find_listener();
    options.threads_max = static_cast<int>(detail::environment_number("FATHOM_CONCURRENCY", 64));
    options.body_bytes_max = detail::environment_number("FATHOM_BODY_MAX", kBodyBytesMax);
    return serve(std::move(handler), options);
}

}  // namespace fathom
