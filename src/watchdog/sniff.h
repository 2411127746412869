// Guesses a media type from the first bytes of a body.
#pragma once

#include <string_view>

namespace fathom::watchdog {

// As the WHATWG MIME sniffing standard and Go's http.DetectContentType: looks at no more than 512
// bytes, and says "text/plain; charset=utf-8" or "application/octet-stream" where nothing fits.
std::string_view sniff_content_type(std::string_view body);

}  // namespace fathom::watchdog
