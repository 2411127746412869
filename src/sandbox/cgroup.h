// Control groups of the replicas, on v1, v2 and mixed hosts.
//
// Under each hierarchy there is one group of ours, fathom-KEY (KEY names the data folder), and in
// it one group per sandbox. The file keeper/groups holds the key and where our groups are, so that
// the next keeper of the folder removes what a killed one left, wherever it itself is started.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/ports.h"
#include "core/units.h"
#include "rt/rt.h"

namespace fathom::sandbox {

class Cgroups {
public:
    // Finds the hierarchies we may write to, makes our group in each and removes what an earlier
    // keeper left there. Having none is no error: abilities() say what there is.
    static Cgroups find(std::string_view key);
    // The same with the key and the leftovers in `file`, which is made and kept up to date.
    static Cgroups find_with(const std::string& file, Random& random);

    // AbilityBit::cgroup_... of what was found.
    std::uint32_t abilities() const { return abilities_; }

    // The groups of sandbox `number`, made now. To write "0" into each of the descriptors is to
    // join them; on v1 that may take 12 ms.
    Result<std::vector<rt::Fd>> make(unsigned number) const;
    struct Limits {
        Bytes memory_bytes_max = 0;
        Millicores cpu_max{};
        unsigned processes_max = 0;
    };
    // Errors: unavailable    the kernel refused a limit; named
    Result<> limit(unsigned number, const Limits& limits) const;
    // Whether the kernel killed something in it for want of memory.
    bool ran_out_of_memory(unsigned number) const;
    // SIGKILL to everything in it, where the kernel can (cgroup.kill, v2).
    void kill(unsigned number) const;
    // Errors: unsupported
    Result<> set_frozen(unsigned number, std::string_view zero_or_one) const;
    // True once no group of `number` is left.
    bool remove(unsigned number) const;
    // Removes our own groups; for the orderly end.
    void remove_all();

private:
    enum class Kind : std::uint8_t { v1, v2 };
    struct Hierarchy {
        Kind kind;
        std::string folder;  // of our group
        bool has_memory = false, has_cpu = false, has_pids = false;
    };
    friend class CgroupFinder;
    static std::string folder_of(const Hierarchy& hierarchy, unsigned number);
    std::vector<Hierarchy> hierarchies_;
    std::uint32_t abilities_ = 0;
};

}  // namespace fathom::sandbox
