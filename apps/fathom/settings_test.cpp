#include "settings.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <map>

namespace fathom::app {
namespace {

using Variables = std::map<std::string, std::string, std::less<>>;

Result<LoadedSettings> load(const std::vector<std::string>& arguments,
                            const Variables& variables = {}) {
    return load_settings(arguments, [&](std::string_view name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        if (found == variables.end()) return {};
        return found->second;
    });
}

std::string file_with(std::string_view text) {
    auto path = testing::TempDir() + "fathom-settings-test.yaml";
    std::ofstream(path) << text;
    return path;
}

TEST(Settings, FlagsWinOverTheEnvironmentAndTheEnvironmentOverTheFile) {
    const auto file = file_with("cores: 1\ndrain: 1s\nlog_level: warn\n");
    const auto loaded =
        load({"--config", file, "--cores=3"}, {{"FATHOM_CORES", "2"}, {"FATHOM_DRAIN", "2s"}});
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_EQ(loaded->settings.cores, 3);
    EXPECT_EQ(loaded->settings.drain, 2s);
    EXPECT_EQ(loaded->settings.log_level, "warn");
    for (const auto& [name, value, source] : loaded->explained) {
        if (name == "cores") EXPECT_EQ(source, "--cores");
        if (name == "drain") EXPECT_EQ(source, "FATHOM_DRAIN");
        if (name == "log_level") EXPECT_EQ(source, file + ":3: log_level");
        if (name == "listen") EXPECT_EQ(source, "default");
    }
}

TEST(Settings, RefusesWhatNothingCouldWorkWithAndSaysWhatIsAccepted) {
    for (const auto& [flag, value, says] : std::initializer_list<std::array<const char*, 3>>{
             {"--upstream-timeout", "0", "1ms or more"},
             {"--upstream-timeout", "-5s", "duration"},
             {"--drain", "soon", "duration"},
             {"--header-bytes-max", "0", "1024 to"},
             {"--header-bytes-max", "1Ti", "1024 to"},
             {"--body-bytes-max", "-1", "size"},
             {"--in-flight-max", "0", "1 to"},
             {"--cores", "257", "0 to 256"},
             {"--cores", "2x", "0 to 256"},
             {"--basic-auth", "yes", "true, false"},
             {"--log-level", "loud", "error, warn"}}) {
        const auto loaded = load({flag, value});
        ASSERT_FALSE(loaded) << flag << " " << value;
        EXPECT_NE(loaded.error().message().find(flag), std::string::npos);
        EXPECT_NE(loaded.error().message().find(says), std::string::npos)
            << loaded.error().message();
    }
}

TEST(Settings, RefusesFlagsThatDoNotExistOrHaveNoValue) {
    for (const auto& arguments : std::initializer_list<std::vector<std::string>>{
             {"--nothing", "1"}, {"word"}, {"--cores"}, {"--config"}}) {
        EXPECT_FALSE(load(arguments)) << arguments[0];
    }
}

TEST(Settings, RefusesFilesThatAreNotAMapOfSettings) {
    for (const auto* text : {"[1, 2]", "cores: [1]", "cores:", "core: 1", "cores: x", "a: b: c",
                             "cores: 1\n  drain: 2s", "? [a]\n: 1"}) {
        const auto file = file_with(text);
        const auto loaded = load({"--config", file});
        ASSERT_FALSE(loaded) << text;
        EXPECT_TRUE(loaded.error().message().starts_with(file)) << loaded.error().message();
    }
    EXPECT_FALSE(load({"--config", "/nowhere/at/all.yaml"}));
    EXPECT_FALSE(load({"--config", testing::TempDir()}));
    EXPECT_TRUE(load({"--config", file_with("")}));
}

TEST(Settings, HelpNamesEveryFlagAndVariable) {
    const auto help = serve_help();
    for (const auto& setting : all_settings()) {
        EXPECT_NE(help.find(setting.flag), std::string::npos);
        EXPECT_NE(help.find(setting.environment), std::string::npos);
    }
    EXPECT_TRUE(load({"--cores", "1", "--help"})->wants_help);
}

}  // namespace
}  // namespace fathom::app
