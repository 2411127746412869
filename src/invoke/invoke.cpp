// One call, from admission to record.
#include "invoke/invoke.h"

#include <algorithm>
#include <charconv>

#include "core/ids.h"
#include "invoke/invoker.h"

namespace fathom::invoke {
namespace {

constexpr int kAttemptsMax = 5;
constexpr Duration kPauseAfterRefusal = 2ms;
constexpr int kClientClosedRequest = 499;  // as nginx counts a caller who left
constexpr std::string_view kServedBy = "fathom/0.1";

// A count that goes up now and down when this goes away.
class Counted {
public:
    explicit Counted(std::atomic<std::uint32_t>& count)
        : count_(count), before_(count.fetch_add(1, std::memory_order_relaxed)) {}
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { count_.fetch_sub(1, std::memory_order_relaxed); }
    std::uint32_t before() const noexcept { return before_; }

private:
    std::atomic<std::uint32_t>& count_;
    const std::uint32_t before_;
};

// Decimal Unix nanoseconds, as in X-Start-Time.
struct StartTime {
    explicit StartTime(Clock::Wall at) {
        const auto [end, error] =
            std::to_chars(text.data(), text.data() + text.size(), at.time_since_epoch().count());
        size = error == std::errc() ? static_cast<std::size_t>(end - text.data()) : 0;
    }
    std::string_view view() const { return {text.data(), size}; }
    std::array<char, 20> text{};
    std::size_t size = 0;
};

}  // namespace

// What is known of a call while it is on its way.
struct Flight {
    Flight(Call& entered, std::shared_ptr<LocalRoute> to)
        : call(entered),
          route(std::move(to)),
          own_id(Uuid::random(rt::this_core().random())),
          start_time(rt::this_core().clock().wall()),
          began(rt::this_core().clock().now()),
          deadline(Deadline::at(began + route->call_max)) {
        const auto given = call.exchange.request().headers.get("X-Call-Id");
        id = given.empty() ? own_id.text() : given;
    }

    // What arrived of the body stays where it is only as long as nobody looks for what follows it:
    // before waiting for the caller to leave.
    void keep_first() {
        if (first_kept.empty() && call.exchange.body().is_done()) first = first_kept = first;
    }

    Call& call;
    std::shared_ptr<LocalRoute> route;
    Uuid own_id;
    std::string_view id;
    StartTime start_time;
    Clock::Monotonic began;
    Deadline deadline;
    // What of the body had arrived with the head; goes along with every attempt.
    std::string_view first = call.exchange.body().try_read().value_or("");
    std::string first_kept{};  // it, once the connection's buffer may be filled anew
    Duration waited{};
    bool is_sent = false;               // bytes of the call went to a replica
    int status = kClientClosedRequest;  // of the answer that was begun
    bool is_callers_fault = false;      // the request's body broke off, or is too long or too slow
};

namespace {

// An empty one counts as none.
bool is_ours_to_fill(const http::Header& field) {
    return field.value.empty() && (http::equals_ignoring_case(field.name, "X-Call-Id") ||
                                   http::equals_ignoring_case(field.name, "X-Forwarded-Host") ||
                                   http::equals_ignoring_case(field.name, "X-Forwarded-For"));
}

// The head the function sees (docs/function-contract.md).
http::RequestHead head_for(const Flight& flight, std::string_view peer) {
    const auto& request = flight.call.exchange.request();
    http::RequestHead head;
    head.method = request.method;
    head.target = flight.call.target;
    head.body = request.body;
    http::add_end_to_end(head.headers, request.headers);
    if (std::ranges::any_of(head.headers, is_ours_to_fill)) {
        for (const auto& field : std::exchange(head.headers, {})) {
            if (!is_ours_to_fill(field)) head.headers.add(field.name, field.value);
        }
    }
    if (request.headers.get("X-Call-Id").empty()) head.headers.add("X-Call-Id", flight.id);
    head.headers.add("X-Start-Time", flight.start_time.view());
    if (request.headers.get("X-Forwarded-Host").empty() && !request.authority.empty()) {
        head.headers.add("X-Forwarded-Host", request.authority);
    }
    if (request.headers.get("X-Forwarded-For").empty() && !peer.empty()) {
        head.headers.add("X-Forwarded-For", peer);
    }
    return head;
}

// The head the caller sees: the function's fields win over ours.
http::ResponseHead head_back(const Flight& flight, const http::ResponseHead& answer) {
    http::ResponseHead head;
    head.status = answer.status;
    head.reason = answer.reason;
    head.body = answer.body;
    http::add_end_to_end(head.headers, answer.headers);
    const auto add_unless_there = [&](std::string_view name, std::string_view value) {
        if (!answer.headers.find(name)) head.headers.add(name, value);
    };
    add_unless_there("X-Call-Id", flight.id);
    add_unless_there("X-Start-Time", flight.start_time.view());
    add_unless_there("X-Served-By", kServedBy);
    if (!answer.body.is_empty()) {
        const auto asked = flight.call.exchange.request().headers.get("Content-Type");
        add_unless_there("Content-Type", asked.empty() ? "text/plain" : asked);
    }
    return head;
}

std::string timed_out_sentence(const Flight& flight) {
    const auto ran = rt::this_core().clock().now() - flight.began - flight.waited;
    return fmt::format(
        "{} did not answer within exec_timeout={} (set in {}). It waited {:.3f} s for a replica "
        "and "
        "ran {:.3f} s.\nChange it:  fathom deploy --update --env exec_timeout=DURATION ...\n",
        flight.route->name, to_text(flight.route->call_max), flight.route->call_max_set_by,
        seconds(flight.waited), seconds(ran));
}

// What a caller is told when there is no answer of the function's own.
http::Reply reply_for(const Flight& flight, const Error& error) {
    http::Reply reply;
    reply.status = facts(error.code()).http_status;
    reply.content_type = "text/plain; charset=utf-8";
    reply.body = error.message() + "\n";
    reply.headers = {{"X-Call-Id", std::string(flight.id)},
                     {"X-Start-Time", std::string(flight.start_time.view())},
                     {"X-Served-By", std::string(kServedBy)},
                     {"X-Content-Type-Options", "nosniff"}};
    const auto add = [&](std::string name, std::string value) {
        reply.headers.emplace_back(std::move(name), std::move(value));
    };
    if (flight.is_callers_fault) {
        reply.status = error.code() == Errc::too_large   ? 413
                       : error.code() == Errc::timed_out ? 408
                                                         : 400;
        return reply;
    }
    switch (error.code()) {
        case Errc::bad_upstream:
            // OpenFaaS: a replica that fails to answer is a 500 that queue workers retry.
            reply.status = 500;
            add("X-OpenFaaS-Internal", "proxy");
            break;
        case Errc::unavailable:
        case Errc::timed_out:
            add("X-OpenFaaS-Internal", "proxy");
            break;
        case Errc::rate_limited:
        case Errc::overloaded:
            add("Retry-After", "1");
            break;
        default:
            break;
    }
    return reply;
}

http::Reply reply_for_nobody(const Call& call) {
    http::Reply reply{
        .status = 404,
        .content_type = "text/plain; charset=utf-8",
        .body = fmt::format("function {} is not deployed; see: fathom list\n", call.function),
        .headers = {{"X-Content-Type-Options", "nosniff"}}};
    add_call_fields(reply, call.exchange);
    return reply;
}

// The function's answer to the caller, piece by piece as it comes.
Async<> answer(Flight& flight, http::ClientExchange& upstream) {
    auto head = co_await upstream.head();
    if (!head) co_return fail(std::move(head).error());
    if ((*head)->status < 200) {
        co_return fail(Errc::bad_upstream, "it answered {}, which cannot be passed on",
                       (*head)->status);
    }
    flight.status = (*head)->status;
    flight.call.exchange.start(head_back(flight, **head));
    co_return co_await http::pump(upstream.body(), flight.call.exchange.out());
}

// Until the caller leaves. He gets no answer, and above all no end that makes half of one look
// whole.
Async<> until_left(http::Exchange& exchange) {
    auto gone = co_await exchange.client_gone();
    exchange.abort();
    co_return gone;
}

Async<> take_into(Slot& slot, InvokerState& state, const std::shared_ptr<LocalRoute>& route,
                  Deadline deadline) {
    auto taken = co_await state.take(route, deadline);
    if (!taken) co_return fail(std::move(taken).error());
    slot = std::move(*taken);
    co_return Result<>{};
}

// The rest of the caller's body to the function, as long as it wants it: it may answer before it
// has read everything. Ends only when the caller breaks off; the end of a call is its answer's.
Async<> feed(Flight& flight, http::BodyWriter& to) {
    auto& from = flight.call.exchange.body();
    bool is_wanted = true;
    while (is_wanted && !from.is_done()) {
        auto piece = co_await from.read();
        if (!piece) {
            flight.is_callers_fault = true;
            co_return fail(std::move(piece).error());
        }
        is_wanted = (co_await to.write(*piece)).has_value();
    }
    if (is_wanted) (void)co_await to.finish(from.trailers());
    co_return co_await until_left(flight.call.exchange);
}

}  // namespace

InvokerState::InvokerState(Directory& all, Limits given, observe::Registry& registry)
    : directory(all), limits(given), metrics(registry) {}

InvokerState::~InvokerState() = default;

Invoker::Invoker(Directory& directory, Limits limits, observe::Registry& metrics)
    : state_(std::make_unique<InvokerState>(directory, limits, metrics)) {
    auto& seat = directory.seats_[static_cast<std::size_t>(rt::this_core_index())];
    seat.invokers.push_back(state_.get());
    state_->update(seat.routes);
}

Invoker::~Invoker() {
    auto& seat = state_->directory.seats_[static_cast<std::size_t>(rt::this_core_index())];
    std::erase(seat.invokers, state_.get());
}

void add_call_fields(http::Reply& reply, const http::Exchange& exchange) {
    const auto given = exchange.request().headers.get("X-Call-Id");
    const auto own = Uuid::random(rt::this_core().random());
    const StartTime now(rt::this_core().clock().wall());
    reply.headers.emplace_back("X-Call-Id", given.empty() ? own.text() : given);
    reply.headers.emplace_back("X-Start-Time", now.view());
    reply.headers.emplace_back("X-Served-By", kServedBy);
}

Async<> Invoker::call(Call call) {
    auto route = state_->find(call.function);
    if (route == nullptr) {
        co_return co_await call.exchange.reply(reply_for_nobody(call));
    }
    Flight flight(call, std::move(route));
    flight.route->recorder.started();

    const Counted everywhere(state_->directory.in_flight_);
    const Counted here(flight.route->shared.load->in_flight);
    Result<> served;
    if (everywhere.before() >= state_->limits.in_flight_max) {
        served = fail(Errc::overloaded,
                      "{} calls are in flight, the limit of this gateway (in_flight_max)",
                      everywhere.before());
    } else if (flight.route->in_flight_max > 0 && here.before() >= flight.route->in_flight_max) {
        served = fail(Errc::rate_limited, "{} calls of {} are in flight, its limit (annotation {})",
                      here.before(), flight.route->name, kInFlightMax);
    } else {
        served = co_await within(flight.deadline, state_->serve(flight));
    }

    if (!served) {
        if (call.exchange.has_started()) {
            call.exchange.abort();
        } else {
            const bool is_late = flight.deadline.has_passed();
            if (is_late) served = fail(Errc::timed_out, "{}", timed_out_sentence(flight));
            auto reply = reply_for(flight, served.error());
            if (is_late) {
                reply.headers.emplace_back(
                    "X-Fathom-Limit",
                    fmt::format("exec_timeout={}", to_text(flight.route->call_max)));
            }
            flight.status = reply.status;
            (void)co_await call.exchange.reply(std::move(reply));
        }
    }
    flight.route->shared.load->ended.fetch_add(1, std::memory_order_relaxed);
    flight.route->recorder.ended(flight.status, rt::this_core().clock().now() - flight.began);
    co_return Result<>{};
}

Async<> InvokerState::serve(Flight& flight) {
    for (int attempt = 1;; ++attempt) {
        auto slot = try_take(flight.route);
        if (!slot) {
            const auto since = rt::this_core().clock().now();
            const auto by = flight.deadline.sooner_of(Deadline::at(since + limits.wait_max));
            flight.keep_first();
            auto taken = co_await rt::either(take_into(slot, *this, flight.route, by),
                                             until_left(flight.call.exchange));
            const auto took = rt::this_core().clock().now() - since;
            flight.waited += took;
            flight.route->recorder.waited(took);
            if (!taken) co_return fail(std::move(taken).error());
            if (!slot) co_return Result<>{};  // nobody waits for the answer any more
        }
        auto done = co_await exchange_with(flight, slot);
        if (done) co_return Result<>{};
        // Only a refused connection leaves the request as it was: nothing of it was sent. (Or it
        // was sent on a connection closed long ago; its body may have made room for other bytes
        // then.)
        const bool is_untouched =
            done.error().code() == Errc::unavailable && (!flight.is_sent || flight.first.empty());
        if (!is_untouched || attempt >= kAttemptsMax || flight.call.exchange.has_started()) {
            co_return fail(std::move(done).error().because("function " + flight.route->name));
        }
        // It ended a moment ago: the provider is about to say so, and who takes its place.
        slot = {};
        co_await rt::sleep_for(kPauseAfterRefusal * attempt);
    }
}

Async<> InvokerState::exchange_with(Flight& flight, Slot& slot) {
    auto& body = flight.call.exchange.body();
    auto head = head_for(flight, flight.call.exchange.peer());
    const bool is_whole = body.is_done() && body.trailers().empty();
    if (is_whole && head.body == http::BodyLength::chunked()) {
        head.body = http::BodyLength::fixed(flight.first.size());
    }
    auto upstream = slot->upstream->try_send(head, flight.first);
    if (upstream == nullptr) {
        auto sent = co_await slot->upstream->send(head, flight.first);
        if (!sent) co_return fail(std::move(sent).error());
        upstream = std::move(*sent);
    }
    flight.is_sent = true;
    if (is_whole) {
        co_return co_await rt::either(answer(flight, *upstream), until_left(flight.call.exchange));
    }
    co_return co_await rt::either(answer(flight, *upstream), feed(flight, upstream->out()));
}

}  // namespace fathom::invoke
