#include "provider/log_book.h"

#include <algorithm>
#include <ranges>

namespace fathom::provider {
namespace {

Bytes cost(const LogLine& line) {
    return sizeof line + line.text.size() + line.instance.size();
}

}  // namespace

class LogBook::Reader final : public LogReader {
public:
    Reader(std::shared_ptr<LogBook> book, LogQuery query)
        : book_(std::move(book)), query_(std::move(query)), next_(book_->first_) {
        if (query_.tail <= 0) return;
        auto wanted = query_.tail;
        next_ = book_->first_ + book_->lines_.size();
        while (next_ > book_->first_ && wanted > 0) {
            next_ -= 1;
            if (is_wanted(book_->lines_[next_ - book_->first_])) wanted -= 1;
        }
    }

    Async<std::vector<LogLine>> read() override {
        for (;;) {
            auto lines = take();
            const bool may_wait = query_.follow == LogQuery::Follow::yes && !book_->is_closed_;
            if (!lines.empty() || !may_wait) co_return lines;
            book_->grown_.lower();
            co_await book_->grown_.wait();
        }
    }

private:
    static constexpr std::size_t kLinesAtOnceMax = 1000;

    bool is_wanted(const LogLine& line) const {
        if (!query_.instance.empty() && line.instance != query_.instance) return false;
        return line.at >= query_.since;
    }
    std::vector<LogLine> take() {
        std::vector<LogLine> lines;
        const auto end = book_->first_ + book_->lines_.size();
        next_ = std::max(next_, book_->first_);
        for (; next_ < end && lines.size() < kLinesAtOnceMax; ++next_) {
            const auto& line = book_->lines_[next_ - book_->first_];
            if (is_wanted(line)) lines.push_back(line);
        }
        return lines;
    }

    std::shared_ptr<LogBook> book_;
    LogQuery query_;
    std::uint64_t next_;
};

std::unique_ptr<LogReader> LogBook::read(std::shared_ptr<LogBook> book, LogQuery query) {
    return std::make_unique<Reader>(std::move(book), std::move(query));
}

void LogBook::add(LogLine line) {
    bytes_ += cost(line);
    lines_.push_back(std::move(line));
    shrink();
    grown_.raise();
}

void LogBook::shrink() {
    while (bytes_ > bytes_max_ && lines_.size() > 1) {
        bytes_ -= cost(lines_.front());
        lines_.pop_front();
        first_ += 1;
    }
}

void LogBook::add_older(std::vector<LogLine> lines) {
    for (auto& line : std::views::reverse(lines)) {
        if (bytes_ + cost(line) > bytes_max_) return;
        bytes_ += cost(line);
        lines_.push_front(std::move(line));
        first_ -= 1;
    }
}

void LogBook::close() {
    is_closed_ = true;
    grown_.raise();
}

std::string LogBook::tail(std::string_view instance, std::size_t count) const {
    std::string text;
    for (const auto& line : std::views::reverse(lines_)) {
        if (count == 0) break;
        if (!instance.empty() && line.instance != instance) continue;
        text.insert(0, text.empty() ? line.text : line.text + '\n');
        count -= 1;
    }
    return text;
}

}  // namespace fathom::provider
