#include <charconv>

#include "cli/transport.h"
#include "http/message.h"

namespace fathom::cli {
namespace {

constexpr std::string_view kExample = "such as http://127.0.0.1:8080";

Result<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size() || port == 0)
        return fail(Errc::invalid, "the port \"{}\" is not a number from 1 to 65535", text);
    return port;
}

}  // namespace

Result<GatewayUrl> GatewayUrl::parse(std::string_view text) {
    const auto whole = text;
    if (text.starts_with("https://"))
        return fail(Errc::unsupported,
                    "gateway \"{}\": https is not spoken yet; reach it through a local TLS proxy, "
                    "or use faas-cli, which works with Fathom unchanged",
                    whole);
    if (!text.starts_with("http://"))
        return fail(Errc::invalid, "gateway \"{}\" is not a URL {}", whole, kExample);
    text.remove_prefix(std::string_view("http://").size());
    GatewayUrl url;
    const auto slash = text.find('/');
    if (slash != std::string_view::npos) {
        url.prefix = text.substr(slash);
        while (url.prefix.ends_with('/')) url.prefix.pop_back();
        text = text.substr(0, slash);
    }
    auto colon = text.rfind(':');
    if (text.starts_with('[')) {  // [::1]:8080
        const auto end = text.find(']');
        if (end == std::string_view::npos)
            return fail(Errc::invalid, "gateway \"{}\": \"[\" without \"]\"", whole);
        url.host = text.substr(1, end - 1);
        colon = end + 1 < text.size() ? end + 1 : std::string_view::npos;
    } else {
        url.host = text.substr(0, colon);
    }
    if (colon != std::string_view::npos) {
        auto port = parse_port(text.substr(colon + 1));
        if (!port) return fail(std::move(port).error().because(fmt::format("gateway {}", whole)));
        url.port = *port;
    }
    const bool is_host = !url.host.empty() && url.host.find_first_of(" @?#\\") == std::string::npos;
    if (!is_host) return fail(Errc::invalid, "gateway \"{}\" is not a URL {}", whole, kExample);
    return url;
}

bool GatewayUrl::is_local() const {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::string_view Reply::header(std::string_view name) const {
    for (const auto& [field, value] : headers)
        if (http::equals_ignoring_case(field, name)) return value;
    return "";
}

}  // namespace fathom::cli
