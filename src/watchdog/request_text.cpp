#include "watchdog/request_text.h"

#include <algorithm>
#include <map>
#include <utility>

#include "watchdog/text.h"

namespace fathom::watchdog {
namespace {

constexpr std::string_view kPrefix = "Http_";

bool is_for_watchdog(std::string_view entry) {
    for (const std::string_view key :
         {"LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES=", "FATHOM_LISTEN_FD=", "FATHOM_LISTEN="}) {
        if (entry.starts_with(key)) return true;
    }
    return false;
}

// Whether the variable of a field would stand in for one that the watchdog sets itself: Go removes
// Host and Transfer-Encoding from the fields, and the later of two equal names wins there.
bool is_set_by_us(std::string_view variable, Mode mode) {
    for (const std::string_view name : {"Method", "Query", "Path", "Host", "Transfer_Encoding"}) {
        if (variable == name) return true;
    }
    return mode == Mode::classic && (variable == "Content_Length" || variable == "ContentLength");
}

std::string length_text(const http::BodyLength& body) {
    if (body.kind == http::BodyLength::Kind::chunked) return "-1";
    return std::to_string(body.kind == http::BodyLength::Kind::fixed ? body.bytes : 0);
}

}  // namespace

ChildEnvironment::ChildEnvironment(const Environment& own) {
    for (const char* entry : own.entries()) {
        // execve() takes char*, and changes nothing.
        if (!is_for_watchdog(entry)) plain_.push_back(const_cast<char*>(entry));
    }
    plain_.push_back(nullptr);
}

char* const* ChildEnvironment::plain() {
    return plain_.data();
}

void ChildEnvironment::add(std::string_view name, std::string_view value) {
    starts_.push_back(text_.size());
    text_ += kPrefix;
    text_ += name;
    text_ += '=';
    text_ += value;
    text_ += '\0';
}

void ChildEnvironment::add_fields(const http::RequestHead& head, Mode mode) {
    std::vector<std::string> names;
    names.reserve(head.headers.size());
    for (const auto& field : head.headers) {
        std::string name;
        append_variable_name(name, field.name);
        // The first of several wins. Sorted, so that a thousand fields stay cheap.
        const auto place = std::lower_bound(names.begin(), names.end(), name);
        if (place != names.end() && *place == name) continue;
        if (!is_set_by_us(name, mode)) add(name, field.value);
        names.insert(place, std::move(name));
    }
}

Result<char* const*> ChildEnvironment::with_request(const http::RequestHead& head, Mode mode) {
    auto path = http::percent_decode(head.path);
    if (!path) return fail(std::move(path).error());

    text_.clear();
    starts_.clear();
    add_fields(head, mode);
    add("Method", head.method);
    if (!head.query.empty()) add("Query", head.query);
    add("Path", path->empty() ? "/" : *path);
    if (head.body.kind == http::BodyLength::Kind::chunked) add("Transfer_Encoding", "chunked");
    if (mode == Mode::classic) {
        const auto length = length_text(head.body);
        add("ContentLength", length);
        add("Content_Length", length);
        add("Host", head.authority);
    }

    variables_.clear();
    for (const auto start : starts_) variables_.push_back(text_.data() + start);
    for (char* entry : plain_) {
        // One of our own with such a name would hide that of the request, or stand in for one that
        // the request does not have.
        if (entry == nullptr || !std::string_view(entry).starts_with(kPrefix)) {
            variables_.push_back(entry);
        }
    }
    return variables_.data();
}

std::string marshal_request(const http::RequestHead& head, std::string_view body) {
    // Go sorts the keys, and has taken Host and Transfer-Encoding out.
    std::map<std::string, std::vector<std::string_view>> fields;
    for (const auto& field : head.headers)
        fields[canonical_name(field.name)].push_back(field.value);
    fields.erase("Host");
    fields.erase("Transfer-Encoding");
    std::string text = R"({"header":)";
    char opening = '{';
    for (const auto& [name, values] : fields) {
        text += std::exchange(opening, ',');
        append_json(text, name);
        char bracket = '[';
        text += ':';
        for (const auto value : values) {
            text += std::exchange(bracket, ',');
            append_json(text, value);
        }
        text += ']';
    }
    text += fields.empty() ? "{}" : "}";
    text += R"(,"body":{"raw":")";
    append_base64(text, body);
    return text + R"("}})";
}

}  // namespace fathom::watchdog
