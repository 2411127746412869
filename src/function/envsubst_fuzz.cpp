// Any text either substitutes, within the limit, or is refused.

#include <cstddef>
#include <cstdint>

#include "core/check.h"
#include "function/envsubst.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fathom;
    using namespace fathom::function;
    const auto lookup = [](std::string_view name) -> std::optional<std::string> {
        if (name.size() % 3 == 0) return {};
        return std::string(name) + "/a.b.\xc3\xa4 c";
    };
    const auto result = substitute({reinterpret_cast<const char*>(data), size}, lookup);
    FATHOM_CHECK(!result || result->size() <= 2 * kSubstitutedBytesMax, "the result is bounded");
    return 0;
}
