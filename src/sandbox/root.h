// The root folder every sandbox sees: the host's /usr and little else, read-only.
//
// Made once per keeper, in memory, inside the keeper's own mount namespace, so that nothing of it
// can outlive the keeper. A sandbox gets a copy of the mounts and adds its own /proc, /tmp,
// /dev/shm, files and secrets (cell.cpp).
#pragma once

#include <string>

#include "core/result.h"

namespace fathom::sandbox {

class HostRoot {
public:
    // Mounts it at `folder` (made if missing); `runtime_folder` appears at /opt/fathom.
    // The caller is in a mount namespace of its own already.
    // Errors: unavailable    the kernel refused a step; named
    static Result<HostRoot> make(std::string folder, const std::string& runtime_folder);
    const std::string& folder() const { return folder_; }
    // Copies the files of /etc that change while a machine runs (resolv.conf, hosts), if they did.
    void refresh();

private:
    explicit HostRoot(std::string folder) : folder_(std::move(folder)) {}
    Result<> fill(const std::string& runtime_folder);
    Result<> fill_devices();
    void fill_etc();
    void copy_file(const std::string& path);
    std::string folder_;
    std::int64_t resolver_changed_ = -1;
};

// Moves this process into mount (and, without root, user) namespaces of its own, in which it may
// mount. Answers errno, or 0.
enum class Privilege : std::uint8_t { root, user };
int enter_own_mounts(Privilege privilege, unsigned inside_uid, unsigned inside_gid);

}  // namespace fathom::sandbox
