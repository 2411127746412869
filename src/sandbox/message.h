// What goes over the keeper's two kinds of lines: fixed-size packets, every field checked by the
// side that reads. Larger things travel as a sealed memory file next to the packet.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"
#include "sandbox/sandbox.h"

namespace fathom::sandbox {

inline constexpr std::uint32_t kPacketMagic = 0x4b4d5446;  // "FTMK"
inline constexpr std::uint32_t kPacketVersion = 1;

enum class PacketKind : std::uint32_t {
    // daemon to keeper
    hello = 1,  // answered by kept..., then welcome
    launch,     // with a program (below); answered by launched or refused
    terminate,  // no answer
    kill,       // no answer
    freeze,     // answered by done or refused
    thaw,
    shut_down,  // the line closes when all is gone
    // keeper to daemon
    accepted = 64,  // first of all on a line
    welcome,        // level and abilities; text: absolute path of the runtime folder
    kept,           // one replica; with its log's descriptor when it runs
    launched,       // with the log's descriptor
    done,
    refused,  // errc and text
    ended,    // a replica ended: exit_kind, code, text
};

// One packet in either direction. Its size and the place of the first four fields never change, so
// that any version can be told to shut down.
struct Packet {
    std::uint32_t magic = kPacketMagic;
    std::uint32_t version = kPacketVersion;
    std::uint32_t kind = 0;
    std::uint32_t grace_ms = 0;  // shut_down
    std::uint64_t sequence = 0;  // of the question; its answer carries the same
    std::uint64_t revision = 0;  // launch, kept
    std::uint64_t memory_bytes = 0;
    std::uint64_t cpu_millicores = 0;
    std::uint64_t launched_ns = 0;
    std::uint32_t processes = 0;
    std::uint32_t egress = 0;
    std::uint32_t level = 0;      // welcome
    std::uint32_t abilities = 0;  // welcome: bits of AbilityBit
    std::uint32_t pid = 0;
    std::uint32_t is_frozen = 0;
    std::uint32_t has_exit = 0;
    std::uint32_t exit_kind = 0;
    std::int32_t code = 0;
    std::uint32_t errc = 0;
    std::array<char, kIdBytesMax + 8> id{};
    std::array<char, kFunctionBytesMax + 8> function{};
    std::array<char, 656> text{};
};
static_assert(sizeof(Packet) == 1024);

// Reads a packet: the size is right, the numbers are in range, the texts end, the id is one.
// Errors: invalid      the field
//         unsupported  another version (shut_down is read from any)
Result<Packet> parse_packet(std::span<const char> bytes);
std::span<const char> bytes_of(const Packet& packet);

template <std::size_t N>
void put_text(std::array<char, N>& field, std::string_view text) {
    field.fill('\0');
    text.copy(field.data(), N - 1);
}
template <std::size_t N>
std::string_view text_of(const std::array<char, N>& field) {
    return std::string_view(field.data());
}

// Lower-case letters, digits and '-', 1 to kIdBytesMax: it becomes part of a path.
bool is_id(std::string_view id);

// What a replica runs, as a block of bytes: a header and strings that each end in NUL.
//     files, secrets, argv..., environment ("NAME=value")...
inline constexpr std::uint32_t kProgramMagic = 0x504d5446;  // "FTMP"
struct Program {
    const char* files = nullptr;
    const char* secrets = nullptr;
    // Each list ends in a null pointer; environment has room for LISTEN_PID, which only the new
    // process knows.
    std::array<const char*, kArgumentsMax + 1> arguments{};
    std::array<const char*, kVariablesMax + 2> environment{};
    std::size_t argument_count = 0;
    std::size_t variable_count = 0;
};
// Points `program` into `bytes`. Allocates nothing: it also runs between fork and exec.
// Returns what is wrong, or null.
const char* parse_program(std::span<const char> bytes, Program& program);
// Errors: invalid    too many or too large, or a NUL inside; names it
Result<std::string> write_program(const LaunchSpec& spec);

enum class AbilityBit : std::uint32_t {
    root = 1 << 0,
    user_namespace = 1 << 1,
    namespaces = 1 << 2,
    network_namespace = 1 << 3,
    cgroup_memory = 1 << 4,
    cgroup_cpu = 1 << 5,
    cgroup_pids = 1 << 6,
    cgroup_freeze = 1 << 7,
};
inline constexpr std::uint32_t kAbilityBitsAll = (1u << 8) - 1;
constexpr bool has_bit(std::uint32_t bits, AbilityBit bit) {
    return (bits & static_cast<std::uint32_t>(bit)) != 0;
}
constexpr std::uint32_t bit(AbilityBit bit) {
    return static_cast<std::uint32_t>(bit);
}
// The bits in sentences.
Abilities describe(Level level, std::uint32_t bits);

// "killed by signal 11 (SIGSEGV)" and the like.
std::string exit_text(Exit::Kind kind, int code, Bytes memory_bytes_max);

// Between the keeper and PID 1 of a sandbox.
struct CellOrder {
    enum Kind : std::uint32_t { run = 1, signal = 2 };
    std::uint32_t kind = 0;
    std::uint32_t has_secrets = 0;
    std::uint32_t egress = 0;
    std::int32_t signal_number = 0;
    std::array<char, 64> hostname{};
    std::uint64_t data_bytes_max = 0;  // RLIMIT_DATA where there is no memory cgroup; 0: none
};
// Descriptors that come with CellOrder::run, in this order; secrets only with has_secrets.
enum CellFd : std::uint8_t { listener, log, program, files, secrets };
inline constexpr std::size_t kCellFdsMax = 5;

struct CellReport {
    enum Kind : std::uint32_t {
        prepared = 1,  // ready to run something
        not_prepared,  // value: errno; text: the step
        not_started,   // value: errno; text: the step
        ended,         // value: the wait status
    };
    std::uint32_t kind = 0;
    std::int32_t value = 0;
    std::array<char, 56> step{};
};

// Sends one packet with descriptors; never blocks, never raises SIGPIPE. Answers errno, or 0.
int send_packet(int socket, std::span<const char> bytes, std::span<const int> fds);
// What came in: bytes (0: the other side is gone), or errno.
struct Received {
    std::size_t bytes = 0;
    int error = 0;
    std::array<int, kCellFdsMax> fds{};
    std::size_t fd_count = 0;
};
Received receive_packet(int socket, std::span<char> into, int flags);

}  // namespace fathom::sandbox
