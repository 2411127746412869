#include "identity.h"

#include <grp.h>
#include <pwd.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace fathom::app {
namespace {

constexpr uid_t kUnnamedId = 60600;
constexpr std::string_view kDefaultUser = "fathom";

// Whether nothing would be taken from anybody.
bool is_ours_or_empty(const std::string& folder) {
    std::error_code error;
    return std::filesystem::exists(folder + "/FORMAT", error) ||
           std::filesystem::is_empty(folder, error);
}

// The keeper works there as root, in a folder whose owner is not: nobody else may have made it.
Result<> check_keeper_folder(const std::string& data_folder) {
    const auto folder = data_folder + "/keeper";
    struct stat about{};
    if (::lstat(folder.c_str(), &about) != 0) return {};
    if (S_ISDIR(about.st_mode) && about.st_uid == 0) return {};
    return fail(Errc::forbidden, "{} is not a folder of root's; remove it, it is made anew",
                folder);
}

}  // namespace

Result<Identity> daemon_identity(const std::string& name) {
    if (::geteuid() != 0) return Identity{::geteuid(), ::getegid()};
    if (const auto* user = ::getpwnam(name.c_str())) return Identity{user->pw_uid, user->pw_gid};
    if (name == kDefaultUser) return Identity{kUnnamedId, kUnnamedId};
    return fail(Errc::invalid, "--user: there is no user \"{}\"; accepted: a user of this machine",
                name);
}

Result<> prepare_folder(std::string folder, Identity owner) {
    while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
    std::error_code error;
    const auto parent = std::filesystem::path(folder).parent_path();
    if (!parent.empty()) std::filesystem::create_directories(parent, error);
    // Its mode at once: what it will hold is nobody else's business.
    if (!error && ::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
        error.assign(errno, std::generic_category());
    }
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
    // Nor is one of the machine's (--data /srv).
    if (about.st_uid != owner.uid && !is_ours_or_empty(folder)) {
        return fail(Errc::forbidden,
                    "{} is not empty and has no FORMAT file, so it is not a data folder of "
                    "fathom's; accepted: an empty or new folder",
                    folder);
    }
    if (about.st_uid == owner.uid) return check_keeper_folder(folder);
    if (::chown(folder.c_str(), owner.uid, owner.gid) != 0 || ::chmod(folder.c_str(), 0700) != 0) {
        return fail_errno(Errc::forbidden, errno, "the data folder " + folder);
    }
    return {};
}

FilesAs::FilesAs(Identity owner) : is_changed_(::geteuid() == 0 && !owner.is_root()) {
    if (!is_changed_) return;
    ::setfsgid(owner.gid);
    ::setfsuid(owner.uid);
}

FilesAs::~FilesAs() {
    if (!is_changed_) return;
    ::setfsuid(0);
    ::setfsgid(0);
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
