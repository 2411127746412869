#include "function/envsubst.h"

#include <gtest/gtest.h>

namespace fathom::function {
namespace {

std::optional<std::string> lookup(std::string_view name) {
    if (name == "S") return "hello";
    if (name == "PATH_") return "/usr/local/lib.tar.gz";
    if (name == "EMPTY") return "";
    if (name == "UTF") return "\xc3\xa4\xc3\xb6\xc3\xbc";
    if (name == "LONG") return std::string(1_MiB, 'x');
    return {};
}

struct Case {
    const char *text, *expected;
};

TEST(Substitute, ReplacesEveryForm) {
    const Case cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"a ${S} b", "a hello b"},
        {"${S}${S}", "hellohello"},
        {"${UNSET}", ""},
        {"$S stays", "$S stays"},
        {"cost: 5$", "cost: 5$"},
        {"$$", "$"},
        {"$${S}", "${S}"},
        {"$$$$", "$$"},
        {"{S}", "{S}"},
        {"}", "}"},
        // defaults: unset or empty, all five spellings
        {"${S:-d}", "hello"},
        {"${UNSET:-d}", "d"},
        {"${EMPTY:-d}", "d"},
        {"${UNSET:=d}", "d"},
        {"${UNSET=d}", "d"},
        {"${EMPTY=d}", "d"},
        {"${UNSET:+d}", "d"},
        {"${S:+d}", "hello"},
        {"${UNSET:?d}", "d"},
        {"${UNSET:-}", ""},
        {"${UNSET:-a b: c/d}", "a b: c/d"},
        {"${UNSET:-${S}}", "hello"},
        {"${UNSET:-${ALSO:-x${S}y}}", "xhelloy"},
        {"${UNSET:-$$1}", "$1"},
        {"${UNSET:-a\\}b}", "a}b"},
        {"${UNSET:-a\\b}", "a\\b"},
        {"${UNSET:-http://gw:8080}", "http://gw:8080"},
        // length and part
        {"${#S}", "5"},
        {"${#UNSET}", "0"},
        {"${#UTF}", "3"},
        {"${S:1}", "ello"},
        {"${S:1:3}", "ell"},
        {"${S:0:99}", "hello"},
        {"${S:9}", ""},
        {"${S: -2}", "lo"},
        {"${S:1:-1}", "ell"},
        {"${S: -9}", ""},
        {"${S:3:-3}", ""},
        {"${UTF:1:1}", "\xc3\xb6"},
        // case
        {"${S^}", "Hello"},
        {"${S^^}", "HELLO"},
        {"${S^^}${S,,}", "HELLOhello"},
        {"${S,}", "hello"},
        {"${UNSET^}", ""},
        // ends
        {"${PATH_#/*/}", "local/lib.tar.gz"},
        {"${PATH_##*/}", "lib.tar.gz"},
        {"${PATH_%.*}", "/usr/local/lib.tar"},
        {"${PATH_%%.*}", "/usr/local/lib"},
        {"${S#x}", "hello"},
        {"${S%l?}", "hel"},
        {"${S#[a-i]e}", "llo"},
        {"${S#[!x]}", "ello"},
        {"${S#\\*}", "hello"},
        {"${S%%*}", ""},
        {"${S#}", "hello"},
        {"${S%${UNSET:-lo}}", "hel"},
        // replacements
        {"${S/l/L}", "heLlo"},
        {"${S//l/L}", "heLLo"},
        {"${S/#h/J}", "Jello"},
        {"${S/#e/J}", "hello"},
        {"${S/%o/y}", "helly"},
        {"${S/l}", "helo"},
        {"${S//l}", "heo"},
        {"${S//l/}", "heo"},
        {"${PATH_//\\//-}", "-usr-local-lib.tar.gz"},
        {"${S/l/a/b}", "hea/blo"},
        {"${S//x/y}", "hello"},
        {"${S///y}", "hello"},
        {"${S/hello/${UNSET:-bye}}", "bye"},
    };
    for (const auto& each : cases) {
        const auto result = substitute(each.text, lookup);
        ASSERT_TRUE(result.has_value()) << each.text << ": " << result.error().message();
        EXPECT_EQ(*result, each.expected) << each.text;
    }
}

TEST(Substitute, RefusesWhatFaasCliRefuses) {
    for (const auto* text :
         {"${}",     "${V-d}",   "${V+d}",    "${V?d}", "${",         "${V",    "${V:-d",
          "${1}",    "${V x}",   "${ V}",     "${#}",   "${#V",       "${V:x}", "${V:}",
          "${V:1:}", "${V:1:x}", "${V:-${}}", "${V!}",  "${V:1:2:3}", "${V/a"}) {
        const auto result = substitute(text, lookup);
        ASSERT_FALSE(result.has_value()) << text;
        EXPECT_EQ(result.error().code(), Errc::invalid) << text;
    }
}

TEST(Substitute, NamesTheLineAndTheExpression) {
    const auto result = substitute("a: 1\nb: ${S}\nc: x${V-d}\n", lookup);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().message(),
              "line 3: \"${V-\": accepted behind the name: :- := = :+ :? :offset ^ ^^ , ,, # ## % "
              "%% / // /# /% or }");
    EXPECT_EQ(substitute("\n${}", lookup).error().message().substr(0, 12), "line 2: \"${}");
}

TEST(Substitute, BoundsDepthAndSize) {
    std::string deep;
    for (int level = 0; level < 1000; ++level) deep += "${V:-";
    EXPECT_FALSE(substitute(deep, lookup).has_value());
    const auto large = substitute("${LONG}${LONG}${LONG}${LONG}${LONG}", lookup);
    ASSERT_FALSE(large.has_value());
    EXPECT_EQ(large.error().code(), Errc::too_large);
    EXPECT_FALSE(substitute("${LONG//x/${LONG}}", lookup).has_value());
}

}  // namespace
}  // namespace fathom::function
