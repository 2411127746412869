// The admin password: made at the first start, kept in the data folder.
#pragma once

#include <string>

#include "core/ports.h"
#include "core/result.h"

namespace fathom::app {

struct AdminPassword {
    std::string user;
    std::string password;
    std::string file;  // relative to the data folder
    bool is_new = false;
};

// Reads DATA/secrets/basic-auth-user and -password (white space around them is nothing), or makes
// them: "admin" and 32 random letters and digits, mode 0600. The working folder is DATA.
// Errors: unavailable    cannot be read or written; names the file
Result<AdminPassword> load_password(Random& random);

}  // namespace fathom::app
