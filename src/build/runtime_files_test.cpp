#include "build/runtime_files.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace fathom::build {
namespace {

namespace fs = std::filesystem;

std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

class RuntimeFilesTest : public testing::Test {
protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "fathom-runtime-XXXXXX";
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    }
    void TearDown() override { fs::remove_all(folder_); }
    std::string folder_;
};

TEST_F(RuntimeFilesTest, WritesEveryFileAndTheStamp) {
    const auto folder = folder_ + "/runtime";
    ASSERT_TRUE(write_runtime(folder));
    for (const auto& file : runtime_files())
        EXPECT_EQ(content(folder + "/" + std::string(file.path)), file.bytes) << file.path;
    EXPECT_EQ(content(folder + "/STAMP"), runtime_stamp());
}

TEST_F(RuntimeFilesTest, WritesAgainOnlyWhatDiffers) {
    ASSERT_TRUE(write_runtime(folder_));
    const auto stamp = folder_ + "/STAMP";
    const auto written_at = fs::last_write_time(stamp);
    fs::last_write_time(stamp, written_at - std::chrono::hours(1));
    ASSERT_TRUE(write_runtime(folder_));
    EXPECT_EQ(fs::last_write_time(stamp), written_at - std::chrono::hours(1));

    std::ofstream(stamp) << "of another version";
    ASSERT_TRUE(write_runtime(folder_));
    EXPECT_EQ(content(stamp), runtime_stamp());
}

TEST_F(RuntimeFilesTest, LeavesNoCompiledRunnerOfAnotherVersion) {
    ASSERT_TRUE(write_runtime(folder_));
    const auto stale = folder_ + "/python3/__pycache__/_fathom.cpython-299.pyc";
    fs::create_directories(folder_ + "/python3/__pycache__");
    std::ofstream(stale) << "old";
    std::ofstream(folder_ + "/STAMP") << "of another version";
    ASSERT_TRUE(write_runtime(folder_));
    EXPECT_FALSE(fs::exists(stale));
}

TEST_F(RuntimeFilesTest, SaysWhyItCannotWrite) {
    std::ofstream(folder_ + "/taken") << "a file";
    const auto written = write_runtime(folder_ + "/taken");
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code(), Errc::unavailable);
    EXPECT_NE(written.error().message().find(folder_ + "/taken"), std::string::npos);
}

}  // namespace
}  // namespace fathom::build
