// What each command was told: plain values, filled by parse.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace fathom::cli {

// On every command.
struct Common {
    std::string yaml;  // -f; empty: stack.yaml or stack.yml of this folder, when it is there
    std::string regex;
    std::string filter;
    std::string gateway;  // empty: not given
    std::string space;    // -n
    std::string token;
    bool substitute = true;  // --envsubst
    bool is_strict = false;
};

struct DeployOptions {
    Common common;
    std::string image, name, process, handler, language;
    std::vector<std::string> environment, labels, annotations, constraints, secrets;
    std::string memory_limit, memory_request, cpu_limit, cpu_request;
    std::optional<bool> replace, update;
    bool is_readonly = false;
    bool waits = true;
    std::string wait_max = "30s";
};

struct RemoveOptions {
    Common common;
    std::string name;
};

enum class ListOrder { name, invocations, creation };
struct ListOptions {
    Common common;
    bool is_quiet = false, is_verbose = false, is_json = false;
    std::string order = "name";
};

struct DescribeOptions {
    Common common;
    std::string name;
    bool is_verbose = false, is_json = false;
};

struct InvokeOptions {
    Common common;
    std::string name;
    std::string content_type = "text/plain";
    std::string method = "POST";
    std::vector<std::string> queries, headers;
    bool is_async = false;
    bool sends_credentials = false;  // --auth
};

struct LogsOptions {
    Common common;
    std::string name;
    std::string since, since_time, output = "plain";
    std::string time_format = "2006-01-02T15:04:05Z07:00";
    int lines = -1;
    bool follows = true, shows_name = false, shows_instance = false, is_json = false;
};

struct LoginOptions {
    Common common;
    std::string user = "admin", password, wait_max = "5s";
    bool reads_password = false;  // --password-stdin
};

struct LogoutOptions {
    Common common;
};

struct VersionOptions {
    Common common;
    bool is_short = false, is_json = false;
};

struct DoctorOptions {
    Common common;
    bool is_json = false;
};

}  // namespace fathom::cli
