// What the watchdog makes of bytes from outside beyond the heads, which parse_fuzz covers: the
// request as environment and as JSON, a guess at a body's type, the texts of its variables.
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/check.h"
#include "http/parse.h"
#include "watchdog/config.h"
#include "watchdog/request_text.h"
#include "watchdog/sniff.h"

using namespace fathom;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    FATHOM_CHECK(!watchdog::sniff_content_type(bytes).empty(), "there is always a type");
    (void)watchdog::parse_upstream(bytes);
    FATHOM_CHECK(!watchdog::split_command(bytes).empty(), "there is always a word");

    http::HeadScan scan;
    http::RequestHead head;
    const auto parsed = http::parse_request_head(bytes, scan, {}, head);
    if (parsed.state != http::Parsed::State::complete) return 0;
    const char* own[] = {"PATH=/bin", "Http_Path=stale", "LISTEN_FDS=1"};
    watchdog::ChildEnvironment environment{watchdog::Environment(own)};
    for (const auto mode : {watchdog::Mode::classic, watchdog::Mode::streaming}) {
        const auto entries = environment.with_request(head, mode);
        if (!entries) continue;
        for (auto* const* entry = *entries; *entry != nullptr; ++entry) {
            FATHOM_CHECK(std::string_view(*entry).find('=') != std::string_view::npos,
                         "every variable has a name");
        }
    }
    const auto document =
        watchdog::marshal_request(head, std::string_view(bytes).substr(parsed.used));
    FATHOM_CHECK(document.ends_with("\"}}"), "the document is whole");
    for (const char c : document) {
        FATHOM_CHECK(static_cast<unsigned char>(c) >= 0x20, "JSON text has no control bytes");
    }
    return 0;
}
