#include "core/check.h"

#include <cstdio>
#include <cstdlib>

namespace fathom {

void check_failed(const char* expression, const char* file, int line,
                  const char* sentence) noexcept {
    std::fprintf(stderr, "fathom: BUG: %s (%s) at %s:%d\n", sentence, expression, file, line);
    std::fflush(stderr);
    std::abort();
}

}  // namespace fathom
