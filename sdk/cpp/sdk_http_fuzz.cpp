// Feeds bytes to the SDK's reader as a caller would, whole requests one after the other.
#include <cstdlib>

#include "fathom_http.h"

using namespace fathom::detail;

namespace {

void read_requests(Connection& connection) {
    std::string block;
    Head head;
    Refusal refusal;
    while (read_head(connection, block, head, refusal)) {
        if (refusal) return;
        if (head.is_chunked && head.body_bytes != 0) std::abort();
        Body body(connection, head);
        char piece[100];
        std::uint64_t total = 0;
        while (const auto got = body.read(piece, sizeof piece)) total += got;
        if (!head.is_chunked && total != head.body_bytes) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    int ends[2] = {};
    if (size > 60000 || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) return 0;
    if (::send(ends[1], data, size, MSG_NOSIGNAL) < 0) std::abort();
    Connection connection(ends[0]);
    ::shutdown(ends[1], SHUT_WR);
    try {
        read_requests(connection);
    } catch (const Refusal&) {
    } catch (const Gone&) {
    }
    ::close(ends[1]);
    return 0;
}
