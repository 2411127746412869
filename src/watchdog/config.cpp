#include "watchdog/config.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

namespace fathom::watchdog {
namespace {

// Go's strconv.ParseBool.
std::optional<bool> parse_go_bool(std::string_view text) {
    for (const auto word : {"1", "t", "T", "TRUE", "true", "True"}) {
        if (text == word) return true;
    }
    for (const auto word : {"0", "f", "F", "FALSE", "false", "False"}) {
        if (text == word) return false;
    }
    return {};
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
    Number number{};
    const auto* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || stopped != end) return {};
    return number;
}

// Reads values one by one and notes those it passes over, as OpenFaaS silently does.
class Reader {
public:
    Reader(const Environment& environment, Config& config)
        : environment_(environment), config_(config) {}

    bool is_true(std::string_view key, bool otherwise = false) const {
        const auto text = environment_.find(key);
        if (!text || text->empty()) return otherwise;
        return *text == "true" || (config_.mode != Mode::classic && *text == "1");
    }
    Duration duration(std::string_view key, Duration otherwise) const {
        const auto text = environment_.find(key);
        if (!text || text->empty()) return otherwise;
        const auto parsed = parse_duration(*text);
        if (parsed) return *parsed;
        pass_over(key, *text, "a duration such as 30s or a number of seconds");
        return otherwise;
    }
    template <class Number>
    Number number(std::string_view key, Number otherwise) const {
        const auto text = environment_.find(key);
        if (!text || text->empty()) return otherwise;
        if (const auto parsed = parse_number<Number>(*text)) return *parsed;
        pass_over(key, *text, "a whole number");
        return otherwise;
    }
    void pass_over(std::string_view key, std::string_view text, std::string_view accepted) const {
        config_.warnings.push_back(std::string(key) + "=\"" + std::string(text) +
                                   "\" is passed over: it is not " + std::string(accepted));
    }

private:
    const Environment& environment_;
    Config& config_;
};

Result<Mode> read_mode(std::string_view text) {
    if (text.empty() || text == "classic") return Mode::classic;
    if (text == "http") return Mode::http;
    if (text == "streaming") return Mode::streaming;
    if (text == "serializing") return Mode::serializing;
    return fail(Errc::invalid,
                "mode \"{}\" is not known; accepted: classic, http, streaming, serializing", text);
}

Result<> read_command(const Environment& environment, Config& config) {
    auto text = environment.get("fprocess");
    const auto of_watchdogs = environment.get("function_process");
    if (text.empty() || (config.mode != Mode::classic && !of_watchdogs.empty())) {
        text = of_watchdogs.empty() ? text : of_watchdogs;
    }
    if (text.empty()) {
        return fail(Errc::invalid,
                    "fprocess is not set; accepted: the command to run, such as \"wc -w\"");
    }
    config.command = split_command(text);
    return {};
}

void read_timeouts(const Reader& read, Config& config) {
    const auto exec_default = config.mode == Mode::classic ? Duration(0) : Duration(30s);
    config.read_timeout = read.duration("read_timeout", 30s);
    config.write_timeout = read.duration("write_timeout", 30s);
    config.exec_timeout = read.duration("exec_timeout", exec_default);
    const auto grace_default = config.listen_fd >= 0 ? Duration(0) : config.write_timeout;
    config.healthcheck_interval = read.duration("healthcheck_interval", grace_default);
}

void read_classic(const Reader& read, Config& config) {
    config.has_combined_output = read.is_true("combine_output", true);
    config.has_cgi_headers = read.is_true("cgi_headers", true);
    config.is_marshalled = read.is_true("marshal_request");
    config.writes_debug = read.is_true("write_debug");
    config.prints_headers = read.is_true("debug_headers");
}

Result<> read_of_watchdogs(const Environment& environment, const Reader& read, Config& config) {
    config.has_combined_output = false;
    config.is_body_buffered = read.is_true("http_buffer_req_body") || read.is_true("buffer_http");
    config.ready_path = environment.get("ready_path");
    config.logs_call_id = read.is_true("log_callid") || read.is_true("log_call_id");
    if (const auto text = environment.find("prefix_logs"); text && !text->empty()) {
        if (const auto parsed = parse_go_bool(*text)) {
            config.has_log_prefix = *parsed;
        } else {
            read.pass_over("prefix_logs", *text, "true or false");
        }
    }
    if (const auto text = environment.find("log_buffer_size"); text && !text->empty()) {
        const auto parsed = parse_number<std::int64_t>(*text);
        if (!parsed || *parsed == 0 || *parsed < -1) {
            return fail(Errc::invalid,
                        "log_buffer_size \"{}\" is not a number of bytes; accepted: 1 or more, or "
                        "-1 for lines of any length",
                        *text);
        }
        config.log_line_bytes_max = *parsed;
    }
    if (config.write_timeout == Duration(0)) {
        return fail(Errc::invalid, "write_timeout is 0; accepted: a duration over 0, such as 30s");
    }
    if (config.mode == Mode::http) {
        auto url = environment.get("http_upstream_url");
        if (url.empty()) url = environment.get("upstream_url");
        auto upstream = parse_upstream(url);
        if (!upstream) return fail(std::move(upstream).error());
        config.upstream = std::move(*upstream);
    } else if (config.content_type.empty()) {
        config.content_type = "application/octet-stream";
    }
    return {};
}

// sd_listen_fds(3): LISTEN_FDS counts only when LISTEN_PID is ours.
Result<int> read_listen_fd(const Environment& environment, int own_pid) {
    if (const auto text = environment.get("FATHOM_LISTEN_FD"); !text.empty()) {
        const auto fd = parse_number<int>(text);
        if (!fd || *fd < 3) {
            return fail(Errc::invalid,
                        "FATHOM_LISTEN_FD \"{}\" is not a descriptor; accepted: 3 or more", text);
        }
        return *fd;
    }
    const auto count = parse_number<int>(environment.get("LISTEN_FDS"));
    const auto pid = environment.get("LISTEN_PID");
    const bool is_ours = pid.empty() || parse_number<int>(pid) == own_pid;
    return count && *count >= 1 && is_ours ? 3 : -1;
}

std::string lock_path(const Environment& environment) {
    std::string folder(environment.get("TMPDIR"));
    if (folder.empty()) folder = "/tmp";
    return folder + "/.lock";
}

}  // namespace

std::optional<std::string_view> Environment::find(std::string_view key) const {
    std::optional<std::string_view> value;  // the last one wins, as in Go
    for (const std::string_view entry : entries_) {
        if (entry.size() > key.size() && entry.starts_with(key) && entry[key.size()] == '=') {
            value = entry.substr(key.size() + 1);
        }
    }
    return value;
}

std::vector<std::string> split_command(std::string_view text) {
    std::vector<std::string> words;
    for (;;) {
        const auto space = text.find(' ');
        words.emplace_back(text.substr(0, space));
        if (space == std::string_view::npos) return words;
        text.remove_prefix(space + 1);
    }
}

Result<Upstream> parse_upstream(std::string_view url) {
    const auto refuse = [url] {
        return fail(Errc::invalid,
                    "upstream_url \"{}\" is not where the function listens; accepted: "
                    "http://ADDRESS:PORT with an IP address or localhost, such as "
                    "http://127.0.0.1:5000",
                    url);
    };
    constexpr std::string_view kScheme = "http://";
    if (!url.starts_with(kScheme)) return refuse();
    auto rest = url.substr(kScheme.size());

    Upstream upstream;
    const auto slash = rest.find('/');
    upstream.authority = rest.substr(0, slash);
    if (slash != std::string_view::npos) upstream.prefix = rest.substr(slash);
    if (upstream.prefix.ends_with('/')) upstream.prefix.pop_back();
    for (const char c : url) {
        if (c <= ' ' || c == '?' || c == '#' || c == '@' || c > '~') return refuse();
    }

    std::string host = upstream.authority;
    const auto colon = host.rfind(':');
    if (colon != std::string::npos && host.find(']', colon) == std::string::npos) {
        const auto port = parse_number<std::uint16_t>(std::string_view(host).substr(colon + 1));
        if (!port || *port == 0) return refuse();
        upstream.port = *port;
        host.resize(colon);
    }
    if (host.starts_with('[') && host.ends_with(']')) {
        upstream.is_ipv6 = true;
        const auto address = host.substr(1, host.size() - 2);
        if (inet_pton(AF_INET6, address.c_str(), upstream.ipv6) != 1) return refuse();
        return upstream;
    }
    if (host == "localhost") host = "127.0.0.1";
    if (inet_pton(AF_INET, host.c_str(), &upstream.ipv4) != 1) return refuse();
    return upstream;
}

Result<Config> read_config(const Environment& environment, int own_pid) {
    if (environment.get("jwt_auth") == "true" || environment.get("jwt_auth") == "1") {
        return fail(Errc::unsupported,
                    "jwt_auth is not offered by this watchdog, and without it the function would "
                    "be open to everybody; unset jwt_auth to start");
    }
    Config config;
    const auto mode = read_mode(environment.get("mode"));
    if (!mode) return fail(mode.error());
    config.mode = *mode;
    const auto listen_fd = read_listen_fd(environment, own_pid);
    if (!listen_fd) return fail(listen_fd.error());
    config.listen_fd = *listen_fd;
    config.is_first_process = own_pid == 1;
    if (const auto command = read_command(environment, config); !command) {
        return fail(command.error());
    }

    const Reader read(environment, config);
    config.port = read.number<std::uint16_t>("port", 8080);
    config.content_type = environment.get("content_type");
    config.in_flight_max = read.number<unsigned>("max_inflight", 0);
    config.has_lock_file = !read.is_true("suppress_lock");
    config.lock_path = lock_path(environment);
    config.search_path = environment.get("PATH");
    if (const auto text = environment.get("FATHOM_BODY_BYTES_MAX"); !text.empty()) {
        const auto bytes = parse_bytes(text);
        if (!bytes) return fail(Error(bytes.error()).because("FATHOM_BODY_BYTES_MAX"));
        config.body_bytes_max = *bytes;
    }
    read_timeouts(read, config);
    if (config.mode == Mode::classic) {
        read_classic(read, config);
    } else if (const auto rest = read_of_watchdogs(environment, read, config); !rest) {
        return fail(rest.error());
    }
    return config;
}

}  // namespace fathom::watchdog
