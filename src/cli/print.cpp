#include "cli/print.h"

namespace fathom::cli {

void put(std::FILE* file, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), file);
}

std::string coloured(const Ports& ports, Stream stream, Colour colour, std::string_view text) {
    const bool is_terminal =
        stream == Stream::out ? ports.has_terminal_output : ports.has_terminal_errors;
    if (!is_terminal || ports.environment("NO_COLOR")) return std::string(text);
    static constexpr std::string_view kCodes[] = {"31", "32", "33", "1"};
    return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<int>(colour)], text);
}

std::string capitalised(std::string_view text) {
    std::string copy(text);
    const auto word = text.substr(0, text.find(' '));
    if (word.find_first_of("./=") != std::string_view::npos) return copy;
    if (!copy.empty() && copy[0] >= 'a' && copy[0] <= 'z')
        copy[0] = static_cast<char>(copy[0] - 'a' + 'A');
    return copy;
}

}  // namespace fathom::cli
