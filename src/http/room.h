// Work buffers, recycled per core: a connection holds one only while something is going on. Private
// to http.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace fathom::http {

// Bytes of some capacity. Those of the two usual sizes go back to the core's stock.
class Room {
public:
    static constexpr std::size_t kSmall = 8192;
    static constexpr std::size_t kLarge = 65536 + 8192;  // 64 KiB are a usual body; and its head

    Room() = default;
    static Room of(std::size_t capacity);
    Room(Room&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          capacity_(std::exchange(other.capacity_, 0)) {}
    Room& operator=(Room&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(capacity_, other.capacity_);
        other.give_back();
        return *this;
    }
    ~Room() { give_back(); }

    explicit operator bool() const noexcept { return data_ != nullptr; }
    char* data() const noexcept { return data_; }
    std::size_t capacity() const noexcept { return capacity_; }

private:
    void give_back() noexcept;

    char* data_ = nullptr;
    std::size_t capacity_ = 0;
};

// The same for text that is put together: empty, with some capacity.
std::string take_text();
void give_back_text(std::string text);

}  // namespace fathom::http
