// Text for people and scripts.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

#include "cli/cli.h"

namespace fathom::cli {

void put(std::FILE* file, std::string_view text);

template <class... Args>
void print(Ports& ports, fmt::format_string<Args...> format, Args&&... args) {
    put(ports.out, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void note(Ports& ports, fmt::format_string<Args...> format, Args&&... args) {
    put(ports.err, fmt::format(format, std::forward<Args>(args)...));
}

enum class Colour { red, green, yellow, bold };
enum class Stream { out, err };
// `text` in a colour where the stream is a terminal (and NO_COLOR is unset), plain elsewhere.
std::string coloured(const Ports& ports, Stream stream, Colour colour, std::string_view text);

// "Gateway": the first letter in upper case, as faas-cli prints its errors. A file name or
// URL in front stays as it is.
std::string capitalised(std::string_view text);

}  // namespace fathom::cli
