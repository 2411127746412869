#include <array>
#include <cstdlib>
#include <new>

#include "rt/async.h"

namespace fathom::rt::detail {

#ifdef FATHOM_SANITIZED

// Every frame has its own allocation, so that a use after its end is seen.
void* allocate_frame(std::size_t bytes) {
    return ::operator new(bytes);
}
void release_frame(void* frame, std::size_t bytes) noexcept {
    ::operator delete(frame, bytes);
}

#else

namespace {

constexpr std::size_t kGrain = 64;
constexpr std::size_t kPooledMax = 2048;
constexpr unsigned kKeptMax = 512;  // frames of one size kept for reuse, per thread

struct FreeFrame {
    FreeFrame* next;
};
struct FreeList {
    FreeFrame* first = nullptr;
    unsigned count = 0;
};

struct FreeLists {
    std::array<FreeList, kPooledMax / kGrain> of_size{};
    ~FreeLists() {
        for (auto& list : of_size) {
            while (list.first != nullptr) {
                std::free(std::exchange(list.first, list.first->next));
            }
        }
    }
};

FreeLists& lists() {
    thread_local FreeLists lists;
    return lists;
}

}  // namespace

void* allocate_frame(std::size_t bytes) {
    const auto grains = (bytes + kGrain - 1) / kGrain;
    if (bytes <= kPooledMax) {
        auto& list = lists().of_size[grains - 1];
        if (list.first != nullptr) {
            --list.count;
            return std::exchange(list.first, list.first->next);
        }
    }
    void* frame = std::malloc(grains * kGrain);
    if (frame == nullptr) throw std::bad_alloc();
    return frame;
}

void release_frame(void* frame, std::size_t bytes) noexcept {
    if (bytes <= kPooledMax) {
        auto& list = lists().of_size[(bytes + kGrain - 1) / kGrain - 1];
        if (list.count < kKeptMax) {
            ++list.count;
            list.first = ::new (frame) FreeFrame{list.first};
            return;
        }
    }
    std::free(frame);
}

#endif

}  // namespace fathom::rt::detail
