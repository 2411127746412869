// Everything the keeper reads from the daemon: packets and programs.
#include <cstddef>
#include <cstdint>

#include "sandbox/message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace fathom::sandbox;
    const std::span<const char> bytes(reinterpret_cast<const char*>(data), size);
    if (auto packet = parse_packet(bytes)) {
        (void)text_of(packet->id).size();
        (void)text_of(packet->text).size();
    }
    Program program;
    if (parse_program(bytes, program) != nullptr) return 0;
    std::size_t length = 0;
    for (std::size_t i = 0; i < program.argument_count; ++i) {
        length += std::string_view(program.arguments[i]).size();
    }
    for (std::size_t i = 0; i < program.variable_count; ++i) {
        length += std::string_view(program.environment[i]).size();
    }
    return length > size ? __builtin_trap(), 0 : 0;
}
