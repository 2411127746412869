// A deployment that reads must survive being written and read again, and being checked.

#include <cstddef>
#include <cstdint>

#include "core/check.h"
#include "function/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fathom;
    using namespace fathom::function;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto spec = read_deployment(text)) {
        const auto again = read_deployment(write_deployment(*spec));
        FATHOM_CHECK(again.has_value() && *again == *spec, "a deployment reads back the same");
        (void)check(*spec).has_value();
        (void)scaling_of(*spec);
        (void)exec_timeout_of(*spec, 1s);
    }
    if (const auto statuses = read_statuses(text)) {
        const auto again = read_statuses(write_statuses(*statuses));
        FATHOM_CHECK(again.has_value() && again->size() == statuses->size(),
                     "a list of statuses reads back");
    }
    return 0;
}
