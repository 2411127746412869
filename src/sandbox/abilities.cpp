// What a machine allows, in words.
#include <algorithm>
#include <array>

#include "sandbox/message.h"

namespace fathom::sandbox {
namespace {

struct Words {
    AbilityBit bit;
    const char* name;
    const char* with;
    const char* without;
};

constexpr std::array kWords = {
    Words{AbilityBit::root, "root", "functions run as another user than the daemon",
          "functions run as the user who started fathom; start it as root for a user of their own"},
    Words{AbilityBit::namespaces, "namespaces",
          "each replica sees only its own processes and a read-only host base",
          "replicas see the host's files and processes; allow user namespaces "
          "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone) or start as root"},
    Words{AbilityBit::user_namespace, "user namespaces", "the sandbox works without root as well",
          "without root there is no sandbox on this machine"},
    Words{AbilityBit::network_namespace, "network namespaces",
          "egress can be refused to a function (com.fathom.egress: none)",
          "a function's egress cannot be refused here"},
    Words{AbilityBit::cgroup_memory, "cgroup memory",
          "limits.memory is kept by the kernel, children included",
          "limits.memory is kept per process (RLIMIT_DATA), not per replica; start as root, or "
          "delegate the memory controller"},
    Words{AbilityBit::cgroup_cpu, "cgroup cpu", "limits.cpu is kept by the kernel",
          "limits.cpu has no effect; start as root, or delegate the cpu controller"},
    Words{AbilityBit::cgroup_pids, "cgroup pids",
          "a replica cannot fill the machine with processes",
          "a replica may start any number of processes; start as root, or delegate the pids "
          "controller"},
    Words{AbilityBit::cgroup_freeze, "cgroup v2 freeze and kill",
          "idle replicas can be frozen and woken, and are killed in one step",
          "idle replicas cannot be frozen; mount cgroup2, or delegate a group of it"},
};

}  // namespace

std::string_view text_of(Level level) {
    switch (level) {
        case Level::full:
            return "full";
        case Level::user_namespace:
            return "user-namespace";
        case Level::process:
            return "process";
    }
    return "?";
}

bool Abilities::has(std::string_view name) const {
    const auto found = std::ranges::find(list, name, &Ability::name);
    return found != list.end() && found->is_available;
}

Abilities describe(Level level, std::uint32_t bits) {
    Abilities abilities;
    abilities.level = level;
    for (const auto& words : kWords) {
        const bool is_available = has_bit(bits, words.bit);
        abilities.list.push_back(
            {words.name, is_available, is_available ? words.with : words.without});
    }
    return abilities;
}

}  // namespace fathom::sandbox
