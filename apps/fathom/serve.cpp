#include "serve.h"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "build/runtime_files.h"
#include "core/ports.h"
#include "credentials.h"
#include "gateway/gateway.h"
#include "http/http.h"
#include "identity.h"
#include "image/image.h"
#include "invoke/invoke.h"
#include "observe/observe.h"
#include "provider/local/local.h"
#include "rt/rt.h"
#include "sandbox/sandbox.h"
#include "state/state.h"
#include "version.h"

namespace fathom::app {
namespace {

constexpr Duration kReplicaGrace = 10s;  // between SIGTERM and SIGKILL when everything ends

int report(int status, const Error& error) {
    std::fprintf(stderr, "fathom serve: %s\n", error.message().c_str());
    return status;
}

// "off" is none; anything else an address.
Result<std::optional<rt::Address>> parse_listen(std::string_view flag, const std::string& text) {
    if (text == "off") return std::optional<rt::Address>();
    auto address = rt::Address::parse(text);
    if (!address) return fail(std::move(address).error().because(flag));
    return std::optional(*address);
}

Result<std::string> default_data_folder(const Environment& environment) {
    if (::geteuid() == 0) return "/var/lib/fathom";
    // The XDG specification: what is not absolute is not there.
    const auto state = environment("XDG_STATE_HOME").value_or("");
    if (state.starts_with('/')) return state + "/fathom";
    const auto home = environment("HOME").value_or("");
    if (home.starts_with('/')) return home + "/.local/state/fathom";
    return fail(Errc::invalid, "--data: missing, and there is no HOME; accepted: a folder");
}

// In `data`, which becomes the working folder: locks it and writes what sandboxes are shown.
Result<state::DataFolder> move_in(const std::string& data, Identity identity) {
    // First: a user who owns the folder need not be let through the ones above it.
    if (::chdir(data.c_str()) != 0) {
        return fail_errno(Errc::forbidden, errno, "the data folder " + data);
    }
    const FilesAs owner(identity);
    auto folder = state::DataFolder::open(".");
    if (!folder) return fail(std::move(folder).error().because(data));
    if (auto written = build::write_runtime("runtime"); !written) {
        return fail(std::move(written).error().because(data));
    }
    return folder;
}

// Everything that lives while Fathom serves, in the order it is made. Members die in reverse.
struct House {
    Settings settings;
    rt::Address api_address{};
    std::optional<rt::Address> metrics_address{};
    std::string data{};   // absolute; the working folder is there
    rt::Fd ready_file{};  // empty until everything is served; opened while we may
    sandbox::KeeperLine line{};
    bool has_new_keeper = false;  // forked by us, not found
    AdminPassword password{};
    int exit_status = 0;
    const Clock& clock;
    observe::Log& log;
};

observe::Log::Options log_options(const Settings& settings) {
    observe::Log::Options options;
    options.format = *observe::parse_log_format(settings.log_format);
    options.level = *observe::parse_level(settings.log_level);
    return options;
}

// What `fathom doctor` is told.
std::string doctor_json(const sandbox::Abilities& abilities) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& ability : abilities.list) {
        list.push_back({{"name", ability.name},
                        {"available", ability.is_available},
                        {"meaning", ability.meaning}});
    }
    return nlohmann::json{{"level", sandbox::text_of(abilities.level)}, {"abilities", list}}.dump();
}

Result<> write_ready_file(const House& house, const std::string& api, const std::string& metrics) {
    const nlohmann::json document = {
        {"api", "http://" + api},
        {"metrics", metrics.empty() ? nlohmann::json() : nlohmann::json("http://" + metrics)},
        {"username", house.password.user},
        {"password_file", house.data + "/" + house.password.file},
        {"pid", ::getpid()}};
    const auto text = document.dump(2) + "\n";
    // One write: who reads sees nothing or all of it.
    if (::write(house.ready_file.get(), text.data(), text.size()) !=
        static_cast<ssize_t>(text.size())) {
        return fail_errno(Errc::unavailable, errno, "write " + house.settings.ready_file);
    }
    return {};
}

// SIGTERM and SIGINT, as something to wait for.
class Signals {
public:
    static void block() {
        const auto set = wanted();
        ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
        std::signal(SIGPIPE, SIG_IGN);  // NOLINT(cert-err33-c): cannot fail for SIGPIPE
    }
    static Result<Signals> open() {
        const auto set = wanted();
        auto socket = rt::Socket::adopt(rt::Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)));
        if (!socket) return fail(std::move(socket).error());
        return Signals(std::move(*socket));
    }
    Async<> next() {
        std::array<char, sizeof(signalfd_siginfo)> info{};
        auto read = co_await socket_.read(info);
        if (!read) co_return fail(std::move(read).error());
        co_return Result<>{};
    }

private:
    explicit Signals(rt::Socket socket) : socket_(std::move(socket)) {}
    static sigset_t wanted() {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        return set;
    }
    rt::Socket socket_;
};

// The start must not leave without a word; the status goes to the shell.
Async<> failed(House& house, int status, Error error) {
    house.exit_status = report(status, error);
    co_return fail(std::move(error));
}

// The same with a keeper: one that we forked ends with us; one that was there keeps what it keeps.
Async<> gave_up(House& house, sandbox::Keeper& keeper, int status, Error error) {
    if (house.has_new_keeper) (void)co_await keeper.shut_down(0s);
    co_return co_await failed(house, status, std::move(error));
}

// Afterwards no change runs any more, and no core has a message left that tells of one: what they
// name may go.
Async<> end_changes(gateway::Services& services, provider::Local& local) {
    constexpr Duration kChangesWithin = 5s;
    (void)co_await within(Deadline::in(kChangesWithin), services.home_tasks.wait_empty());
    services.home_tasks.cancel();
    local.close();
    for (int index = 0; index < services.runtime.core_count(); ++index) {
        (void)co_await rt::on_core(services.runtime.core(index), []() -> Result<> { return {}; });
    }
    co_return Result<>{};
}

Async<> stop_in_order(http::Server& api, http::Server& metrics, gateway::Services& services,
                      provider::Local& local, sandbox::Keeper& keeper, House& house) {
    (void)co_await api.drain(Deadline::in(house.settings.drain));
    (void)co_await metrics.drain(Deadline::in(1s));
    (void)co_await end_changes(services, local);
    (void)co_await keeper.shut_down(kReplicaGrace);
    co_return Result<>{};
}

Async<> end_at_second(Signals& signals) {
    (void)co_await signals.next();
    co_return fail(Errc::timed_out, "a second signal came");
}

// Other cores are in the midst of calls, and what they use cannot go before they have ended: the
// process goes, as in a crash, which every start is ready for. But replicas must not stay.
Async<> leave_at_once(sandbox::Keeper& keeper, House& house) {
    constexpr Duration kLastWordsWithin = 2s;
    house.log.warn("serve.cut_short", {});
    (void)co_await within(Deadline::in(kLastWordsWithin), keeper.shut_down(0s));
    std::_Exit(kExitFailed);
}

Async<> live(rt::Runtime& runtime, House& house) {
    const auto& settings = house.settings;
    auto& log = house.log;
    observe::Registry metrics(runtime.core_count());
    rt::BlockingPool disk({.threads = 2});

    auto signals = Signals::open();
    if (!signals) co_return co_await failed(house, kExitFailed, signals.error());

    sandbox::Keeper keeper(std::move(house.line), "");
    auto hello = co_await keeper.open();
    if (!hello) co_return co_await failed(house, kExitKeeper, hello.error());
    const auto abilities = hello->abilities;

    auto database = state::Database::open("state.db", disk);
    if (!database) co_return co_await gave_up(house, keeper, kExitDataFolder, database.error());
    auto images = image::open_store("images", disk);
    if (!images) co_return co_await gave_up(house, keeper, kExitDataFolder, images.error());
    provider::Local local({.keeper = keeper,
                           .images = **images,
                           .deployments = (*database)->deployments(),
                           .pool = disk,
                           .clock = house.clock,
                           .log = log},
                          {});
    if (auto opened = co_await local.open(std::move(*hello)); !opened) {
        local.close();
        co_return co_await gave_up(house, keeper, kExitDataFolder, opened.error());
    }

    TaskGroup home_tasks;
    invoke::Directory directory(runtime, local, metrics);
    gateway::Services services{
        .runtime = runtime,
        .home_tasks = home_tasks,
        .provider = local,
        .images = **images,
        .directory = directory,
        .metrics = metrics,
        .credentials = {.is_required = settings.basic_auth,
                        .user = house.password.user,
                        .password = house.password.password},
        .limits = {.call_body_bytes_max = settings.body_bytes_max,
                   .calls = {.call_max = settings.upstream_timeout,
                             .wait_max = settings.upstream_timeout,
                             .in_flight_max = static_cast<std::uint32_t>(settings.in_flight_max)}},
        .version = {.release = kVersion, .sha = kCommit},
        .doctor_json = doctor_json(abilities)};

    http::Server::Options server;
    server.limits.head_bytes_max = settings.header_bytes_max;
    // Of calls; the gateway limits each kind of request.
    server.limits.body_bytes_max =
        std::max(settings.body_bytes_max, services.limits.bundle_bytes_max);
    http::Server api(runtime, server);
    auto listening =
        co_await api.start(house.api_address, [&](rt::Core&) { return make_gateway(services); });
    if (!listening) {
        (void)co_await end_changes(services, local);
        co_return co_await gave_up(house, keeper, kExitAddress,
                                   std::move(listening).error().because("--listen"));
    }

    // Only the API's address is worth dying for.
    http::Server metrics_server(runtime, {});
    std::string metrics_at;
    if (house.metrics_address) {
        auto up = co_await metrics_server.start(
            *house.metrics_address, [&](rt::Core&) { return make_metrics_face(services); });
        if (up) {
            metrics_at = metrics_server.address().text();
        } else {
            log.warn("metrics.off", {{"error", up.error()}});
        }
    }

    const auto api_at = api.address().text();
    log.info("serve.ready", {{"api", "http://" + api_at},
                             {"metrics", metrics_at.empty() ? "off" : "http://" + metrics_at},
                             {"data", house.data},
                             {"user", house.password.user},
                             {"password_file", house.data + "/" + house.password.file},
                             {"sandbox", sandbox::text_of(abilities.level)}});
    if (house.ready_file) {
        if (auto told = write_ready_file(house, api_at, metrics_at); !told) {
            log.error("ready_file.failed", {{"error", told.error()}});
        }
    }

    (void)co_await signals->next();
    log.info("serve.draining", {{"at_most", settings.drain}});
    auto stopped =
        co_await rt::either(stop_in_order(api, metrics_server, services, local, keeper, house),
                            end_at_second(*signals));
    if (!stopped) (void)co_await leave_at_once(keeper, house);
    log.info("serve.stopped");
    co_return Result<>{};
}

}  // namespace

int serve(Settings settings, const Environment& environment) {
    const SystemClock clock;
    observe::Log log(log_options(settings), clock);  // opens its descriptor anew: before the drop
    House house{.settings = std::move(settings), .clock = clock, .log = log};
    auto& wanted = house.settings;

    auto api = rt::Address::parse(wanted.listen);
    if (!api) return report(kExitUsage, std::move(api).error().because("--listen"));
    auto metrics = parse_listen("--metrics-listen", wanted.metrics_listen);
    if (!metrics) return report(kExitUsage, metrics.error());
    house.api_address = *api;
    house.metrics_address = *metrics;
    // A free port for the one means a free port for the other.
    if (house.metrics_address && api->port == 0) house.metrics_address->port = 0;

    // As root: what the keeper needs, and the folder.
    auto identity = daemon_identity(wanted.user);
    if (!identity) return report(kExitUsage, identity.error());
    if (wanted.data.empty()) {
        auto standard = default_data_folder(environment);
        if (!standard) return report(kExitUsage, standard.error());
        wanted.data = std::move(*standard);
    }
    if (auto ready = prepare_folder(wanted.data, *identity); !ready) {
        return report(kExitDataFolder, ready.error());
    }
    if (!wanted.ready_file.empty()) {
        house.ready_file =
            rt::Fd(::open(wanted.ready_file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        if (!house.ready_file) {
            auto why = fail_errno(Errc::invalid, errno, wanted.ready_file);
            return report(kExitUsage, std::move(why).error().because("--ready-file"));
        }
    }
    auto folder = move_in(wanted.data, *identity);
    if (!folder) return report(kExitDataFolder, folder.error());
    house.data = std::filesystem::current_path().string();
    // Only now: until the folder was ours, it may have been another daemon's. A pipe stays as it
    // is.
    if (house.ready_file) (void)!::ftruncate(house.ready_file.get(), 0);

    auto line = sandbox::start_or_find_keeper(
        {.data_folder = house.data, .daemon_uid = identity->uid, .daemon_gid = identity->gid});
    if (!line) return report(kExitKeeper, line.error());
    house.has_new_keeper = line->guard_pid != 0;
    house.line = std::move(*line);

    // From here on without privileges.
    if (auto dropped = become(*identity); !dropped) return report(kExitFailed, dropped.error());
    SystemRandom random;
    auto password = load_password(random);
    if (!password) return report(kExitDataFolder, password.error());
    house.password = std::move(*password);

    Signals::block();
    const int cpus = static_cast<int>(std::thread::hardware_concurrency());
    rt::Runtime runtime(
        {.cores = wanted.cores > 0 ? wanted.cores : std::clamp(cpus, 1, rt::kCoresMax)}, clock);
    auto lived = runtime.run(live(runtime, house));
    if (!lived && house.exit_status == 0) return report(kExitFailed, lived.error());
    return house.exit_status;
}

}  // namespace fathom::app
