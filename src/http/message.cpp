#include "http/message.h"

#include <chrono>

#include "rt/core.h"

namespace fathom::http {
namespace {

// The date as of `until`'s second; the core's own.
struct DateCache {
    Clock::Monotonic until = Clock::Monotonic::min();
    std::array<char, 29> text{};
};

}  // namespace

std::string_view http_date() {
    thread_local constinit DateCache cache;
    auto& core = rt::this_core();
    if (core.now() >= cache.until) {
        const auto wall = core.clock().wall();
        const auto second = std::chrono::floor<std::chrono::seconds>(wall);
        cache.text = date_text(wall);
        cache.until = core.now() + (second + 1s - wall);
    }
    return {cache.text.data(), cache.text.size()};
}

Async<std::string> read_all(BodyReader& body, std::uint64_t bytes_max) {
    body.limit(bytes_max);
    std::string all;
    if (body.length().kind == BodyLength::Kind::fixed && body.length().bytes <= bytes_max) {
        // Room ahead only for what a sender can claim without sending it.
        all.reserve(std::min<std::uint64_t>(body.length().bytes, 64_KiB));
    }
    while (!body.is_done()) {
        std::string_view piece;
        if (auto here = body.try_read()) {
            piece = *here;
        } else {
            auto read = co_await body.read();
            if (!read) co_return fail(std::move(read).error());
            piece = *read;
        }
        all += piece;
    }
    co_return all;
}

Async<> BodyWriter::write_last(std::string_view bytes, const Headers& trailers) {
    if (!bytes.empty()) {
        auto written = co_await write(bytes);
        if (!written) co_return fail(std::move(written).error());
    }
    co_return co_await finish(trailers);
}

Async<> pump(BodyReader& from, BodyWriter& to) {
    for (;;) {
        std::string_view piece;
        if (auto here = from.try_read()) {
            piece = *here;
        } else {
            // A head that waits for its first bytes goes out now: they may take their time.
            (void)to.try_write({});
            auto read = co_await from.read();
            if (!read) co_return fail(std::move(read).error());
            piece = *read;
        }
        if (from.is_done()) {
            if (to.try_write_last(piece, from.trailers())) co_return Result<>{};
            co_return co_await to.write_last(piece, from.trailers());
        }
        if (to.try_write(piece)) continue;
        auto written = co_await to.write(piece);
        if (!written) co_return fail(std::move(written).error());
    }
}

}  // namespace fathom::http
