#include "invoke/relay.h"

namespace fathom::invoke {

Async<> relay(http::BodyReader& from, http::BodyWriter& to, http::Exchange& exchange) {
    while (!from.is_done()) {
        auto piece = from.try_read();
        if (!piece) {
            // Nothing here yet: what was begun goes out before we wait.
            if (auto flushed = co_await exchange.flush(); !flushed) {
                co_return fail(std::move(flushed).error());
            }
            auto read = co_await from.read();
            if (!read) co_return fail(std::move(read).error());
            piece = *read;
        }
        if (piece->empty()) break;
        if (auto written = co_await to.write(*piece); !written) {
            co_return fail(std::move(written).error());
        }
    }
    co_return co_await to.finish(from.trailers());
}

Async<> feed(http::BodyReader& from, http::BodyWriter& to) {
    bool is_wanted = true;
    while (is_wanted && !from.is_done()) {
        auto piece = co_await from.read();
        if (!piece) co_return fail(std::move(piece).error());
        if (piece->empty()) break;
        is_wanted = (co_await to.write(*piece)).has_value();
    }
    if (is_wanted) (void)co_await to.finish(from.trailers());
    rt::Signal never;
    co_await never.wait();
    co_return Result<>{};
}

}  // namespace fathom::invoke
