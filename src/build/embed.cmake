# Writes OUT/embedded.cpp, which #embeds the files of RUNTIME, SDK and WATCHDOG, and OUT/stamp.h.
set(digests "")

function(write_list function_name root)
  set(arrays "")
  set(entries "")
  set(index 0)
  foreach(file IN LISTS ARGN)
    cmake_path(GET file FILENAME path)
    set(mode false)
    if(path STREQUAL "fathom-watchdog")
      set(mode true)
    elseif(path MATCHES "\\.pyc$")
      set(path "python3/__pycache__/${path}")
    else()
      cmake_path(RELATIVE_PATH file BASE_DIRECTORY ${root} OUTPUT_VARIABLE path)
    endif()
    file(SHA256 ${file} digest)
    string(APPEND digests "${path} ${digest}\n")
    # char: Clang 19 takes a first byte over 127 for negative, which unsigned char refuses.
    string(APPEND arrays "constexpr char k_${function_name}_${index}[] = {\n#embed \"${file}\"\n};\n")
    string(APPEND entries "        {\"${path}\", text(k_${function_name}_${index}), ${mode}},\n")
    math(EXPR index "${index} + 1")
  endforeach()
  set(digests "${digests}" PARENT_SCOPE)
  set(code "${code}${arrays}
std::span<const RuntimeFile> ${function_name}() {
    static const std::array<RuntimeFile, ${index}> files = {{
${entries}    }};
    return files;
}
" PARENT_SCOPE)
endfunction()

set(code "")
write_list(runtime_files ${ROOT}/runtime ${RUNTIME} ${WATCHDOG})
write_list(sdk_files ${ROOT}/sdk/cpp ${SDK})
string(SHA256 stamp "${digests}")

file(WRITE ${OUT}/embedded.cpp "// Written by src/build/embed.cmake.
#include <array>

#include \"build/runtime_files.h\"
#include \"stamp.h\"

namespace fathom::build {
namespace {
template <std::size_t bytes>
[[maybe_unused]] std::string_view text(const char (&array)[bytes]) {
    return {array, bytes};
}
}  // namespace
${code}
std::string_view runtime_stamp() {
    return kStamp;
}
}  // namespace fathom::build
")
file(WRITE ${OUT}/stamp.h "#pragma once
inline constexpr char kStamp[] = \"${stamp}\";
")
