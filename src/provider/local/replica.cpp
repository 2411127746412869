// The life of one replica.
#include <array>
#include <charconv>

#include "provider/local/fleet.h"
#include "provider/local/launch_spec.h"

namespace fathom::provider {
namespace {

constexpr std::size_t kTroubleLines = 5;
constexpr auto kAskAgainAfter = 100ms;  // one that answered "not yet"
constexpr auto kInFlightCheck = 5ms;
constexpr auto kLastWordsMax = 500ms;  // for the end of a dead replica's output

// Waits until `signal` is raised.
Async<> until(rt::Signal& signal) {
    co_await signal.wait();
    co_return Result<>{};
}

// Asks once; the status of the answer.
// Errors: bad_upstream    the replica closed the connection, or speaks no HTTP
//         unavailable     nobody listens any more
Async<int> ask_ready(rt::Address endpoint, std::string host) {
    auto socket = co_await rt::connect(endpoint);
    if (!socket) co_return fail(std::move(socket).error());
    const auto request =
        fmt::format("GET /_/ready HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", host);
    if (auto sent = co_await socket->write(request); !sent) {
        co_return fail(std::move(sent).error());
    }
    // "HTTP/1.1 200": the rest does not matter.
    constexpr std::size_t kStatusEnd = 12;
    std::array<char, kStatusEnd> head;
    std::size_t have = 0;
    while (have < kStatusEnd) {
        auto got = co_await socket->read(std::span(head).subspan(have));
        if (!got) co_return fail(std::move(got).error());
        if (*got == 0) co_return fail(Errc::bad_upstream, "the connection was closed");
        have += *got;
    }
    int status = 0;
    const std::string_view line(head.data(), head.size());
    std::from_chars(head.data() + 9, head.data() + kStatusEnd, status);
    if (!line.starts_with("HTTP/1.") || status < 100) {
        co_return fail(Errc::bad_upstream, "the answer is not HTTP/1.1");
    }
    co_return status;
}

// Until it answers with 2xx; `last` is what it said before that.
Async<> ask_until_ready(rt::Address endpoint, std::string host, int& last) {
    for (;;) {
        auto status = co_await ask_ready(endpoint, host);
        if (!status) co_return fail(std::move(status).error());
        if (*status >= 200 && *status <= 299) co_return Result<>{};
        last = *status;
        co_await rt::sleep_for(kAskAgainAfter);
    }
}

}  // namespace

RunningPtr Fleet::make_running(const FunctionName& name, std::uint64_t revision) {
    auto replica = std::make_shared<Running>();
    const auto random = rt::this_core().random().next();
    replica->id = fmt::format("{}-{}-{:08x}", name.name, revision, random & 0xffffffff);
    replica->function = name;
    replica->revision = revision;
    return replica;
}

// From the launch to the end, whatever it is.
Async<> Fleet::live_on(RunningPtr replica) {
    by_id_.emplace(replica->id, replica);
    auto launched = co_await launch(replica);
    if (!launched) {
        by_id_.erase(replica->id);
        replica->exit = sandbox::Exit{sandbox::Exit::Kind::not_started, 0,
                                      "could not start: " + launched.error().message()};
        replica->ended.raise();
        replica->log_ended.raise();
        co_return co_await bury(replica);
    }
    co_return co_await live(std::move(replica));
}

Async<> Fleet::launch(RunningPtr replica) {
    const auto* function = find(replica->function);
    if (function == nullptr) co_return fail(Errc::not_found, "the function is gone");
    replica->capacity = function::concurrency_of(*function->spec);
    auto image = parts_.images.find(function->spec->image);
    if (!image) co_return fail(std::move(image).error());
    auto spec = make_launch_spec(*function->spec, replica->revision, *image, replica->id);
    if (!spec) co_return fail(std::move(spec).error());
    auto kept = co_await parts_.keeper.launch(std::move(*spec));
    if (!kept) co_return fail(std::move(kept).error());
    replica->endpoint = {.unix_path = kept->socket, .ip = {}};
    // Also of one whose end has been heard already: its last words say why.
    keep_log(replica, std::move(kept->log));
    co_return Result<>{};
}

void Fleet::keep_log(const RunningPtr& replica, rt::Fd log) {
    if (log) {
        tasks_.spawn(read_log(replica, std::move(log)));
    } else {
        replica->log_ended.raise();
    }
}

Async<> Fleet::read_log(RunningPtr replica, rt::Fd log) {
    auto read = co_await logs_.read(replica->function, replica->id, std::move(log));
    replica->log_ended.raise();
    co_return read;
}

// A launched replica: asks whether it is ready, and waits for its end.
Async<> Fleet::live(RunningPtr replica) {
    if (replica->is_stopping) parts_.keeper.kill(replica->id);
    auto ready = co_await become_ready(replica);
    if (!ready && !replica->exit) {
        if (replica->why.empty()) replica->why = ready.error().message();
        if (!replica->is_stopping) parts_.keeper.kill(replica->id);
    }
    co_await replica->ended.wait();
    co_return co_await bury(std::move(replica));
}

Async<> Fleet::become_ready(RunningPtr replica) {
    int last_status = 0;
    const auto launched_at = rt::this_core().now();
    auto ready =
        co_await within(Deadline::in(options_.start_max),
                        ask_until_ready(replica->endpoint, replica->function.name, last_status));
    if (replica->is_stopping || replica->exit) co_return ready;
    if (!ready) {
        const bool is_late = ready.error().code() == Errc::timed_out;
        // A connection that broke is the first sign of an end; its reason follows at once.
        if (!is_late) (void)co_await within(Deadline::in(kLastWordsMax), until(replica->ended));
        if (replica->exit) co_return ready;
        const auto limit = to_text(options_.start_max);
        replica->why =
            is_late && last_status != 0
                ? fmt::format("answered GET /_/ready with status {} for {} (the start limit)",
                              last_status, limit)
            : is_late
                ? fmt::format("did not answer GET /_/ready within {} (the start limit)", limit)
                : "did not answer GET /_/ready: " + ready.error().message();
        co_return ready;
    }
    replica->state = ReplicaState::ready;
    replica->ready_at = rt::this_core().now();
    if (auto* function = find(replica->function);
        function != nullptr && replica->revision == function->revision) {
        function->trouble.clear();
        function->failed.reset();
    }
    if (replica->is_adopted) {
        parts_.log.info("replica.adopted", {{"replica", replica->id}});
    } else {
        const auto took =
            std::chrono::duration_cast<std::chrono::microseconds>(replica->ready_at - launched_at);
        parts_.log.info("replica.ready",
                        {{"replica", replica->id}, {"after_launch", Duration(took)}});
    }
    settle_later(replica->function);
    co_return Result<>{};
}

void Fleet::begin_stop(const RunningPtr& replica) {
    if (std::exchange(replica->is_stopping, true)) return;
    replica->state = ReplicaState::draining;
    tasks_.spawn(stop(replica));
}

// No new calls, its calls finished, SIGTERM, SIGKILL: each within its time.
Async<> Fleet::stop(RunningPtr replica) {
    settle_later(replica->function);  // publishes
    const auto drained_by = Deadline::in(options_.drain_max);
    do {
        (void)co_await within(Deadline::in(kInFlightCheck), until(replica->ended));
    } while (replica->load->in_flight.load() > 0 && !replica->exit && !drained_by.has_passed());
    if (replica->exit) co_return Result<>{};
    parts_.keeper.terminate(replica->id);
    auto ended = co_await within(Deadline::in(options_.stop_max), until(replica->ended));
    if (!ended) parts_.keeper.kill(replica->id);
    co_return Result<>{};
}

// It ended. If nobody wanted that, the function has failed once more.
Async<> Fleet::bury(RunningPtr replica) {
    replica->load->is_gone = true;
    (void)co_await within(Deadline::in(kLastWordsMax), until(replica->log_ended));
    auto* function = find(replica->function);
    if (function == nullptr) co_return Result<>{};
    std::erase(function->replicas, replica);
    if (!replica->is_stopping && !is_keeper_lost_ && replica->exit) {
        const auto& what = replica->why.empty() ? replica->exit->text : replica->why;
        parts_.log.warn("replica.failed", {{"replica", replica->id}, {"why", what}});
        if (replica->revision == function->revision) count_failure(*function, *replica, what);
    }
    settle_later(replica->function);
    co_return Result<>{};
}

void Fleet::count_failure(Function& function, const Running& replica, const std::string& what) {
    const auto now = rt::this_core().now();
    const bool was_ready = replica.ready_at != Clock::Monotonic{};
    const bool was_steady = was_ready && now - replica.ready_at >= options_.steady_after;
    function.failures = was_steady ? 0 : function.failures + 1;
    Duration wait{};
    if (function.failures > 0) {
        const auto doublings = std::min(function.failures - 1, 20u);
        wait = std::min(options_.backoff_min * (1 << doublings), options_.backoff_max);
        // Give or take a fifth: many that fail for one reason do not come back at one moment.
        const auto jitter = rt::this_core().random().next() % 401;
        wait = wait * (800 + static_cast<int>(jitter)) / 1000;
    }
    function.retry_at = now + wait;
    function.trouble = fmt::format("replica {} {}", replica.id, what);
    if (function.failures > 1) {
        function.trouble += fmt::format(" ({} failed in a row; next start in {:.1f} s)",
                                        function.failures, seconds(wait));
    }
    const auto tail = logs_.tail(replica.function, replica.id, kTroubleLines);
    if (!tail.empty()) function.trouble += "; it printed last:\n" + tail;
    function.failed = Replica{replica.id,       replica.revision, ReplicaState::failed,
                              replica.capacity, replica.endpoint, what,
                              replica.load};
}

// A replica from before this daemon: it goes on when its function is still wanted.
void Fleet::adopt(sandbox::Kept kept) {
    const auto name = FunctionName::split(kept.function);
    auto replica = std::make_shared<Running>();
    replica->id = kept.id;
    replica->function = name;
    replica->revision = kept.revision;
    replica->is_adopted = true;
    replica->endpoint = {.unix_path = kept.socket, .ip = {}};
    if (kept.exit) {
        parts_.log.info("replica.ended_alone", {{"replica", kept.id}, {"why", kept.exit->text}});
        if (find(name) != nullptr) keep_log(replica, std::move(kept.log));
        return;
    }
    auto* function = find(name);
    if (function == nullptr) {
        parts_.keeper.kill(kept.id);
        return;
    }
    replica->capacity = function::concurrency_of(*function->spec);
    by_id_.emplace(replica->id, replica);
    function->replicas.push_back(replica);
    keep_log(replica, std::move(kept.log));
    tasks_.spawn(live(std::move(replica)));
}

void Fleet::hear_exit(const std::string& id, sandbox::Exit exit) {
    auto found = by_id_.find(id);
    if (found == by_id_.end()) return;
    auto replica = std::move(found->second);
    by_id_.erase(found);
    replica->load->is_gone = true;
    replica->exit = std::move(exit);
    replica->ended.raise();
}

// The keeper died, and every replica with it. Its guard starts another.
void Fleet::lose_keeper() {
    if (is_closed_ || std::exchange(is_keeper_lost_, true)) return;
    parts_.log.error("keeper.lost", {{"replicas", by_id_.size()}});
    for (auto& [id, replica] : std::exchange(by_id_, {})) {
        replica->load->is_gone = true;
        replica->exit = sandbox::Exit{sandbox::Exit::Kind::killed, 9, "ended with the keeper"};
        replica->ended.raise();
    }
    tasks_.spawn(find_keeper());
}

Async<> Fleet::find_keeper() {
    constexpr Duration kWaitMax = 1s;
    for (Duration wait = 10ms;; wait = std::min<Duration>(wait * 2, kWaitMax)) {
        co_await rt::sleep_for(wait);
        auto hello = co_await parts_.keeper.reopen();
        if (!hello) continue;
        // Only if it was the line that broke: what it kept is not ours any more.
        for (const auto& kept : hello->replicas) parts_.keeper.kill(kept.id);
        break;
    }
    is_keeper_lost_ = false;
    parts_.log.info("keeper.found");
    for (const auto& [name, function] : functions_) settle_later(name);
    co_return Result<>{};
}

}  // namespace fathom::provider
