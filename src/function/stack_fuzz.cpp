// Any text either reads as a stack or is refused with a sentence.

#include <cstddef>
#include <cstdint>

#include "core/check.h"
#include "function/stack.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fathom;
    using namespace fathom::function;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    StackOptions options;
    options.substitution = size % 2 == 0 ? Substitution::on : Substitution::off;
    options.lookup = [](std::string_view name) { return std::string(name); };
    const auto stack = read_stack(text, options);
    if (stack) {
        for (const auto& function : stack->functions) (void)check(to_spec(function)).has_value();
    } else {
        FATHOM_CHECK(!stack.error().message().empty(), "a refusal says why");
    }
    (void)read_environment_file(text, options).has_value();
    return 0;
}
