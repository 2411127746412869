// What `fathom` shows first.
#pragma once

#include <string_view>

namespace fathom::cli {

inline constexpr std::string_view kLogo = R"(   __      _   _
  / _|__ _| |_| |_  ___ _ __
 |  _/ _` |  _| ' \/ _ \ '  \
 |_| \__,_|\__|_||_\___/_|_|_|
)";

}  // namespace fathom::cli
