#include <unistd.h>

#include <array>
#include <cerrno>

#include "cli/commands.h"
#include "cli/credentials.h"
#include "cli/gateway.h"
#include "cli/print.h"
#include "cli/stack_file.h"

namespace fathom::cli {
namespace {

constexpr std::size_t kPasswordBytesMax = 4096;

Result<std::string> read_password(int fd) {
    std::string text;
    std::array<char, 1024> piece{};
    for (;;) {
        const auto got = ::read(fd, piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(Errc::invalid, errno, "--password-stdin");
        if (got == 0) break;
        text.append(piece.data(), static_cast<std::size_t>(got));
        if (text.size() > kPasswordBytesMax)
            return fail(Errc::too_large, "--password-stdin: over {} bytes", kPasswordBytesMax);
    }
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    return text;
}

Result<std::string> password_of(Ports& ports, const LoginOptions& options) {
    if (!options.password.empty() && options.reads_password)
        return fail(Errc::invalid, "--password and --password-stdin exclude each other");
    if (options.reads_password) return read_password(ports.input_fd);
    if (!options.password.empty()) {
        note(ports,
             "WARNING! Using --password is insecure, consider using: cat FILE | fathom login -u {} "
             "--password-stdin\n",
             options.user);
        return options.password;
    }
    if (auto typed = ports.ask_secret(fmt::format("Password for {}: ", options.user)))
        return *typed;
    return fail(Errc::invalid,
                "there is no password: pass --password-stdin, such as: fathom login "
                "--password-stdin < PASSWORD_FILE (fathom serve says where the file is)");
}

Result<std::string> gateway_of(Ports& ports, const Common& common) {
    auto file = load_stack(ports, common);
    if (!file && !common.yaml.empty()) return fail(std::move(file).error());
    const bool has_stack = file && *file;
    return choose_gateway(ports, common.gateway, has_stack ? (*file)->stack.gateway : "");
}

}  // namespace

Result<> login(Ports& ports, const LoginOptions& options) {
    auto url = gateway_of(ports, options.common);
    if (!url) return fail(std::move(url).error());
    auto gateway = Gateway::open(ports, *url);
    if (!gateway) return fail(std::move(gateway).error());
    auto wait_max = parse_duration(options.wait_max, BareSeconds::accepted);
    if (!wait_max) return fail(std::move(wait_max).error().because("--timeout"));
    auto password = password_of(ports, options);
    if (!password) return fail(std::move(password).error());
    if (password->empty()) return fail(Errc::invalid, "the password is empty");
    gateway->warn_if_exposed();

    print(ports, "Calling the gateway to validate the credentials...\n");
    const auto token = to_base64(fmt::format("{}:{}", options.user, *password));
    auto reply = gateway->call({.target = "/system/functions",
                                .headers = {{"Authorization", "Basic " + token}},
                                .within = *wait_max});
    if (!reply) return fail(std::move(reply).error());
    if (reply->status == 401)
        return fail(Errc::unauthorized,
                    "unable to login, either username or password is incorrect");
    if (reply->status != 200) return fail(unexpected(*reply));
    Credentials credentials(config_folder(ports.environment));
    if (auto saved = credentials.save(*url, options.user, *password); !saved) return saved;
    print(ports, "credentials saved for {} {}\n", options.user, *url);
    return {};
}

Result<> logout(Ports& ports, const LogoutOptions& options) {
    auto url = gateway_of(ports, options.common);
    if (!url) return fail(std::move(url).error());
    if (auto erased = Credentials(config_folder(ports.environment)).erase(*url); !erased)
        return erased;
    print(ports, "credentials removed for {}\n", *url);
    return {};
}

}  // namespace fathom::cli
