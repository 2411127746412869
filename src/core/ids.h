// Identifiers and their text.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "core/ports.h"

namespace fathom {

// A random UUID, version 4 (RFC 9562 section 5.4): 36 characters, lower case, kept inline.
class Uuid {
public:
    static Uuid random(Random& random);
    std::string_view text() const { return {text_.data(), text_.size()}; }

private:
    std::array<char, 36> text_{};
};

// Two lower-case hexadecimal digits a byte.
std::string to_hex(std::string_view bytes);

}  // namespace fathom
