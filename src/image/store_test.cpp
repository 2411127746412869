#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "image/archive.h"
#include "image/bundle.h"
#include "image/image.h"

namespace fathom::image {
namespace {

namespace fs = std::filesystem;

struct File {
    Entry entry;
    std::string bytes;
};

const std::string kManifest =
    to_json({.name = "hello", .language = "", .command = {"/bin/cat"}, .environment = {}});

std::string bundle(const std::vector<File>& files, const std::string& manifest = kManifest) {
    std::string archive;
    ArchiveWriter writer([&](std::string_view bytes) -> Result<> {
        archive += bytes;
        return {};
    });
    const auto add = [&](Entry entry, std::string_view bytes) {
        entry.size = bytes.size();
        EXPECT_TRUE(writer.begin(entry));
        if (!bytes.empty()) EXPECT_TRUE(writer.data(bytes));
        EXPECT_TRUE(writer.end());
    };
    if (!manifest.empty()) add({.path = "fathom.json"}, manifest);
    for (const auto& [entry, bytes] : files) add(entry, bytes);
    EXPECT_TRUE(writer.finish());
    return archive;
}

// A body that is here already, in pieces of 1000 bytes.
class TextBody final : public http::BodyReader {
public:
    explicit TextBody(std::string text) : text_(std::move(text)), left_(text_) {}
    Async<std::string_view> read() override { co_return next(); }
    std::optional<std::string_view> try_read() override { return next(); }
    http::BodyLength length() const override { return http::BodyLength::fixed(text_.size()); }
    bool is_done() const override { return left_.empty(); }
    const http::Headers& trailers() const override { return trailers_; }
    void limit(std::uint64_t) override {}

private:
    std::string_view next() {
        const auto piece = left_.substr(0, 1000);
        left_.remove_prefix(piece.size());
        return piece;
    }
    std::string text_;
    std::string_view left_;
    http::Headers trailers_;
};

class StoreTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "fathom-store-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name + "/images";
        scratch_ = name;
        open();
    }
    void TearDown() override {
        drain();
        fs::remove_all(scratch_);
    }

    void open(Store::Limits limits = {}) {
        auto store = open_store(folder_, pool_, limits);
        ASSERT_TRUE(store) << store.error().message();
        store_ = std::move(*store);
    }
    Result<Image> put(std::string archive) {
        TextBody body(std::move(archive));
        std::optional<Result<Image>> answer;
        auto work = [](Store& store, TextBody& from,
                       std::optional<Result<Image>>& into) -> Async<> {
            into = co_await store.put(from);
            co_return Result<>{};
        };
        EXPECT_TRUE(rt::run(work(*store_, body, answer)));
        return std::move(*answer);
    }
    std::string refusal(std::string archive) {
        auto image = put(std::move(archive));
        return image ? "taken" : image.error().message();
    }
    // What was refused goes on the pool, which has one thread: a job after it has seen it go.
    void drain() {
        EXPECT_TRUE(rt::run(pool_.run([]() -> Result<> { return {}; })));
    }
    // Folders of the store, finished or not.
    std::size_t folders() {
        drain();
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
    }

    std::string scratch_;
    std::string folder_;
    rt::BlockingPool pool_{{.threads = 1}};
    std::unique_ptr<Store> store_;
};

std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

const File kHandler{{.path = "function/handler.sh", .is_executable = true}, "cat"};

TEST_F(StoreTest, UnpacksABundleAndFindsItByReferenceAndDigest) {
    const auto image = put(bundle(
        {kHandler,
         {{.path = "function/data/a.txt"}, std::string(5000, 'a')},
         {{.path = "function/now", .kind = Entry::Kind::link, .target = "data/a.txt"}, ""}}));
    ASSERT_TRUE(image) << image.error().message();
    EXPECT_EQ(image->reference, "fathom.local/hello:" + image->digest.substr(7, 12));
    EXPECT_EQ(image->command, std::vector<std::string>{"/bin/cat"});
    EXPECT_EQ(content(image->root + "/now"), std::string(5000, 'a'));
    struct stat facts{};
    ASSERT_EQ(::stat((image->root + "/handler.sh").c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777, 0755U);

    EXPECT_TRUE(store_->find(image->reference));
    EXPECT_TRUE(store_->find(image->digest));
    EXPECT_EQ(store_->list().size(), 1U);
}

TEST_F(StoreTest, AnswersTheSameImageForTheSameBytes) {
    const auto first = put(bundle({kHandler}));
    const auto again = put(bundle({kHandler}));
    ASSERT_TRUE(first && again);
    EXPECT_EQ(first->digest, again->digest);
    EXPECT_EQ(folders(), 1U);
}

TEST_F(StoreTest, KnowsItsImagesAfterARestartAndSweepsWhatACrashLeft) {
    const auto image = put(bundle({kHandler}));
    ASSERT_TRUE(image);
    fs::create_directories(folder_ + "/.unfinished-1-1/function/x");
    open();
    EXPECT_TRUE(store_->find(image->reference));
    EXPECT_EQ(folders(), 1U);
}

TEST_F(StoreTest, NamesWhatThereIsWhenAReferenceIsUnknown) {
    EXPECT_NE(store_->find("x").error().message().find("none yet"), std::string::npos);
    const auto image = put(bundle({kHandler}));
    ASSERT_TRUE(image);
    const auto missing = store_->find("fathom.local/hello:000000000000");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code(), Errc::not_found);
    EXPECT_NE(missing.error().message().find(image->reference), std::string::npos);
}

TEST_F(StoreTest, SaysThatContainerImagesAreNotRunYet) {
    const auto missing = store_->find("ghcr.io/openfaas/figlet:latest");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code(), Errc::not_found);
    EXPECT_NE(missing.error().message().find("container images"), std::string::npos);
}

TEST_F(StoreTest, ForgetsARemovedImage) {
    const auto image = put(bundle({kHandler}));
    ASSERT_TRUE(image);
    ASSERT_TRUE(rt::run(store_->remove(image->reference)));
    EXPECT_FALSE(store_->find(image->digest));
    EXPECT_EQ(folders(), 0U);
    EXPECT_FALSE(rt::run(store_->remove(image->reference)));
}

TEST_F(StoreTest, LeavesNothingBehindWhenItRefuses) {
    const auto whole = bundle({kHandler});
    const std::vector<std::pair<std::string, std::string>> cases = {
        {whole.substr(0, 1536), "cut off"},
        {"#!/bin/sh\n" + std::string(600, ' '), "not a tar archive"},
        {bundle({kHandler}, ""), "no fathom.json"},
        {bundle({kHandler}, "{}"), "\"format\""},
        {bundle({kHandler, kHandler}), "twice"},
        {bundle({{{.path = "etc/passwd"}, "x"}}), "may hold"},
        {bundle({{{.path = "function"}, "x"}}), "may hold"},
        {bundle({{{.path = "function/a", .kind = Entry::Kind::link, .target = "../../etc"}, ""}}),
         "outside of the handler folder"},
        {bundle({{{.path = "function/a", .kind = Entry::Kind::link, .target = "/etc"}, ""}}),
         "absolute"},
        {bundle({{{.path = "function/a", .kind = Entry::Kind::link, .target = "b"}, ""},
                 {{.path = "function/a/b"}, "x"}}),
         "is no folder"},
        {bundle({kHandler}, to_json({.name = "hello",
                                     .language = "",
                                     .command = {"no-such-program"},
                                     .environment = {}})),
         "not on this host"},
    };
    for (const auto& [archive, expected] : cases)
        EXPECT_NE(refusal(archive).find(expected), std::string::npos) << refusal(archive);
    EXPECT_EQ(folders(), 0U);
    EXPECT_TRUE(store_->list().empty());
}

TEST_F(StoreTest, NamesTheLimitThatABundleIsOver) {
    const auto archive = bundle({kHandler, {{.path = "function/big"}, std::string(20'000, 'b')}});
    open({.archive_bytes_max = 10'000});
    EXPECT_EQ(refusal(archive), "the bundle is over 10000 bytes (archive_bytes_max)");
    open({.unpacked_bytes_max = 10'000});
    EXPECT_EQ(refusal(archive), "the bundle unpacks to over 10000 bytes (unpacked_bytes_max)");
    open({.entries_max = 2});
    EXPECT_EQ(refusal(archive), "the bundle has over 2 entries (entries_max)");
}

TEST_F(StoreTest, SaysSoWhenTheDiskIsFull) {
    struct rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    auto* const old_handler = std::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small{.rlim_cur = 4096, .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const auto image = put(bundle({{{.path = "function/big"}, std::string(20'000, 'b')}}));
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, old_handler);
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().code(), Errc::unavailable);
    EXPECT_NE(image.error().message().find("cannot write \"function/big\""), std::string::npos);
}

}  // namespace
}  // namespace fathom::image
