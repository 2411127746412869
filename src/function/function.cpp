#include "function/function.h"

#include <algorithm>
#include <charconv>

namespace fathom::function {
namespace {

constexpr std::size_t kLabelMax = 63;       // RFC 1123 section 2.1, and Kubernetes label values
constexpr std::size_t kSubdomainMax = 253;  // RFC 1035 section 2.3.4
constexpr std::size_t kImageMax = 1024;

bool is_lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_alphanumeric(char c) {
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}
bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool is_dns_label(std::string_view text) {
    return !text.empty() && text.size() <= kLabelMax && is_lower_or_digit(text.front()) &&
           is_lower_or_digit(text.back()) &&
           std::ranges::all_of(text, [](char c) { return c == '-' || is_lower_or_digit(c); });
}

bool is_dns_subdomain(std::string_view text) {
    if (text.size() > kSubdomainMax) return false;
    for (;;) {
        const auto dot = text.find('.');
        if (!is_dns_label(text.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        text.remove_prefix(dot + 1);
    }
}

// The value of a label, and the name part of its key.
bool is_label_text(std::string_view text) {
    return !text.empty() && text.size() <= kLabelMax && is_alphanumeric(text.front()) &&
           is_alphanumeric(text.back()) && std::ranges::all_of(text, [](char c) {
               return is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
           });
}

bool is_label_key(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return is_label_text(text);
    return is_dns_subdomain(text.substr(0, slash)) && is_label_text(text.substr(slash + 1));
}

// As Kubernetes: letters, digits, '-', '_', '.', and no digit in front.
bool is_environment_name(std::string_view text) {
    return !text.empty() && !(text[0] >= '0' && text[0] <= '9') &&
           std::ranges::all_of(
               text, [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

Result<> check_size(std::string_view field, const StringMap& map) {
    std::size_t bytes = 0;
    for (const auto& [key, value] : map) bytes += key.size() + value.size();
    if (bytes <= kMapBytesMax) return {};
    return fail(Errc::invalid, "{} holds {} bytes; accepted: at most {}", field, bytes,
                kMapBytesMax);
}

Result<> check_environment(const StringMap& environment) {
    for (const auto& [key, value] : environment) {
        if (!is_environment_name(key)) {
            return fail(Errc::invalid,
                        "environment name \"{}\": accepted: letters, digits, '_', '-' and '.', not "
                        "beginning with a digit",
                        key);
        }
        if (value.find('\0') != std::string::npos) {
            return fail(Errc::invalid, "environment {} holds a zero byte; no process can get one",
                        key);
        }
    }
    return check_size("environment", environment);
}

Result<> check_keys(std::string_view field, const StringMap& map) {
    for (const auto& [key, value] : map) {
        if (!is_label_key(key)) {
            return fail(Errc::invalid,
                        "{} key \"{}\": accepted: [PREFIX/]NAME, a name of at most 63 letters, "
                        "digits, '-', '_' and '.', with a letter or digit at both ends",
                        field, key);
        }
    }
    return check_size(field, map);
}

Result<> check_labels(const StringMap& labels) {
    if (auto keys = check_keys("labels", labels); !keys) return keys;
    for (const auto& [key, value] : labels) {
        if (!value.empty() && !is_label_text(value)) {
            return fail(Errc::invalid,
                        "label {}=\"{}\": accepted: at most 63 letters, digits, '-', '_' and '.', "
                        "with a letter or digit at both ends; annotations take any text",
                        key, value);
        }
    }
    return {};
}

Result<> check_resources(std::string_view field, const std::optional<Resources>& resources) {
    if (!resources) return {};
    if (!resources->memory.empty()) {
        if (auto memory = parse_bytes(resources->memory); !memory) {
            return fail(std::move(memory).error().because(fmt::format("{}.memory", field)));
        }
    }
    if (!resources->cpu.empty()) {
        if (auto cpu = parse_cpu(resources->cpu); !cpu) {
            return fail(std::move(cpu).error().because(fmt::format("{}.cpu", field)));
        }
    }
    return {};
}

Result<> check_secrets(const std::vector<std::string>& secrets) {
    for (const auto& name : secrets) {
        if (!is_dns_subdomain(name)) {
            return fail(Errc::invalid,
                        "secret name \"{}\": accepted: lower-case letters, digits and '-', in "
                        "parts joined by '.', at most 253 characters",
                        name);
        }
    }
    return {};
}

Result<> check_image(std::string_view image) {
    if (image.empty()) {
        return fail(Errc::invalid, "image is missing; accepted: an image or bundle reference");
    }
    if (image.size() > kImageMax) {
        return fail(Errc::invalid, "image has {} characters; accepted: at most {}", image.size(),
                    kImageMax);
    }
    if (std::ranges::any_of(image, [](char c) { return c == ' ' || is_control(c); })) {
        return fail(Errc::invalid, "image \"{}\": accepted: no spaces and no control characters",
                    image);
    }
    return {};
}

// A whole non-negative decimal number; nothing for anything else.
std::optional<unsigned> parse_count(std::string_view text) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return {};
    return number;
}

std::string_view find(const StringMap& map, std::string_view key) {
    const auto at = map.find(key);
    return at == map.end() ? std::string_view() : std::string_view(at->second);
}

}  // namespace

FunctionName FunctionName::split(std::string_view text) {
    const auto dot = text.rfind('.');
    if (dot == std::string_view::npos) return {.name = std::string(text)};
    return {.name = std::string(text.substr(0, dot)), .space = std::string(text.substr(dot + 1))};
}

Result<> check_name(std::string_view field, std::string_view name) {
    if (is_dns_label(name)) return {};
    return fail(Errc::invalid,
                "{} \"{}\": accepted: 1 to 63 lower-case letters, digits and '-', with a letter or "
                "digit at both ends",
                field, name);
}

std::string_view FunctionSpec::label(std::string_view key) const {
    return labels ? find(*labels, key) : std::string_view();
}
std::string_view FunctionSpec::annotation(std::string_view key) const {
    return annotations ? find(*annotations, key) : std::string_view();
}

Result<> check(const FunctionSpec& spec) {
    if (auto name = check_name("function name", spec.name.name); !name) return name;
    if (auto space = check_name("namespace", spec.name.space); !space) return space;
    if (spec.name.space == "kube-system") {
        return fail(Errc::invalid,
                    "namespace \"kube-system\" is not for functions; accepted: any "
                    "other");
    }
    if (auto image = check_image(spec.image); !image) return image;
    if (spec.env_process.find('\0') != std::string::npos) {
        return fail(Errc::invalid, "fprocess holds a zero byte; no process can get one");
    }
    if (auto environment = check_environment(spec.environment); !environment) return environment;
    if (spec.secrets.size() > kListEntriesMax || spec.constraints.size() > kListEntriesMax) {
        return fail(Errc::invalid, "secrets and constraints: accepted: at most {} each",
                    kListEntriesMax);
    }
    if (auto secrets = check_secrets(spec.secrets); !secrets) return secrets;
    if (spec.labels) {
        if (auto labels = check_labels(*spec.labels); !labels) return labels;
    }
    if (spec.annotations) {
        if (auto keys = check_keys("annotations", *spec.annotations); !keys) return keys;
    }
    if (auto limits = check_resources("limits", spec.limits); !limits) return limits;
    return check_resources("requests", spec.requests);
}

Scaling scaling_of(const FunctionSpec& spec) {
    Scaling scaling;
    scaling.min = parse_count(spec.label("com.openfaas.scale.min")).value_or(scaling.min);
    scaling.max = parse_count(spec.label("com.openfaas.scale.max")).value_or(scaling.max);
    scaling.max = std::max({scaling.max, scaling.min, 1U});
    return scaling;
}

Duration exec_timeout_of(const FunctionSpec& spec, Duration fallback) {
    const auto text = find(spec.environment, "exec_timeout");
    return text.empty() ? fallback : parse_duration(text).value_or(fallback);
}

unsigned inflight_max_of(const FunctionSpec& spec) {
    return parse_count(find(spec.environment, "max_inflight")).value_or(0);
}

unsigned concurrency_of(const FunctionSpec& spec) {
    return parse_count(find(spec.environment, "FATHOM_CONCURRENCY")).value_or(0);
}

}  // namespace fathom::function
