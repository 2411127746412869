// Private: moving bodies.
#pragma once

#include "http/http.h"

namespace fathom::invoke {

// All of `from` to the caller, piece by piece as it comes.
Async<> relay(http::BodyReader& from, http::BodyWriter& to, http::Exchange& exchange);

// The caller's body to the function, as long as it wants it. Ends only when the caller breaks off:
// a function may answer before it has read everything, and its answer ends the call.
Async<> feed(http::BodyReader& from, http::BodyWriter& to);

}  // namespace fathom::invoke
