// Bytes that wait to be written: appended at the end, taken from the front, moved rarely.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace fathom::watchdog {

class ByteQueue {
public:
    bool empty() const { return taken_ == bytes_.size(); }
    std::size_t size() const { return bytes_.size() - taken_; }
    std::string_view view() const { return std::string_view(bytes_).substr(taken_); }

    void append(std::string_view bytes) {
        // Making room only when half is free again keeps the cost of a byte constant.
        if (taken_ > 0 && taken_ >= bytes_.size() / 2) bytes_.erase(0, std::exchange(taken_, 0));
        bytes_ += bytes;
    }
    void take(std::size_t count) {
        taken_ += count;
        if (empty()) clear();
    }
    // Becomes `bytes`, without a copy.
    void assign(std::string bytes) {
        bytes_ = std::move(bytes);
        taken_ = 0;
    }
    // Gives back memory beyond a page or four.
    void clear() {
        bytes_.clear();
        taken_ = 0;
        if (bytes_.capacity() > kKept) bytes_ = {};
    }

private:
    static constexpr std::size_t kKept = 16 * 1024;
    std::string bytes_;
    std::size_t taken_ = 0;
};

}  // namespace fathom::watchdog
