// The last lines a function printed, in memory, within a bound; readers come and go.
#pragma once

#include <deque>
#include <memory>

#include "provider/provider.h"

namespace fathom::provider {

class LogBook {
public:
    explicit LogBook(Bytes bytes_max = 256_KiB) : bytes_max_(bytes_max) {}

    // Forgets the oldest lines when it grows beyond its bound.
    void add(LogLine line);
    // Lines from before this start, oldest first; they go before all others.
    void add_older(std::vector<LogLine> lines);
    // Nothing will be added: readers that follow come to the end.
    void close();
    // The last `count` lines of `instance` ("" of all), joined for a sentence.
    std::string tail(std::string_view instance, std::size_t count) const;

    static std::unique_ptr<LogReader> read(std::shared_ptr<LogBook> book, LogQuery query);

private:
    class Reader;
    void shrink();

    Bytes bytes_max_;
    Bytes bytes_ = 0;
    std::deque<LogLine> lines_;
    std::uint64_t first_ = 1'000'000'000;  // number of the oldest line kept; room for older ones
    bool is_closed_ = false;
    rt::Signal grown_;
};

}  // namespace fathom::provider
