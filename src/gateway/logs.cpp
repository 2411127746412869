// /system/logs: lines as ndjson, each sent as it comes.
#include <charconv>
#include <nlohmann/json.hpp>

#include "function/json.h"
#include "gateway/routes.h"

namespace fathom::gateway {
namespace {

using Json = nlohmann::json;

// 422 for what cannot be read, as in the original.
Result<provider::LogQuery> read_query(const Request& request) {
    provider::LogQuery query;
    const auto value = [&](std::string_view key) {
        return http::query_value(request.query, key).value_or("");
    };
    query.name = function::FunctionName::split(value("name"));
    if (const auto space = value("namespace"); !space.empty()) query.name.space = space;
    if (query.name.name.empty()) return fail(Errc::invalid, "name: missing; accepted: a function");
    query.instance = value("instance");
    if (const auto tail = value("tail"); !tail.empty()) {
        const auto [end, error] =
            std::from_chars(tail.data(), tail.data() + tail.size(), query.tail);
        if (error != std::errc() || end != tail.data() + tail.size()) {
            return fail(Errc::invalid, "tail: \"{}\" is not a whole number", tail);
        }
    }
    const auto follow = value("follow");
    if (follow == "1" || follow == "true" || follow == "True" || follow == "TRUE" ||
        follow == "t" || follow == "T") {
        query.follow = provider::LogQuery::Follow::yes;
    }
    if (const auto since = value("since"); !since.empty()) {
        auto at = function::parse_rfc3339(since);
        if (!at) return fail(std::move(at).error().because("since"));
        query.since = *at;
    } else if (query.tail <= 0) {
        query.since = rt::this_core().clock().wall() - 5min;
    }
    return query;
}

// "2026-11-21T12:46:37.000000123Z"
std::string to_rfc3339_nano(Clock::Wall at) {
    auto text = function::to_rfc3339(at);
    const auto fraction = at.time_since_epoch() % std::chrono::seconds(1);
    text.insert(text.size() - 1, fmt::format(".{:09}", fraction.count()));
    return text;
}

std::string line_json(const function::FunctionName& name, const provider::LogLine& line) {
    const Json document = {{"name", name.name},
                           {"namespace", name.space},
                           {"instance", line.instance},
                           {"timestamp", to_rfc3339_nano(line.at)},
                           {"text", line.text}};
    return document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// A reader on its own core, with whatever reads from it; both end when this goes away.
struct Session {
    std::unique_ptr<provider::LogReader> reader;
    TaskGroup reads;
};

Async<> stream(Services& services, http::Exchange& exchange, function::FunctionName name,
               Session* session) {
    using Lines = std::vector<provider::LogLine>;
    auto& home = services.runtime.core(0);
    const auto until = Deadline::in(services.limits.log_follow_max);
    for (;;) {
        auto next = [session] { return session->reader->read(); };
        auto lines =
            co_await within(until, rt::on_core<Lines>(home, session->reads, std::move(next)));
        if (!lines || lines->empty()) break;
        std::string batch;
        for (const auto& line : *lines) batch += line_json(name, line);
        if (auto sent = co_await exchange.out().write(batch); !sent) {
            co_return fail(std::move(sent).error());
        }
    }
    co_return co_await exchange.out().finish();
}

}  // namespace

Async<> logs(Request& request) {
    auto& exchange = request.exchange;
    if (request.method != "GET") co_return co_await exchange.reply(method_not_allowed("GET"));
    auto query = read_query(request);
    if (!query) co_return co_await exchange.reply(text(422, query.error().message()));

    auto& services = request.services;
    auto& home = services.runtime.core(0);
    auto open = [&services, wanted = *query] { return services.provider.logs(wanted); };
    auto reader = co_await rt::on_core<std::unique_ptr<provider::LogReader>>(
        home, services.home_tasks, std::move(open));
    if (!reader) co_return co_await exchange.reply(refused(reader.error()));

    // It dies on its own core, after whatever was sent there before.
    const auto end_at_home = [&home](Session* ended) { home.post([ended] { delete ended; }); };
    const std::unique_ptr<Session, decltype(end_at_home)> session(
        new Session{std::move(*reader), {}}, end_at_home);

    http::ResponseHead head;
    head.headers.add("Content-Type", "application/x-ndjson");
    head.body = http::BodyLength::chunked();
    exchange.start(head);
    if (auto flushed = co_await exchange.flush(); !flushed) {
        co_return fail(std::move(flushed).error());
    }

    co_return co_await rt::either(stream(services, exchange, query->name, session.get()),
                                  exchange.client_gone());
}

}  // namespace fathom::gateway
