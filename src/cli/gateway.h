// One gateway, as commands talk to it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "cli/options.h"
#include "function/json.h"

namespace fathom::cli {

inline constexpr std::string_view kDefaultGateway = "http://127.0.0.1:8080";

// Which gateway is meant: the flag, unless it is the default's value; the stack file's, unless it
// is; $OPENFAAS_URL; the default. Lower case, without a slash at the end, with "http://" in front
// where no scheme stands. `logs` alone lets any flag win.
enum class FlagWins { unless_default, always };
std::string choose_gateway(const Ports& ports, std::string_view flag, std::string_view stack,
                           FlagWins rule = FlagWins::unless_default);

// What GET /system/function/NAME says, with what Fathom adds.
struct Deployed {
    function::Status status;
    // Ready replicas of the newest deployment; of any where the gateway does not say.
    unsigned updated = 0;
    std::string trouble;  // why there are fewer ready than there should be; Fathom only
};

class Gateway {
public:
    // Finds the credentials. Errors: those of GatewayUrl::parse and of config.yml
    static Result<Gateway> open(Ports& ports, std::string url, std::string_view token = "");

    const std::string& url() const { return text_; }
    const GatewayUrl& place() const { return place_; }

    // Sends with credentials, as faas-cli names itself. Answers of any status are answers.
    // Errors: unavailable   nobody listens there; says what to do
    //         unauthorized  401; says what to do
    Result<Reply> send(Request request) const;
    // The same without credentials, for calls to functions: a 401 is the function's own.
    Result<Reply> call(Request request) const;

    Result<std::vector<function::Status>> functions(std::string_view space) const;
    // Errors: not_found
    Result<Deployed> function(std::string_view name, std::string_view space) const;
    Result<Reply> put_function(std::string_view method, const function::FunctionSpec& spec) const;
    Result<Reply> remove_function(std::string_view name, std::string_view space) const;
    // The body of GET /system/info.
    Result<std::string> info() const;
    // Sends a bundle; answers its reference.
    // Errors: unsupported    the gateway is not Fathom
    Result<std::string> put_bundle(std::string_view name, int fd, Bytes bytes) const;

    // "Authorization", or "" without credentials.
    const std::string& authorization() const { return authorization_; }
    // Whether a password would travel in the open.
    void warn_if_exposed() const;

private:
    Gateway(Ports& ports, std::string text, GatewayUrl place)
        : ports_(&ports), text_(std::move(text)), place_(std::move(place)) {}

    Ports* ports_;
    std::string text_;
    GatewayUrl place_;
    std::string authorization_;
};

// The error an answer of an unexpected status stands for: "Unexpected status: 500, message: ...".
Error unexpected(const Reply& reply);

// Percent-encodes everything but letters, digits and "-._~".
std::string encode(std::string_view text);

}  // namespace fathom::cli
