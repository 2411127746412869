#include "function/json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace fathom::function {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr std::string_view kGpuKeys[] = {"nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu"};

Result<Json> parse(std::string_view text, Bytes bytes_max) {
    if (text.size() > bytes_max) {
        return fail(Errc::too_large, "the JSON has {} bytes; accepted: at most {}", text.size(),
                    bytes_max);
    }
    try {
        return Json::parse(text);
    } catch (const Json::parse_error& error) {
        const auto head = text.substr(0, std::min(error.byte, text.size()));
        const auto line = 1 + std::ranges::count(head, '\n');
        return fail(Errc::invalid, "not JSON: something is wrong at byte {} (line {})", error.byte,
                    line);
    } catch (const Json::exception&) {  // out_of_range
        return fail(Errc::invalid,
                    "not JSON we can hold: a number is out of the range of a double");
    }
}

bool is_same_folded(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

// The fields of one JSON object; the first wrong type is remembered, the rest then reads as absent.
class Fields {
public:
    // `path` is put before the names in errors: "limits.".
    Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {}

    const Json* find(std::string_view key) const {
        if (error_) return nullptr;
        auto at = object_.find(key);
        for (auto each = object_.begin(); at == object_.end() && each != object_.end(); ++each) {
            if (is_same_folded(each.key(), key)) at = each;
        }
        return at == object_.end() || at->is_null() ? nullptr : &*at;
    }

    void read(std::string_view key, std::string& into) {
        const auto* value = find(key);
        if (value == nullptr) return;
        if (!value->is_string()) return refuse(key, *value, "a string");
        into = value->get_ref<const std::string&>();
    }
    void read(std::string_view key, bool& into) {
        const auto* value = find(key);
        if (value == nullptr) return;
        if (!value->is_boolean()) return refuse(key, *value, "true or false");
        into = value->get<bool>();
    }
    void read(std::string_view key, double& into) {
        const auto* value = find(key);
        if (value == nullptr) return;
        if (!value->is_number()) return refuse(key, *value, "a number");
        into = value->get<double>();
    }
    void read(std::string_view key, unsigned& into) {
        const auto* value = find(key);
        if (value == nullptr) return;
        if (!value->is_number_unsigned() || value->get<std::uint64_t>() > 0xffff'ffffU) {
            return refuse(key, *value, "a whole number from 0");
        }
        into = value->get<unsigned>();
    }
    void read(std::string_view key, std::vector<std::string>& into) {
        const auto* value = find(key);
        if (value == nullptr) return;
        if (!value->is_array()) return refuse(key, *value, "an array of strings");
        for (const auto& each : *value) {
            if (!each.is_string()) return refuse(key, each, "an array of strings");
            into.push_back(each.get_ref<const std::string&>());
        }
    }
    void read(std::string_view key, StringMap& into) {
        const auto* value = find(key);
        if (value == nullptr) return;
        constexpr std::string_view kAccepted = "an object of strings";
        if (!value->is_object()) return refuse(key, *value, kAccepted);
        for (const auto& [name, each] : value->items()) {
            if (each.is_string()) {
                into[name] = each.get_ref<const std::string&>();
            } else if (each.is_null()) {
                into[name] = "";  // as Go decodes it
            } else {
                return refuse(fmt::format("{}.{}", key, name), each, kAccepted);
            }
        }
    }
    void read(std::string_view key, std::optional<StringMap>& into) {
        if (find(key) == nullptr) return;
        read(key, into.emplace());
    }
    void read(std::string_view key, std::optional<Resources>& into) {
        const auto* value = find(key);
        if (value == nullptr) return;
        if (!value->is_object()) return refuse(key, *value, "an object with memory and cpu");
        Fields inner(*value, fmt::format("{}{}.", path_, key));
        auto& resources = into.emplace();
        inner.read("memory", resources.memory);
        inner.read("cpu", resources.cpu);
        for (const auto gpu : kGpuKeys) {
            std::string text;
            inner.read(gpu, text);
            if (!text.empty()) resources.gpus.emplace(gpu, std::move(text));
        }
        error_ = std::move(inner.error_);
    }
    void read(std::string_view key, std::optional<Usage>& into) {
        const auto* value = find(key);
        if (value == nullptr) return;
        if (!value->is_object()) return refuse(key, *value, "an object of numbers");
        Fields inner(*value, fmt::format("{}{}.", path_, key));
        auto& usage = into.emplace();
        inner.read("cpu", usage.cpu_millicores);
        inner.read("totalMemoryBytes", usage.memory_bytes);
        error_ = std::move(inner.error_);
    }
    void read(std::string_view key, Clock::Wall& into) {
        std::string text;
        read(key, text);
        if (text.empty()) return;
        auto time = parse_rfc3339(text);
        if (time) {
            into = *time;
        } else {
            error_ = std::move(time).error().because(fmt::format("{}{}", path_, key));
        }
    }

    Result<> done() {
        if (error_) return fail(std::move(*error_));
        return {};
    }

private:
    void refuse(std::string_view key, const Json& value, std::string_view accepted) {
        // Only plain values are shown: dump() of a structure recurses as deep as the caller likes.
        std::string shown = value.type_name();
        if (value.is_primitive()) {
            shown = value.dump(-1, ' ', false, Json::error_handler_t::replace);
            if (shown.size() > 60) shown = shown.substr(0, 57) + "...";
        }
        error_.emplace(Errc::invalid,
                       fmt::format("{}{} is {}; accepted: {}", path_, key, shown, accepted));
    }

    const Json& object_;
    std::string path_;
    std::optional<Error> error_;
};

Result<> check_object(const Json& json, std::string_view what) {
    if (json.is_object()) return {};
    return fail(Errc::invalid, "{} is {}; accepted: a JSON object", what, json.type_name());
}

void read_spec(Fields& fields, std::string_view name_key, FunctionSpec& spec) {
    fields.read(name_key, spec.name.name);
    std::string space;
    fields.read("namespace", space);
    if (!space.empty()) spec.name.space = std::move(space);
    fields.read("image", spec.image);
    fields.read("envProcess", spec.env_process);
    fields.read("envVars", spec.environment);
    fields.read("constraints", spec.constraints);
    fields.read("secrets", spec.secrets);
    fields.read("labels", spec.labels);
    fields.read("annotations", spec.annotations);
    fields.read("limits", spec.limits);
    fields.read("requests", spec.requests);
    fields.read("readOnlyRootFilesystem", spec.has_readonly_root);
}

Result<Status> read_status_object(const Json& json, std::string path) {
    if (auto object = check_object(json, path.empty() ? "the status" : path); !object) {
        return fail(std::move(object).error());
    }
    if (!path.empty()) path += '.';
    Status status;
    Fields fields(json, path);
    read_spec(fields, "name", status.spec);
    fields.read("invocationCount", status.invocation_count);
    fields.read("replicas", status.replicas);
    fields.read("availableReplicas", status.available);
    fields.read("createdAt", status.created_at);
    fields.read("usage", status.usage);
    if (auto done = fields.done(); !done) return fail(std::move(done).error());
    return status;
}

// As Go writes a float64: without a fraction where there is none.
OrderedJson to_json(double number) {
    if (std::abs(number) < 1e15 && number == std::trunc(number)) {
        return static_cast<std::int64_t>(number);
    }
    return number;
}

OrderedJson to_json(const Resources& resources) {
    auto json = OrderedJson::object();
    if (!resources.memory.empty()) json["memory"] = resources.memory;
    if (!resources.cpu.empty()) json["cpu"] = resources.cpu;
    for (const auto& [key, value] : resources.gpus) {
        if (!value.empty()) json[key] = value;
    }
    return json;
}

OrderedJson to_json(const FunctionSpec& spec, std::string_view name_key) {
    auto json = OrderedJson::object();
    json[std::string(name_key)] = spec.name.name;
    json["image"] = spec.image;
    if (!spec.name.space.empty()) json["namespace"] = spec.name.space;
    if (!spec.env_process.empty()) json["envProcess"] = spec.env_process;
    if (!spec.environment.empty()) json["envVars"] = spec.environment;
    if (!spec.constraints.empty()) json["constraints"] = spec.constraints;
    if (!spec.secrets.empty()) json["secrets"] = spec.secrets;
    if (spec.labels) json["labels"] = OrderedJson(*spec.labels);
    if (spec.annotations) json["annotations"] = OrderedJson(*spec.annotations);
    if (spec.limits) json["limits"] = to_json(*spec.limits);
    if (spec.requests) json["requests"] = to_json(*spec.requests);
    if (spec.has_readonly_root) json["readOnlyRootFilesystem"] = true;
    return json;
}

OrderedJson to_json(const Status& status) {
    auto json = to_json(status.spec, "name");
    if (status.invocation_count != 0) json["invocationCount"] = to_json(status.invocation_count);
    if (status.replicas != 0) json["replicas"] = status.replicas;
    if (status.available != 0) json["availableReplicas"] = status.available;
    json["createdAt"] = to_rfc3339(status.created_at);
    if (status.usage) {
        auto& usage = json["usage"] = OrderedJson::object();
        if (status.usage->cpu_millicores != 0) usage["cpu"] = to_json(status.usage->cpu_millicores);
        if (status.usage->memory_bytes != 0) {
            usage["totalMemoryBytes"] = to_json(status.usage->memory_bytes);
        }
    }
    return json;
}

std::string dump(const OrderedJson& json) {
    return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace

Result<FunctionSpec> read_deployment(std::string_view json) {
    auto document = parse(json, kDeploymentBytesMax);
    if (!document) return fail(std::move(document).error());
    if (auto object = check_object(*document, "the deployment"); !object) {
        return fail(std::move(object).error());
    }
    FunctionSpec spec;
    Fields fields(*document, "");
    read_spec(fields, "service", spec);
    if (auto done = fields.done(); !done) return fail(std::move(done).error());
    return spec;
}

std::string write_deployment(const FunctionSpec& spec) {
    return dump(to_json(spec, "service"));
}

std::string write_status(const Status& status) {
    return dump(to_json(status));
}

std::string write_statuses(std::span<const Status> statuses) {
    std::string text = "[";
    for (const auto& status : statuses) {
        if (text.size() > 1) text += ',';
        text += write_status(status);
    }
    return text + "]";
}

Result<Status> read_status(std::string_view json) {
    auto document = parse(json, kStatusBytesMax);
    if (!document) return fail(std::move(document).error());
    return read_status_object(*document, "");
}

Result<std::vector<Status>> read_statuses(std::string_view json) {
    auto document = parse(json, kStatusBytesMax);
    if (!document) return fail(std::move(document).error());
    if (document->is_null()) return std::vector<Status>();  // how Go writes an empty slice
    if (!document->is_array()) {
        return fail(Errc::invalid, "the list is {}; accepted: a JSON array", document->type_name());
    }
    std::vector<Status> statuses;
    for (const auto& each : *document) {
        auto status = read_status_object(each, fmt::format("[{}]", statuses.size()));
        if (!status) return fail(std::move(status).error());
        statuses.push_back(std::move(*status));
    }
    return statuses;
}

}  // namespace fathom::function
