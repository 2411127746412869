// FATHOM_CHECK: what must be true or the program is wrong.
//
// Stays on in release. Prints the expression, the place and the sentence to standard error, then
// aborts; the supervisor restarts us. For bugs only: anything from outside (wire, disk, config, a
// function's output) is input, and is answered with an Error (core/result.h).
#pragma once

namespace fathom {
[[noreturn]] void check_failed(const char* expression, const char* file, int line,
                               const char* sentence) noexcept;
}  // namespace fathom

#define FATHOM_CHECK(condition, sentence)                                     \
    do {                                                                      \
        if (!(condition)) [[unlikely]]                                        \
            ::fathom::check_failed(#condition, __FILE__, __LINE__, sentence); \
    } while (false)
