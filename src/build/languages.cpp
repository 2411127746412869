#include "build/languages.h"

namespace fathom::build {
namespace {

const std::vector<Language>& languages() {
    static const std::vector<Language> table = {
        {.name = "python3",
         .is_family = true,
         .needs = {"handler.py"},
         .command = {"/usr/bin/python3", "-I", "-S", "-X", "utf8",
                     "/opt/fathom/python3/runner.py"}},
        {.name = "node",
         .is_family = true,
         .needs = {"handler.js", "handler.cjs", "handler.mjs", "package.json"},
         .command = {"node", "/opt/fathom/node/runner.cjs"}},
        {.name = "cpp", .is_compiled = true, .command = {"/home/app/function/handler"}},
        {.name = "bash",
         .is_family = true,
         .needs = {"handler.sh"},
         .command = {"/opt/fathom/fathom-watchdog"},
         .process = "bash ./handler.sh"},
    };
    return table;
}

bool names(std::string_view text, const Language& language) {
    return language.is_family ? text.starts_with(language.name) : text == language.name;
}

}  // namespace

std::string known_languages() {
    std::string list;
    for (const auto& language : languages())
        list += fmt::format("{}{}{}", list.empty() ? "" : ", ", language.name,
                            language.is_family ? "*" : "");
    return list;
}

Result<const Language*> find_language(std::string_view text) {
    const auto name = text.substr(0, text.find('@'));  // "node20@1.2" names a template's version
    for (const auto& language : languages())
        if (names(name, language)) return &language;
    if (name == "dockerfile" || name == "Dockerfile")
        return fail(Errc::invalid,
                    "lang: \"{}\" needs a container build, which this version does not do; known "
                    "are {}, or no lang and a command in fprocess",
                    text, known_languages());
    return fail(Errc::invalid,
                "lang: \"{}\" is not known; known are {}, or no lang and a command in fprocess",
                text, known_languages());
}

Result<image::Manifest> manifest_of(const Source& source, const Language* language) {
    image::Manifest manifest{.name = source.name, .language = source.language};
    std::string process = source.process;
    if (language != nullptr) {
        manifest.command.assign(language->command.begin(), language->command.end());
        if (process.empty()) process = language->process;
        if (language->process.empty()) process.clear();  // a runner serves, fprocess says nothing
    } else {
        if (process.empty())
            return fail(Errc::invalid,
                        "there is neither lang nor fprocess: say what runs (lang: {}, or fprocess: "
                        "a command)",
                        known_languages());
        manifest.command = {"/opt/fathom/fathom-watchdog"};
    }
    if (!process.empty()) manifest.environment.emplace("fprocess", std::move(process));
    return manifest;
}

}  // namespace fathom::build
