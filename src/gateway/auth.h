// Private: HTTP basic authentication.
#pragma once

#include <string>
#include <string_view>

#include "gateway/gateway.h"

namespace fathom::gateway {

// Whether an Authorization field ("Basic dXNlcjpwYXNz") names the credentials. Takes the same time
// for every wrong password of one length.
bool is_authorized(std::string_view authorization, const Credentials& credentials);

// RFC 4648 section 4; nothing when it is not base64.
std::string decode_base64(std::string_view text);

}  // namespace fathom::gateway
