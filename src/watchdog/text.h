// The few texts the watchdog makes itself. Plain functions that append: the binary stays small
// without printf's and iostream's machinery.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/ports.h"
#include "core/units.h"

namespace fathom::watchdog {

void append_number(std::string& out, std::int64_t number);

// Seconds with `decimals` (1 to 9) digits, rounded as %f does: "0.001823".
void append_seconds(std::string& out, Duration duration, int decimals);
std::string seconds_text(Duration duration, int decimals = 6);

// "39B", "1.234kB", "12.5MB": four significant digits over powers of 1000, as %.4g.
void append_size(std::string& out, std::int64_t bytes);

// "2026/11/21 13:05:59", in UTC.
void append_log_time(std::string& out, Clock::Wall time);

// The canonical form of a field name with '-' as '_': "x-call-ID" -> "X_Call_Id".
void append_variable_name(std::string& out, std::string_view field_name);
// "X-Call-Id".
std::string canonical_name(std::string_view field_name);

void append_base64(std::string& out, std::string_view bytes);
// A JSON string with its quotes, escaped as Go's encoding/json does (<, > and & too).
void append_json(std::string& out, std::string_view text);

// Writes everything to `fd`, waiting where it must. Errors are nobody's business here.
void write_all(int fd, std::string_view bytes);

}  // namespace fathom::watchdog
