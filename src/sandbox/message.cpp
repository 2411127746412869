#include "sandbox/message.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace fathom::sandbox {
namespace {

template <std::size_t N>
bool has_end(const std::array<char, N>& field) {
    return std::ranges::find(field, '\0') != field.end();
}

bool is_kind(std::uint32_t kind) {
    const auto in = [kind](PacketKind first, PacketKind last) {
        return kind >= static_cast<std::uint32_t>(first) &&
               kind <= static_cast<std::uint32_t>(last);
    };
    return in(PacketKind::hello, PacketKind::shut_down) ||
           in(PacketKind::accepted, PacketKind::ended);
}

bool needs_id(PacketKind kind) {
    switch (kind) {
        case PacketKind::launch:
        case PacketKind::terminate:
        case PacketKind::kill:
        case PacketKind::freeze:
        case PacketKind::thaw:
        case PacketKind::kept:
        case PacketKind::launched:
        case PacketKind::ended:
            return true;
        default:
            return false;
    }
}

struct ProgramHeader {
    std::uint32_t magic;
    std::uint32_t argument_count;
    std::uint32_t variable_count;
    std::uint32_t bytes;  // of the strings
};

}  // namespace

bool is_id(std::string_view id) {
    const auto is_allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    };
    return !id.empty() && id.size() <= kIdBytesMax && std::ranges::all_of(id, is_allowed);
}

Result<Packet> parse_packet(std::span<const char> bytes) {
    if (bytes.size() != sizeof(Packet)) {
        return fail(Errc::invalid, "a packet has {} bytes, not {}", bytes.size(), sizeof(Packet));
    }
    Packet packet;
    std::memcpy(&packet, bytes.data(), sizeof packet);
    if (packet.magic != kPacketMagic) return fail(Errc::invalid, "not a packet of a keeper");
    const auto kind = static_cast<PacketKind>(packet.kind);
    if (packet.version != kPacketVersion && kind != PacketKind::shut_down) {
        return fail(Errc::unsupported, "version {} of the keeper's packets; this is {}",
                    packet.version, kPacketVersion);
    }
    if (!is_kind(packet.kind)) return fail(Errc::invalid, "kind {} is unknown", packet.kind);
    if (kind == PacketKind::shut_down) return packet;
    if (!has_end(packet.id) || !has_end(packet.function) || !has_end(packet.text)) {
        return fail(Errc::invalid, "a text has no end");
    }
    if (needs_id(kind) && !is_id(text_of(packet.id))) {
        return fail(Errc::invalid, "id is not 1 to {} of [a-z0-9-]", kIdBytesMax);
    }
    if (packet.egress > static_cast<std::uint32_t>(Egress::none) ||
        packet.level > static_cast<std::uint32_t>(Level::process) ||
        packet.exit_kind > static_cast<std::uint32_t>(Exit::Kind::not_started) ||
        packet.errc > static_cast<std::uint32_t>(Errc::internal) ||
        (packet.abilities & ~kAbilityBitsAll) != 0) {
        return fail(Errc::invalid, "a number is out of its range");
    }
    return packet;
}

std::span<const char> bytes_of(const Packet& packet) {
    return {reinterpret_cast<const char*>(&packet), sizeof packet};
}

const char* parse_program(std::span<const char> bytes, Program& program) {
    ProgramHeader header;
    if (bytes.size() < sizeof header) return "the program is shorter than its header";
    std::memcpy(&header, bytes.data(), sizeof header);
    if (header.magic != kProgramMagic) return "not a program";
    if (header.argument_count == 0) return "the program has no command";
    if (header.argument_count > kArgumentsMax) return "the command has too many arguments";
    if (header.variable_count > kVariablesMax) return "the environment has too many variables";
    if (header.bytes > kProgramBytesMax) return "the program is too large";
    const auto strings = bytes.subspan(sizeof header);
    if (strings.size() != header.bytes) return "the program's size is not what its header says";

    std::size_t at = 0;
    const auto next = [&]() -> const char* {
        if (at >= strings.size()) return nullptr;
        const char* text = strings.data() + at;
        const auto* end = static_cast<const char*>(std::memchr(text, '\0', strings.size() - at));
        if (end == nullptr) return nullptr;
        at = static_cast<std::size_t>(end - strings.data()) + 1;
        return text;
    };
    program.files = next();
    program.secrets = next();
    program.argument_count = header.argument_count;
    program.variable_count = header.variable_count;
    for (std::size_t i = 0; i < header.argument_count; ++i) {
        if ((program.arguments[i] = next()) == nullptr) return "an argument has no end";
    }
    program.arguments[header.argument_count] = nullptr;
    for (std::size_t i = 0; i < header.variable_count; ++i) {
        if ((program.environment[i] = next()) == nullptr) return "a variable has no end";
    }
    program.environment[header.variable_count] = nullptr;
    if (at != strings.size()) return "the program has bytes left over";
    return nullptr;
}

Result<std::string> write_program(const LaunchSpec& spec) {
    if (spec.command.empty()) return fail(Errc::invalid, "command is empty");
    if (spec.command.size() > kArgumentsMax) {
        return fail(Errc::invalid, "command has {} arguments; at most {} are accepted",
                    spec.command.size(), kArgumentsMax);
    }
    if (spec.environment.size() > kVariablesMax) {
        return fail(Errc::invalid, "environment has {} variables; at most {} are accepted",
                    spec.environment.size(), kVariablesMax);
    }
    std::string strings;
    const auto add = [&](std::string_view text) {
        strings += text;
        strings += '\0';
        return text.find('\0') == std::string_view::npos;
    };
    if (!add(spec.files)) return fail(Errc::invalid, "files holds a NUL");
    if (!add(spec.secrets)) return fail(Errc::invalid, "secrets holds a NUL");
    for (const auto& argument : spec.command) {
        if (!add(argument)) return fail(Errc::invalid, "an argument of the command holds a NUL");
    }
    for (const auto& [name, value] : spec.environment) {
        if (!add(fmt::format("{}={}", name, value))) {
            return fail(Errc::invalid, "environment {} holds a NUL", name);
        }
    }
    if (strings.size() > kProgramBytesMax) {
        return fail(Errc::invalid, "command and environment have {} bytes; at most {} are accepted",
                    strings.size(), kProgramBytesMax);
    }
    const ProgramHeader header{kProgramMagic, static_cast<std::uint32_t>(spec.command.size()),
                               static_cast<std::uint32_t>(spec.environment.size()),
                               static_cast<std::uint32_t>(strings.size())};
    return std::string(reinterpret_cast<const char*>(&header), sizeof header) + strings;
}

std::string exit_text(Exit::Kind kind, int code, Bytes memory_bytes_max) {
    switch (kind) {
        case Exit::Kind::exited:
            return fmt::format("exited with status {}", code);
        case Exit::Kind::killed: {
            const char* name = ::sigabbrev_np(code);
            return fmt::format("killed by signal {} (SIG{})", code, name ? name : "?");
        }
        case Exit::Kind::out_of_memory:
            return memory_bytes_max == 0
                       ? std::string("killed because the machine ran out of memory")
                       : fmt::format("ran out of its memory limit of {} bytes (limits.memory)",
                                     memory_bytes_max);
        case Exit::Kind::not_started:
            return fmt::format("could not start: {}", ::strerror(code));
    }
    return "ended";
}

int send_packet(int socket, std::span<const char> bytes, std::span<const int> fds) {
    alignas(cmsghdr) char control[CMSG_SPACE(kCellFdsMax * sizeof(int))] = {};
    iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(head), fds.data(), fds.size_bytes());
    }
    return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}

Received receive_packet(int socket, std::span<char> into, int flags) {
    alignas(cmsghdr) char control[CMSG_SPACE(kCellFdsMax * sizeof(int))] = {};
    iovec piece{into.data(), into.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    Received received;
    const ssize_t got = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    if (got < 0) {
        received.error = errno;
        return received;
    }
    received.bytes = static_cast<std::size_t>(got);
    for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr;
         head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count && received.fd_count < kCellFdsMax; ++i) {
            std::memcpy(&received.fds[received.fd_count++], CMSG_DATA(head) + i * sizeof(int),
                        sizeof(int));
        }
    }
    return received;
}

}  // namespace fathom::sandbox
