// Private: numbered migrations of the database.
#pragma once

#include <span>
#include <string>

#include "state/sqlite.h"

namespace fathom::state {

struct Migration {
    int number;  // from 1, without gaps; never changed once it was released
    const char* name;
    const char* sql;
};

// All there are, in order.
std::span<const Migration> migrations();

// Brings the database at `path` to the last of `all`, each step in a transaction of its own. A
// database that has something to lose is first copied to PATH.before-<last number>.
// Errors: unsupported    it is newer than `all`; says how to go back
//         unavailable    the disk
Result<> migrate(Connection& connection, const std::string& path, std::span<const Migration> all);

}  // namespace fathom::state
