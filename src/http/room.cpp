#include "http/room.h"

#include <vector>

namespace fathom::http {
namespace {

// What one core keeps: at most 2 MiB of small rooms, 1 MiB of large ones, 1 MiB of texts.
constexpr std::size_t kSmallKept = 256;
constexpr std::size_t kLargeKept = 16;
constexpr std::size_t kTextsKept = 256;
constexpr std::size_t kTextBytesMax = 4096;

struct Stock {
    std::vector<std::unique_ptr<char[]>> small;
    std::vector<std::unique_ptr<char[]>> large;
    std::vector<std::string> texts;
};

Stock& stock() {
    thread_local Stock stock;
    return stock;
}

std::unique_ptr<char[]> take(std::vector<std::unique_ptr<char[]>>& kept, std::size_t capacity) {
    if (kept.empty()) return std::make_unique_for_overwrite<char[]>(capacity);
    auto data = std::move(kept.back());
    kept.pop_back();
    return data;
}

}  // namespace

Room Room::of(std::size_t capacity) {
    Room room;
    if (capacity == kSmall) {
        room.data_ = take(stock().small, capacity).release();
    } else if (capacity == kLarge) {
        room.data_ = take(stock().large, capacity).release();
    } else {
        room.data_ = std::make_unique_for_overwrite<char[]>(capacity).release();
    }
    room.capacity_ = capacity;
    return room;
}

void Room::give_back() noexcept {
    std::unique_ptr<char[]> data(std::exchange(data_, nullptr));
    if (!data) return;
    if (capacity_ == kSmall && stock().small.size() < kSmallKept) {
        stock().small.push_back(std::move(data));
    } else if (capacity_ == kLarge && stock().large.size() < kLargeKept) {
        stock().large.push_back(std::move(data));
    }
    capacity_ = 0;
}

std::string take_text() {
    auto& texts = stock().texts;
    if (texts.empty()) {
        std::string text;
        text.reserve(1024);
        return text;
    }
    auto text = std::move(texts.back());
    texts.pop_back();
    return text;
}

void give_back_text(std::string text) {
    if (text.capacity() > kTextBytesMax || stock().texts.size() >= kTextsKept) return;
    text.clear();
    stock().texts.push_back(std::move(text));
}

}  // namespace fathom::http
