// A request as the function's process sees it: as environment variables, or as a JSON document.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "http/head.h"
#include "watchdog/config.h"

namespace fathom::watchdog {

// The environment of the function's processes: the watchdog's own, and per request its Http_ ones.
class ChildEnvironment {
public:
    // What is meant for the watchdog alone (LISTEN_FDS, FATHOM_LISTEN_FD and the like) stays out.
    explicit ChildEnvironment(const Environment& own);

    // As it is, null-terminated.
    char* const* plain();
    // With the request: Http_Method, Http_Query, Http_Path and every field by its canonical name;
    // in classic mode also Http_Host and the length. Valid until the next call.
    // Errors: invalid    the path has a broken escape or a NUL
    Result<char* const*> with_request(const http::RequestHead& head, Mode mode);

private:
    void add(std::string_view name, std::string_view value);
    void add_fields(const http::RequestHead& head, Mode mode);

    std::vector<char*> plain_;
    std::vector<char*> variables_;     // of the last request
    std::vector<std::size_t> starts_;  // of its texts in text_
    std::string text_;                 // null-terminated one after the other
};

// {"header":{"Accept":["*/*"]},"body":{"raw":"aGVsbG8="}}
std::string marshal_request(const http::RequestHead& head, std::string_view body);

}  // namespace fathom::watchdog
