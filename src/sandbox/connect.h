// The way to a keeper that is there already.
#pragma once

#include <string>

#include "rt/rt.h"

namespace fathom::sandbox {

// Errors: unavailable    no keeper listens in that data folder
Result<rt::Fd> connect_to_keeper(const std::string& data_folder);

}  // namespace fathom::sandbox
