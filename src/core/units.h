// Quantities and durations as users write them, as types that carry their unit.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace fathom {

using Bytes = std::uint64_t;  // plain bytes; always named ..._bytes or of this type
using Duration = std::chrono::nanoseconds;

using namespace std::chrono_literals;

constexpr Bytes operator""_KiB(unsigned long long n) {
    return n << 10;
}
constexpr Bytes operator""_MiB(unsigned long long n) {
    return n << 20;
}
constexpr Bytes operator""_GiB(unsigned long long n) {
    return n << 30;
}

// Thousandths of one CPU core.
struct Millicores {
    std::int64_t count = 0;
    friend bool operator==(Millicores, Millicores) = default;
};

// A Kubernetes quantity of memory: a decimal number with one of Ki Mi Gi Ti Pi Ei, k M G T P E, m
// or nothing ("128Mi", "1.5G", "134217728", "1e3"). Rounded up to whole bytes.
// Errors: invalid    not a quantity, negative, or over 2^63-1 bytes
Result<Bytes> parse_bytes(std::string_view text);

// A Kubernetes quantity of CPU: "100m", "0.5", "2". Rounded up to whole millicores.
// Errors: invalid    not a quantity, negative, or over 1,000,000 cores
Result<Millicores> parse_cpu(std::string_view text);

// A Go duration ("1h2m3.5s", "100ms", "-" refused), or, where OpenFaaS takes them, a bare
// non-negative integer of seconds. At most 100 years.
// Errors: invalid    neither
enum class BareSeconds { accepted, refused };
Result<Duration> parse_duration(std::string_view text, BareSeconds bare = BareSeconds::accepted);

// The shortest exact text of a duration, as Go prints it: "1m30s", "100ms", "1.5s", "0s".
std::string to_text(Duration duration);

// Fractional seconds, for metrics and headers.
constexpr double seconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
}

}  // namespace fathom
