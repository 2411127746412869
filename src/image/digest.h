// SHA-256, as references and caches use it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace fathom::image {

// Takes bytes piece by piece. libcrypto's, linked statically: 15 KiB of the binary, no start-up.
class Sha256 {
public:
    Sha256();
    void add(std::string_view bytes);
    // 64 lower-case hexadecimal digits. Once; afterwards nothing may be added.
    std::string hex();

private:
    alignas(8) std::array<unsigned char, 112> state_;  // a SHA256_CTX
};

}  // namespace fathom::image
