#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "cli/commands.h"
#include "cli/gateway.h"
#include "cli/print.h"
#include "cli/stack_file.h"

namespace fathom::cli {
namespace {

// So much of a pipe is read before the call: what ends within it is sent with its length, which
// every framework understands; what does not is streamed.
constexpr std::size_t kReadAheadBytes = 1U << 20;

Result<Fields> headers_of(const InvokeOptions& options) {
    Fields headers = {{"Content-Type", options.content_type}};
    for (const auto& text : options.headers) {
        auto mark = text.find(':');
        if (mark == std::string::npos) mark = text.find('=');  // faas-cli's older form
        if (mark == std::string::npos || mark == 0)
            return fail(Errc::invalid, "--header: \"{}\" is not \"Name: value\"", text);
        auto value = std::string_view(text).substr(mark + 1);
        while (value.starts_with(' ')) value.remove_prefix(1);
        if (text.find_first_of("\r\n") != std::string::npos)
            return fail(Errc::invalid, "--header: \"{}\" holds a line end", text);
        headers.emplace_back(text.substr(0, mark), value);
    }
    return headers;
}

Result<std::string> query_of(const std::vector<std::string>& texts) {
    std::string query;
    for (const auto& text : texts) {
        const auto equals = text.find('=');
        if (equals == std::string::npos || equals == 0)
            return fail(Errc::invalid, "--query: \"{}\" is not key=value", text);
        query += fmt::format("{}{}={}", query.empty() ? "?" : "&", encode(text.substr(0, equals)),
                             encode(text.substr(equals + 1)));
    }
    return query;
}

Result<> add_input(Ports& ports, Request& request) {
    if (ports.has_terminal_input) note(ports, "Reading from STDIN - hit (Control + D) to stop.\n");
    struct stat facts{};
    if (::fstat(ports.input_fd, &facts) != 0) return {};  // closed: no body
    if (S_ISREG(facts.st_mode)) {
        const auto offset = ::lseek(ports.input_fd, 0, SEEK_CUR);
        request.body_fd = ports.input_fd;
        request.body_bytes = static_cast<Bytes>(std::max<off_t>(facts.st_size - offset, 0));
        return {};
    }
    std::string piece(64UL * 1024, '\0');
    while (request.body.size() < kReadAheadBytes) {
        const auto got = ::read(ports.input_fd, piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(Errc::invalid, errno, "cannot read the input");
        if (got == 0) return {};
        request.body.append(piece, 0, static_cast<std::size_t>(got));
    }
    request.body_fd = ports.input_fd;
    return {};
}

Result<> refused(const Reply& reply) {
    std::string_view body = reply.body;
    while (body.ends_with('\n')) body.remove_suffix(1);
    return fail(Errc::bad_upstream, "server returned unexpected status code: {} - {}", reply.status,
                body.empty() ? std::string_view(reply.reason) : body);
}

}  // namespace

Result<> invoke(Ports& ports, const InvokeOptions& options) {
    auto file = load_stack(ports, options.common);
    if (!file && !options.common.yaml.empty()) return fail(std::move(file).error());
    std::string_view stack_gateway;
    auto space = options.common.space;
    if (file && *file) {
        stack_gateway = (*file)->stack.gateway;
        for (const auto& function : (*file)->stack.functions)
            if (function.name == options.name && space.empty()) space = function.space;
    }
    auto gateway = Gateway::open(
        ports, choose_gateway(ports, options.common.gateway, stack_gateway), options.common.token);
    if (!gateway) return fail(std::move(gateway).error());

    auto headers = headers_of(options);
    if (!headers) return fail(std::move(headers).error());
    auto query = query_of(options.queries);
    if (!query) return fail(std::move(query).error());
    Request request{.method = options.is_async ? "POST" : options.method,
                    .headers = std::move(*headers),
                    .within = std::nullopt};
    request.target = fmt::format(
        "/{}/{}.{}{}", options.is_async ? "async-function" : "function", encode(options.name),
        space.empty() ? std::string(function::kDefaultNamespace) : space, *query);
    if (options.sends_credentials && !gateway->authorization().empty())
        request.headers.emplace_back("Authorization", gateway->authorization());
    if (auto added = add_input(ports, request); !added) return added;
    request.on_body = [&](std::string_view bytes) {
        put(ports.out, bytes);
        return std::fflush(ports.out) == 0;
    };

    auto reply = gateway->call(std::move(request));
    if (!reply) return fail(std::move(reply).error());
    if (options.is_async && reply->status == 404)
        return fail(Errc::unsupported,
                    "the gateway queues no calls, or has no function {}: try it without --async",
                    options.name);
    if (reply->status < 200 || reply->status > 299) return refused(*reply);
    if (options.is_async) note(ports, "Function submitted asynchronously.\n");
    return {};
}

}  // namespace fathom::cli
