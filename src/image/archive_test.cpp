#include "image/archive.h"

#include <gtest/gtest.h>

#include <vector>

namespace fathom::image {
namespace {

struct Seen {
    Entry entry;
    std::string bytes;
};

class Collector final : public EntrySink {
public:
    Result<> begin(const Entry& entry) override {
        seen.push_back({entry, {}});
        return {};
    }
    Result<> data(std::string_view bytes) override {
        seen.back().bytes += bytes;
        return {};
    }
    Result<> end() override { return {}; }
    std::vector<Seen> seen;
};

std::string pack(const std::vector<Seen>& entries) {
    std::string archive;
    ArchiveWriter writer([&](std::string_view bytes) -> Result<> {
        archive += bytes;
        return {};
    });
    for (auto [entry, bytes] : entries) {
        entry.size = bytes.size();
        EXPECT_TRUE(writer.begin(entry));
        if (!bytes.empty()) EXPECT_TRUE(writer.data(bytes));
        EXPECT_TRUE(writer.end());
    }
    EXPECT_TRUE(writer.finish());
    return archive;
}

Result<std::vector<Seen>> unpack(std::string_view archive, std::size_t step) {
    Collector collector;
    ArchiveReader reader(collector);
    for (; !archive.empty(); archive.remove_prefix(std::min(step, archive.size())))
        if (auto fed = reader.feed(archive.substr(0, step)); !fed) return fail(fed.error());
    if (auto finished = reader.finish(); !finished) return fail(finished.error());
    return std::move(collector.seen);
}

std::string refusal(std::string_view archive) {
    auto unpacked = unpack(archive, archive.size());
    return unpacked ? "taken" : unpacked.error().message();
}

// Sets a header field of the first entry and its checksum.
std::string doctored(std::string archive, std::size_t offset, std::string_view bytes) {
    std::copy(bytes.begin(), bytes.end(), archive.begin() + static_cast<std::ptrdiff_t>(offset));
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i)
        sum += i >= 148 && i < 156 ? 32U : static_cast<unsigned char>(archive[i]);
    const auto text = fmt::format("{:06o}", sum);
    std::copy(text.begin(), text.end(), archive.begin() + 148);
    return archive;
}

const std::vector<Seen> kSample = {
    {{.path = "function", .kind = Entry::Kind::folder}, ""},
    {{.path = "function/empty"}, ""},
    {{.path = "function/handler.py"}, std::string(1300, 'x')},
    {{.path = "function/latest", .kind = Entry::Kind::link, .target = "handler.py"}, ""},
    {{.path = "function/" + std::string(200, 'n') + "/" + std::string(200, 'm'),
      .is_executable = true},
     "#!"},
    {{.path = "function/far", .kind = Entry::Kind::link, .target = std::string(300, 't')}, ""},
};

TEST(Archive, GivesBackWhatWasPackedHoweverTheBytesArrive) {
    const auto archive = pack(kSample);
    for (const std::size_t step :
         {std::size_t{1}, std::size_t{511}, std::size_t{513}, archive.size()}) {
        const auto seen = unpack(archive, step);
        ASSERT_TRUE(seen) << seen.error().message();
        ASSERT_EQ(seen->size(), kSample.size());
        for (std::size_t i = 0; i < kSample.size(); ++i) {
            EXPECT_EQ((*seen)[i].entry.path, kSample[i].entry.path);
            EXPECT_EQ((*seen)[i].entry.kind, kSample[i].entry.kind);
            EXPECT_EQ((*seen)[i].entry.target, kSample[i].entry.target);
            EXPECT_EQ((*seen)[i].entry.is_executable, kSample[i].entry.is_executable);
            EXPECT_EQ((*seen)[i].bytes, kSample[i].bytes);
        }
    }
}

TEST(Archive, RefusesToEndBeforeItsEndMark) {
    const auto archive = pack(kSample);
    for (std::size_t bytes = 0; bytes + 512 < archive.size(); bytes += 256)
        EXPECT_FALSE(unpack(archive.substr(0, bytes), 4096)) << bytes;
}

TEST(Archive, RefusesEveryDamagedByteOfAHeader) {
    const auto archive = pack({{{.path = "function/a"}, "b"}});
    for (std::size_t at = 0; at < 512; ++at) {
        if (at == 155) continue;  // the space after the checksum and its NUL says nothing
        auto damaged = archive;
        damaged[at] = static_cast<char>(damaged[at] ^ 0x15);
        EXPECT_FALSE(unpack(damaged, 4096)) << at;
    }
}

TEST(Archive, RefusesKindsOfEntriesABundleDoesNotNeed) {
    const auto archive = pack({{{.path = "function/a"}, ""}});
    EXPECT_NE(refusal(doctored(archive, 156, "1")).find("hard link"), std::string::npos);
    for (const auto* type : {"3", "4", "6"})
        EXPECT_NE(refusal(doctored(archive, 156, type)).find("device or FIFO"), std::string::npos);
    EXPECT_NE(refusal(doctored(archive, 156, "S")).find("not known"), std::string::npos);
}

TEST(Archive, RefusesPathsThatLeadOutside) {
    const auto archive = pack({{{.path = "function/aaaaaaaaaa"}, ""}});
    for (const auto* path : {"/etc/passwd", "../x", "function/../../x", "a/.."}) {
        auto name = std::string(path);
        name.resize(100);
        EXPECT_FALSE(unpack(doctored(archive, 0, name), 4096)) << path;
    }
}

TEST(Archive, RefusesSizesThatAreNotOctal) {
    const auto archive = pack({{{.path = "function/a"}, ""}});
    EXPECT_FALSE(unpack(doctored(archive, 124, "-0000000001"), 4096));
    EXPECT_FALSE(unpack(doctored(archive, 124, "00000000009"), 4096));
    EXPECT_FALSE(unpack(doctored(archive, 124, "\x80\0\0\0\0\0\0\0\0\0\0\1"), 4096));
}

TEST(Archive, RefusesBytesAfterItsEndUnlessTheyAreZero) {
    const auto archive = pack(kSample);
    EXPECT_TRUE(unpack(archive + std::string(9000, '\0'), 4096));
    EXPECT_FALSE(unpack(archive + std::string(600, '\0') + "x", 4096));
}

TEST(ArchiveWriter, NoticesAFileThatChangedWhileItWasPacked) {
    ArchiveWriter writer([](std::string_view) -> Result<> { return {}; });
    ASSERT_TRUE(writer.begin({.path = "function/a", .size = 2}));
    EXPECT_EQ(writer.data("abc").error().message(), "\"function/a\" grew while it was packed");
    ASSERT_TRUE(writer.begin({.path = "function/a", .size = 2}));
    EXPECT_EQ(writer.end().error().message(), "\"function/a\" shrank while it was packed");
}

TEST(Path, LosesDotsAndSlashesThatSayNothing) {
    EXPECT_EQ(*clean_path("./function//a/./b/"), "function/a/b");
    for (const auto* wrong : {"", ".", "./", "/a", "a/../b", ".."}) EXPECT_FALSE(clean_path(wrong));
    EXPECT_FALSE(clean_path(std::string(256, 'a')));
}

TEST(Link, StaysInsideTheFolderOfItsFirstPart) {
    EXPECT_TRUE(check_link("function/a", "b"));
    EXPECT_TRUE(check_link("function/x/y/a", "../../b/c"));
    EXPECT_TRUE(check_link("function/node_modules/.bin/tsc", "../typescript/bin/tsc"));
    for (const auto* wrong : {"", "/etc/passwd", "..", "../b", "b/../../c", "b/../c"})
        EXPECT_FALSE(check_link("function/a", wrong)) << wrong;
    EXPECT_FALSE(check_link("function/x/a", "../../b"));
}

}  // namespace
}  // namespace fathom::image
