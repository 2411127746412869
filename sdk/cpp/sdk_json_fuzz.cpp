// What parses prints, and parses again to the same value.
#include <cstdlib>

#include "fathom_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        const auto json = fathom::Json::parse({reinterpret_cast<const char*>(data), size});
        const auto text = json.print();
        if (fathom::Json::parse(text).print() != text) std::abort();
    } catch (const fathom::JsonError&) {
    }
    return 0;
}
