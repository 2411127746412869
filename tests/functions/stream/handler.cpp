// Bodies of any size. POST counts what it gets; GET /N answers with N bytes; POST /back sends every
// piece back as it comes.
#include <fathom.h>

namespace {

constexpr std::size_t kPieceBytes = 256 << 10;

fathom::Response count(fathom::Request request) {
    std::string piece(kPieceBytes, '\0');
    std::uint64_t bytes = 0;
    while (const std::size_t got = request.read(piece.data(), piece.size())) bytes += got;
    return std::to_string(bytes);
}

fathom::Response produce(std::uint64_t bytes) {
    return fathom::Response::stream([bytes](fathom::Writer& out) {
        const std::string piece(kPieceBytes, 'x');
        for (std::uint64_t left = bytes; left > 0;) {
            const auto now = std::min<std::uint64_t>(left, piece.size());
            out.write({piece.data(), now});
            left -= now;
        }
    });
}

fathom::Response send_back(fathom::Request request) {
    auto shared = std::make_shared<fathom::Request>(std::move(request));
    return fathom::Response::stream([shared](fathom::Writer& out) {
        std::string piece(kPieceBytes, '\0');
        while (const std::size_t got = shared->read(piece.data(), piece.size())) {
            out.write({piece.data(), got});
        }
    });
}

fathom::Response handle(fathom::Request request) {
    if (request.path() == "/back") return send_back(std::move(request));
    if (const auto bytes = fathom::whole_number(request.path().substr(1))) return produce(*bytes);
    return count(std::move(request));
}

}  // namespace

int main() {
    return fathom::serve(handle);
}
