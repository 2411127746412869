// What an event of the keeper's epoll is about: a kind, and the number of a cell.
#pragma once

#include <cstdint>

namespace fathom::sandbox {

enum class Tag : std::uint32_t { signals, listener, daemon, cell_line, cell_end };

constexpr std::uint64_t tag_of(Tag tag, unsigned number = 0) {
    return (static_cast<std::uint64_t>(tag) << 32) | number;
}

}  // namespace fathom::sandbox
