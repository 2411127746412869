// How a command reaches the gateway, as a port: HTTP in life, a fake gateway in tests.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/units.h"

namespace fathom::cli {

// "http://127.0.0.1:8080": where a gateway is.
struct GatewayUrl {
    std::string host;
    std::uint16_t port = 80;
    std::string prefix;  // "/base", without a slash at the end; mostly empty

    // Errors: invalid      not a URL
    //         unsupported  https
    static Result<GatewayUrl> parse(std::string_view text);
    bool is_local() const;  // localhost, 127.0.0.0/8, ::1
};

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Request {
    std::string method = "GET";
    std::string target = "/";
    Fields headers{};
    std::string body{};
    // After `body`: sent as it comes from here, chunked unless the size of both is known.
    int body_fd = -1;
    std::optional<Bytes> body_bytes{};
    // For the whole of it; none: as long as it takes.
    std::optional<Duration> within = std::chrono::seconds(60);
    // Where the body of an answer from 200 to 299 goes as it comes, instead of into Reply::body.
    // False ends it.
    std::function<bool(std::string_view bytes)> on_body{};
};

struct Reply {
    int status = 0;
    std::string reason;  // "202 Accepted" without the number
    Fields headers{};
    std::string body{};
    std::string_view header(std::string_view name) const;  // "" when absent
};

class Transport {
public:
    virtual ~Transport() = default;
    // Errors: unavailable    nobody listens there, or the name is unknown
    //         bad_upstream   the connection broke
    //         timed_out      over request.within
    virtual Result<Reply> send(const GatewayUrl& gateway, const Request& request) = 0;
    // Waits; a fake only counts.
    virtual void sleep(Duration duration) = 0;
};

// HTTP/1.1 over TCP. Names other than localhost are looked up by the system, which blocks.
std::unique_ptr<Transport> make_http_transport();

}  // namespace fathom::cli
