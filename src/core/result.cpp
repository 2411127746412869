#include "core/result.h"

#include <array>
#include <system_error>

#include "core/check.h"

namespace fathom {
namespace {

constexpr std::array<ErrcFacts, 14> kFacts = {{
    {"invalid", 400, 1, false},
    {"unauthorized", 401, 1, false},
    {"forbidden", 403, 1, false},
    {"not_found", 404, 1, false},
    {"method_not_allowed", 405, 1, false},
    {"conflict", 409, 1, false},
    {"too_large", 413, 1, false},
    {"rate_limited", 429, 1, true},
    {"overloaded", 503, 1, true},
    {"unavailable", 503, 1, true},
    {"timed_out", 504, 1, true},
    {"bad_upstream", 502, 1, true},
    {"unsupported", 501, 1, false},
    {"internal", 500, 1, false},
}};
static_assert(kFacts.size() == static_cast<std::size_t>(Errc::internal) + 1);

}  // namespace

const ErrcFacts& facts(Errc code) {
    const auto index = static_cast<std::size_t>(code);
    FATHOM_CHECK(index < kFacts.size(), "every Errc has its facts");
    return kFacts[index];
}

std::unexpected<Error> fail_errno(Errc code, int error_number, std::string_view what) {
    return fail(code, "{}: {}", what, std::generic_category().message(error_number));
}

}  // namespace fathom
