// The SHA-256 of the request body, whatever its size: it is read in pieces and never held.
//   curl --data-binary @file .../function/hash              -> 64 hex digits and a line end
//   curl --data-binary @file .../function/hash?format=json  -> {"sha256":"...","bytes":123}
#include <fathom.h>

#include "sha256.h"

namespace {

fathom::Response hash(fathom::Request request) {
    Sha256 digest;
    std::uint64_t bytes = 0;
    std::string piece(64 << 10, '\0');
    while (const std::size_t got = request.read(piece.data(), piece.size())) {
        digest.add({piece.data(), got});
        bytes += got;
    }
    const auto format = request.query("format").value_or("text");
    if (format == "json") return fathom::Json{{"sha256", digest.hex()}, {"bytes", bytes}};
    if (format == "text") return digest.hex() + "\n";
    return {"format=" + format + " is unknown; text and json are\n", 400};
}

}  // namespace

int main() {
    return fathom::serve(hash);
}
