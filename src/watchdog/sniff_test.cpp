#include "watchdog/sniff.h"

#include <gtest/gtest.h>

namespace fathom::watchdog {
namespace {

using namespace std::string_view_literals;

TEST(Sniff, KnowsTheCommonTypesByTheirFirstBytes) {
    const std::pair<std::string_view, std::string_view> cases[] = {
        {"hello", "text/plain; charset=utf-8"},
        {"{\"a\":1}", "text/plain; charset=utf-8"},
        {"\xef\xbb\xbfhi", "text/plain; charset=utf-8"},
        {"  \n<!doctype html>", "text/html; charset=utf-8"},
        {"<HtMl >", "text/html; charset=utf-8"},
        {"<p>", "text/html; charset=utf-8"},
        {"<?xml version=\"1.0\"?>", "text/xml; charset=utf-8"},
        {"%PDF-1.4", "application/pdf"},
        {"GIF89a...", "image/gif"},
        {"\x89PNG\r\n\x1a\n....", "image/png"},
        {"\xff\xd8\xff\xe0", "image/jpeg"},
        {"RIFF\1\2\3\4WEBPVP8 "sv, "image/webp"},
        {"RIFF\1\2\3\4WAVE"sv, "audio/wave"},
        {"\x1f\x8b\x08\0"sv, "application/x-gzip"},
        {"PK\3\4", "application/zip"},
        {"\0\0\0\x18"
         "ftypmp42\0\0\0\0mp42isom"sv,
         "video/mp4"},
        {"\0\1\2\3"sv, "application/octet-stream"},
        {"", "text/plain; charset=utf-8"},
    };
    for (const auto& [body, type] : cases) EXPECT_EQ(sniff_content_type(body), type) << body;
}

TEST(Sniff, LooksAtNoMoreThan512Bytes) {
    std::string body(512, 'a');
    body += '\0';
    EXPECT_EQ(sniff_content_type(body), "text/plain; charset=utf-8");
    body[511] = '\0';
    EXPECT_EQ(sniff_content_type(body), "application/octet-stream");
}

TEST(Sniff, WantsATagToEnd) {
    EXPECT_EQ(sniff_content_type("<pre>"), "text/plain; charset=utf-8");
    EXPECT_EQ(sniff_content_type("<b"), "text/plain; charset=utf-8");
}

}  // namespace
}  // namespace fathom::watchdog
