#include <gtest/gtest.h>

#include <limits>

#include "fathom_json.h"

namespace fathom {
namespace {

TEST(Json, PrintsWhatItParsed) {
    for (const auto* text :
         {"null", "true", "false", "0", "-0", "-1", "9223372036854775807", "-9223372036854775808",
          "1.5", "\"\"", "\"\xC3\xA9\"", "[]", "{}", "[1,[2,[3]],{}]",
          R"({"a":1,"b":[true,null],"c":"x"})", R"("a\"b\\c\nd\u0001")"})
        EXPECT_EQ(Json::parse(text).print(), text);
}

TEST(Json, SkipsSpaceBetweenValues) {
    EXPECT_EQ(Json::parse(" { \"a\" :\t[ 1 ,\r\n2 ] } ").print(), R"({"a":[1,2]})");
}

TEST(Json, DecodesEscapes) {
    EXPECT_EQ(Json::parse(R"("\"\\\/\b\f\n\r\tA\u00e9\u20ac\ud83d\ude00")").string(),
              "\"\\/\b\f\n\r\tA\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
}

TEST(Json, KeepsWholeNumbersExactAndMakesOthersDouble) {
    EXPECT_EQ(Json::parse("9007199254740993").integer(), 9007199254740993);
    EXPECT_FALSE(Json::parse("9223372036854775808").is_integer());
    EXPECT_DOUBLE_EQ(Json::parse("9223372036854775808").number(), 9223372036854775808.0);
    EXPECT_DOUBLE_EQ(Json::parse("-1.25e2").number(), -125.0);
    EXPECT_DOUBLE_EQ(Json::parse("2").number(), 2.0);
}

TEST(Json, RefusesWhatIsNoJson) {
    for (const auto* text : {"",
                             " ",
                             "nul",
                             "True",
                             "01",
                             "+1",
                             "-",
                             "1.",
                             ".5",
                             "1e",
                             "1e+",
                             "0x1",
                             "NaN",
                             "1e999",
                             "\"",
                             "\"\\",
                             "\"\\x\"",
                             "\"\\u12\"",
                             "\"\\u123g\"",
                             "\"\\ud800\"",
                             "\"\\ud800\\u0041\"",
                             "\"\\udc00\"",
                             "\"\n\"",
                             "\"\x80\"",
                             "\"\xC0\xAF\"",
                             "\"\xED\xA0\x80\"",
                             "\"\xF4\x90\x80\x80\"",
                             "[",
                             "[1",
                             "[1,]",
                             "[,]",
                             "[1 2]",
                             "{",
                             "{\"a\"}",
                             "{\"a\":}",
                             "{\"a\":1,}",
                             "{a:1}",
                             "{\"a\" 1}",
                             "1 2",
                             "[]]",
                             "'a'",
                             "// a\n1"})
        EXPECT_THROW((void)Json::parse(text), JsonError) << text;
}

TEST(Json, SaysAtWhichByteItStopped) {
    try {
        (void)Json::parse("[1, x]");
        FAIL();
    } catch (const JsonError& error) {
        EXPECT_STREQ(error.what(), "byte 4: a value was expected");
    }
}

TEST(Json, RefusesDeepNesting) {
    const auto nested = [](std::size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    EXPECT_NO_THROW((void)Json::parse(nested(Json::kDepthMax + 1)));
    EXPECT_THROW((void)Json::parse(nested(Json::kDepthMax + 2)), JsonError);
    EXPECT_THROW((void)Json::parse(nested(1'000'000)), JsonError);
}

TEST(Json, FindsMembersByName) {
    const auto json = Json::parse(R"({"a":1,"b":{"c":"x"},"a":2})");
    EXPECT_EQ(json["a"].integer(), 2);
    EXPECT_EQ(json["b"]["c"].string(), "x");
    EXPECT_TRUE(json["b"]["d"]["e"].is_null());
    EXPECT_THROW((void)json["b"].integer(), JsonError);
}

TEST(Json, IsBuiltFromValues) {
    Json json = {{"name", "x"}, {"count", 3}, {"ratio", 0.5}, {"ok", true}, {"none", nullptr}};
    json.set("list", Json::array({1, "two"}).push(3U));
    EXPECT_EQ(json.print(),
              R"({"name":"x","count":3,"ratio":0.5,"ok":true,"none":null,"list":[1,"two",3]})");
}

TEST(Json, PrintsWhatJsonCannotSayAsTheNearestThing) {
    EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).print(), "null");
    EXPECT_EQ(Json("a\xFF").print(), "\"a\xEF\xBF\xBD\"");
}

}  // namespace
}  // namespace fathom
