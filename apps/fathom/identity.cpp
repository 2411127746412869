#include "identity.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace fathom::app {
namespace {

constexpr uid_t kUnnamedId = 60600;
constexpr std::string_view kDefaultUser = "fathom";
// These stay root's: the keeper serves whoever owns them.
constexpr std::string_view kKeeperFolder = "keeper";

}  // namespace

Result<Identity> daemon_identity(const std::string& name) {
    if (::geteuid() != 0) return Identity{::geteuid(), ::getegid()};
    if (const auto* user = ::getpwnam(name.c_str())) return Identity{user->pw_uid, user->pw_gid};
    if (name == kDefaultUser) return Identity{kUnnamedId, kUnnamedId};
    return fail(Errc::invalid, "--user: there is no user \"{}\"; accepted: a user of this machine",
                name);
}

Result<> prepare_folder(const std::string& folder, Identity owner) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) {
        return fail(Errc::forbidden, "the data folder {} cannot be made by user {}: {}", folder,
                    ::geteuid(), error.message());
    }
    struct stat about{};
    if (::stat(folder.c_str(), &about) != 0) {
        return fail_errno(Errc::forbidden, errno, "the data folder " + folder);
    }
    if (::geteuid() != 0) return {};
    // A folder of somebody else's with things in it is not ours to take.
    const bool is_taken = about.st_uid != 0 && about.st_uid != owner.uid;
    if (is_taken && !std::filesystem::is_empty(folder, error)) {
        return fail(Errc::forbidden,
                    "the data folder {} belongs to user {}; choose another with --data, or run as "
                    "that user with --user",
                    folder, about.st_uid);
    }
    if (::chown(folder.c_str(), owner.uid, owner.gid) != 0 || ::chmod(folder.c_str(), 0700) != 0) {
        return fail_errno(Errc::forbidden, errno, "the data folder " + folder);
    }
    return {};
}

Result<> give_contents(const std::string& folder, Identity owner) {
    if (::geteuid() != 0) return {};
    std::error_code error;
    namespace fs = std::filesystem;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
        if (entry.path().filename() == kKeeperFolder) continue;
        struct stat about{};
        if (::lstat(entry.path().c_str(), &about) != 0 || about.st_uid == owner.uid) continue;
        if (::lchown(entry.path().c_str(), owner.uid, owner.gid) != 0) {
            return fail_errno(Errc::forbidden, errno, "give away " + entry.path().string());
        }
    }
    return {};
}

Result<> become(Identity identity) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (identity.is_root() || ::geteuid() == identity.uid) return {};
    if (::setgroups(0, nullptr) != 0 ||
        ::setresgid(identity.gid, identity.gid, identity.gid) != 0 ||
        ::setresuid(identity.uid, identity.uid, identity.uid) != 0) {
        return fail_errno(Errc::forbidden, errno, "drop privileges");
    }
    return {};
}

}  // namespace fathom::app
