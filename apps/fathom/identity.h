// Whom the daemon runs as, and what belongs to it.
#pragma once

#include <sys/types.h>

#include <string>

#include "core/result.h"

namespace fathom::app {

struct Identity {
    uid_t uid = 0;
    gid_t gid = 0;
    bool is_root() const { return uid == 0; }
};

// Who the daemon is to be. Started as root: the user `name`; where the default user "fathom" does
// not exist, the number 60600, which nobody else has (systemd's "Users, Groups, UIDs and GIDs":
// 60578 to 60705 are unused). Started as anybody else: that user.
// Errors: invalid    no such user
Result<Identity> daemon_identity(const std::string& name);

// Makes `folder` (0700) where missing and, as root, gives it to `owner`, if it is empty or a data
// folder already. Any other is left as it is: state::DataFolder refuses it.
// Errors: forbidden    names the folder and the user
Result<> prepare_folder(std::string folder, Identity owner);

// While it lives, root makes, follows and opens files as `owner`: the data folder is the owner's,
// and whoever broke into the daemon could lay links there for the next start. Nothing for others.
class FilesAs {
public:
    explicit FilesAs(Identity owner);
    ~FilesAs();
    FilesAs(const FilesAs&) = delete;
    FilesAs& operator=(const FilesAs&) = delete;

private:
    const bool is_changed_;
};

// Drops to `identity` for good: no groups, no capabilities, no way back.
Result<> become(Identity identity);

}  // namespace fathom::app
