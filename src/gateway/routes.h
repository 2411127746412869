// Private: one request to /system, and how its answers are made.
#pragma once

#include <string>
#include <string_view>

#include "gateway/gateway.h"

namespace fathom::gateway {

struct Request {
    Services& services;
    http::Exchange& exchange;
    std::string_view method;
    std::string_view query;
};

// Small answers. Texts end with a newline.
http::Reply text(int status, std::string sentence);
http::Reply json(int status, std::string document);
http::Reply empty(int status);
http::Reply refused(const Error& error);
// With the Allow field that RFC 9110 section 15.5.6 asks for.
http::Reply method_not_allowed(std::string_view accepted);

// The body of a request, at most limits.api_body_bytes_max.
Async<std::string> read_body(Request& request);

// /system/functions, /system/function/NAME, /system/scale-function/NAME
Async<http::Reply> functions(Request& request);
Async<http::Reply> function_status(Request& request, std::string_view name);
Async<http::Reply> scale_function(Request& request, std::string_view name);
// /system/info, /system/namespaces, /system/bundles
http::Reply info(Request& request);
http::Reply namespaces(Request& request);
Async<http::Reply> bundles(Request& request);
// /system/logs: streams, and so answers by itself.
Async<> logs(Request& request);

}  // namespace fathom::gateway
