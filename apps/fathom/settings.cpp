#include "settings.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <exception>
#include <filesystem>

namespace fathom::app {
namespace {

Result<> read_text(std::string& into, std::string_view text) {
    into = text;
    return {};
}

Result<> read_number(int& into, std::string_view text, int least, int most) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < least ||
        number > most) {
        return fail(Errc::invalid, "\"{}\"; accepted: a whole number from {} to {}", text, least,
                    most);
    }
    into = number;
    return {};
}

Result<> read_switch(bool& into, std::string_view text) {
    if (text != "true" && text != "false" && text != "1" && text != "0") {
        return fail(Errc::invalid, "\"{}\"; accepted: true, false", text);
    }
    into = text == "true" || text == "1";
    return {};
}

Result<> read_choice(std::string& into, std::string_view text,
                     std::initializer_list<std::string_view> choices) {
    if (std::ranges::find(choices, text) == choices.end()) {
        std::string accepted;
        for (const auto choice : choices)
            accepted += (accepted.empty() ? "" : ", ") + std::string(choice);
        return fail(Errc::invalid, "\"{}\"; accepted: {}", text, accepted);
    }
    into = text;
    return {};
}

// A time that something has to happen in; `least` keeps "5" ns and 0 out.
Result<> read_time(Duration& into, std::string_view text, Duration least) {
    auto parsed = parse_duration(text);
    if (!parsed) return fail(std::move(parsed).error());
    if (*parsed < least) {
        return fail(Errc::invalid, "\"{}\"; accepted: {} or more", text, to_text(least));
    }
    into = *parsed;
    return {};
}

Result<> read_size(Bytes& into, std::string_view text, Bytes least, Bytes most) {
    auto parsed = parse_bytes(text);
    if (!parsed) return fail(std::move(parsed).error());
    if (*parsed < least || *parsed > most) {
        return fail(Errc::invalid, "\"{}\"; accepted: {} to {} bytes", text, least, most);
    }
    into = *parsed;
    return {};
}

}  // namespace

const std::vector<Setting>& all_settings() {
    using S = Settings;
    using V = std::string_view;
    static const std::vector<Setting> settings = {
        {"--listen", "FATHOM_LISTEN", "ADDRESS", "API and calls: IP:PORT, port 0 for a free one",
         [](S& s, V t) { return read_text(s.listen, t); }, [](const S& s) { return s.listen; }},
        {"--metrics-listen", "FATHOM_METRICS_LISTEN", "ADDRESS",
         "Prometheus metrics; \"off\" for none",
         [](S& s, V t) { return read_text(s.metrics_listen, t); },
         [](const S& s) { return s.metrics_listen; }},
        {"--data", "FATHOM_DATA", "DIR", "the data folder, made if missing",
         [](S& s, V t) { return read_text(s.data, t); }, [](const S& s) { return s.data; }},
        {"--ready-file", "FATHOM_READY_FILE", "FILE",
         "JSON with api, metrics, username, password_file, written when ready",
         [](S& s, V t) { return read_text(s.ready_file, t); },
         [](const S& s) { return s.ready_file; }},
        {"--user", "FATHOM_USER", "NAME",
         "as root: the user the daemon becomes; \"root\" keeps privileges",
         [](S& s, V t) { return read_text(s.user, t); }, [](const S& s) { return s.user; }},
        {"--cores", "FATHOM_CORES", "N", "threads that serve; 0: one a CPU",
         [](S& s, V t) { return read_number(s.cores, t, 0, 256); },
         [](const S& s) { return std::to_string(s.cores); }},
        {"--basic-auth", "FATHOM_BASIC_AUTH", "BOOL", "ask for user and password on /system",
         [](S& s, V t) { return read_switch(s.basic_auth, t); },
         [](const S& s) { return std::string(s.basic_auth ? "true" : "false"); }},
        {"--upstream-timeout", "FATHOM_UPSTREAM_TIMEOUT", "DURATION",
         "the whole of a call; a function's exec_timeout wins",
         [](S& s, V t) { return read_time(s.upstream_timeout, t, 1ms); },
         [](const S& s) { return to_text(s.upstream_timeout); }},
        {"--in-flight-max", "FATHOM_IN_FLIGHT_MAX", "N",
         "calls in flight over all functions; 503 beyond",
         [](S& s, V t) { return read_number(s.in_flight_max, t, 1, INT32_MAX); },
         [](const S& s) { return std::to_string(s.in_flight_max); }},
        {"--header-bytes-max", "FATHOM_HEADER_BYTES_MAX", "SIZE",
         "request line and header fields together; 431 beyond",
         [](S& s, V t) { return read_size(s.header_bytes_max, t, 1_KiB, 64_MiB); },
         [](const S& s) { return std::to_string(s.header_bytes_max); }},
        {"--body-bytes-max", "FATHOM_BODY_BYTES_MAX", "SIZE", "the body of a call; 413 beyond",
         [](S& s, V t) { return read_size(s.body_bytes_max, t, 0, INT64_MAX); },
         [](const S& s) { return std::to_string(s.body_bytes_max); }},
        {"--drain", "FATHOM_DRAIN", "DURATION", "what running calls get to finish on SIGTERM",
         [](S& s, V t) { return read_time(s.drain, t, 0s); },
         [](const S& s) { return to_text(s.drain); }},
        {"--log-format", "FATHOM_LOG_FORMAT", "FORMAT", "text or json",
         [](S& s, V t) { return read_choice(s.log_format, t, {"text", "json"}); },
         [](const S& s) { return s.log_format; }},
        {"--log-level", "FATHOM_LOG_LEVEL", "LEVEL", "error, warn, info or debug",
         [](S& s, V t) { return read_choice(s.log_level, t, {"error", "warn", "info", "debug"}); },
         [](const S& s) { return s.log_level; }},
    };
    return settings;
}

namespace {

// "--ready-file" is "ready_file" in fathom.yaml.
std::string key_of(const Setting& setting) {
    std::string key(setting.flag.substr(2));
    std::ranges::replace(key, '-', '_');
    return key;
}

const Setting* find_flag(std::string_view flag) {
    const auto& all = all_settings();
    const auto found = std::ranges::find(all, flag, &Setting::flag);
    return found == all.end() ? nullptr : &*found;
}

class Loader {
public:
    Loader() {
        for (const auto& setting : all_settings()) {
            loaded.explained.push_back({key_of(setting), "", "default"});
        }
    }

    Result<> set(const Setting& setting, std::string_view text, std::string source) {
        if (auto read = setting.read(loaded.settings, text); !read) {
            return fail(std::move(read).error().because(source));
        }
        const auto index = static_cast<std::size_t>(&setting - all_settings().data());
        loaded.explained[index].source = std::move(source);
        return {};
    }

    Result<> read_file(const std::string& path) {
        std::error_code error;
        if (std::filesystem::is_directory(path, error)) {  // on which yaml-cpp throws, and leaks
            return fail(Errc::invalid, "{}: cannot be read: it is a folder", path);
        }
        YAML::Node document;
        try {
            document = YAML::LoadFile(path);
        } catch (const YAML::BadFile&) {
            return fail(Errc::invalid, "{}: cannot be read", path);
        } catch (const YAML::Exception& wrong) {
            return fail(Errc::invalid, "{}:{}: {}", path, wrong.mark.line + 1, wrong.msg);
        } catch (const std::exception& wrong) {  // the disk
            return fail(Errc::invalid, "{}: cannot be read: {}", path, wrong.what());
        }
        if (document.IsNull()) return {};
        if (!document.IsMap()) return fail(Errc::invalid, "{}: accepted: a map of settings", path);
        for (const auto& entry : document) {
            const auto where = fmt::format("{}:{}", path, entry.first.Mark().line + 1);
            const auto key = entry.first.IsScalar() ? entry.first.Scalar() : std::string();
            const auto& all = all_settings();
            const auto found = std::ranges::find(all, key, key_of);
            if (found == all.end()) {
                return fail(Errc::invalid, "{}: \"{}\" is no setting; see: fathom serve --help",
                            where, key);
            }
            if (!entry.second.IsScalar()) {
                return fail(Errc::invalid, "{}: {}: accepted: a single value", where, key);
            }
            if (auto done = set(*found, entry.second.Scalar(), where + ": " + key); !done) {
                return done;
            }
        }
        return {};
    }

    LoadedSettings loaded;
};

struct Given {
    const Setting* setting;
    std::string text;
};

}  // namespace

Result<LoadedSettings> load_settings(const std::vector<std::string>& arguments,
                                     const Environment& environment) {
    Loader loader;
    auto config = environment("FATHOM_CONFIG");
    std::vector<Given> given;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        std::string_view word = arguments[i];
        if (word == "-h" || word == "--help") {
            loader.loaded.wants_help = true;
            return std::move(loader.loaded);
        }
        const auto equals = word.find('=');
        const auto flag = word.substr(0, equals);
        const auto* setting = find_flag(flag);
        if (setting == nullptr && flag != "--config") {
            return fail(Errc::invalid,
                        "\"{}\" is no flag of fathom serve; see: fathom serve --help", word);
        }
        std::string value;
        if (equals != std::string_view::npos) {
            value = word.substr(equals + 1);
        } else if (i + 1 < arguments.size()) {
            value = arguments[++i];
        } else {
            return fail(Errc::invalid, "{}: a value is missing", flag);
        }
        if (setting == nullptr) {
            config = value;
        } else {
            given.push_back({setting, value});
        }
    }

    if (config) {
        if (auto read = loader.read_file(*config); !read) return fail(std::move(read).error());
    }
    for (const auto& setting : all_settings()) {
        if (const auto value = environment(setting.environment)) {
            auto done = loader.set(setting, *value, std::string(setting.environment));
            if (!done) return fail(std::move(done).error());
        }
    }
    for (const auto& [setting, value] : given) {
        auto done = loader.set(*setting, value, std::string(setting->flag));
        if (!done) return fail(std::move(done).error());
    }
    for (std::size_t i = 0; i < all_settings().size(); ++i) {
        loader.loaded.explained[i].value = all_settings()[i].text(loader.loaded.settings);
    }
    return std::move(loader.loaded);
}

std::string serve_help() {
    std::string text =
        "Runs Fathom: API, calls, replicas, in the foreground. SIGTERM or Ctrl-C drains, a second "
        "one ends at once.\n\nUsage: fathom serve [FLAGS]\n\n";
    text += fmt::format("  {:<30} {}\n", "--config FILE", "settings as YAML [FATHOM_CONFIG]");
    const Settings defaults;
    for (const auto& setting : all_settings()) {
        const auto standard = setting.text(defaults);
        text += fmt::format("  {:<30} {}{} [{}]\n",
                            fmt::format("{} {}", setting.flag, setting.value), setting.help,
                            standard.empty() ? "" : " (" + standard + ")", setting.environment);
    }
    return text + "\nFlags win over the environment, the environment over the file.\n";
}

}  // namespace fathom::app
