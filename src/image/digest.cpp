#include "image/digest.h"

// The plain functions of libcrypto: the EVP ones that replace them load providers and
// configuration files first.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <new>

#include "core/ids.h"

namespace fathom::image {

static_assert(sizeof(SHA256_CTX) == 112 && alignof(SHA256_CTX) <= 8);

Sha256::Sha256() : state_{} {
    SHA256_Init(new (state_.data()) SHA256_CTX);
}

void Sha256::add(std::string_view bytes) {
    SHA256_Update(reinterpret_cast<SHA256_CTX*>(state_.data()), bytes.data(), bytes.size());
}

std::string Sha256::hex() {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256_Final(digest.data(), reinterpret_cast<SHA256_CTX*>(state_.data()));
    return to_hex({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace fathom::image
