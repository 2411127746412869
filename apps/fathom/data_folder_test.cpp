// Whose the data folder is, and the password in it.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "credentials.h"
#include "identity.h"

namespace fathom::app {
namespace {

namespace fs = std::filesystem;

constexpr Identity kDaemon{60600, 60600};

struct stat about(const fs::path& path) {
    struct stat found{};
    EXPECT_EQ(::lstat(path.c_str(), &found), 0) << path;
    return found;
}

class DataFolderTest : public testing::Test {
protected:
    DataFolderTest() {
        std::string name = testing::TempDir() + "fathom-XXXXXX";
        folder_ = ::mkdtemp(name.data());
        before_ = fs::current_path();
        fs::current_path(folder_);
    }
    ~DataFolderTest() override {
        fs::current_path(before_);
        fs::remove_all(folder_);
    }
    static bool is_root() { return ::geteuid() == 0; }

    fs::path folder_, before_;
    SystemRandom random_;
};

TEST_F(DataFolderTest, MakesAFolderThatOthersCannotEnter) {
    const auto made = prepare_folder((folder_ / "a/b/").string(), kDaemon);
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(about(folder_ / "a/b").st_mode & 07777u, 0700u);
    EXPECT_EQ(about(folder_ / "a/b").st_uid, is_root() ? kDaemon.uid : ::geteuid());
}

TEST_F(DataFolderTest, TakesNoFolderOfTheMachine) {
    if (!is_root()) GTEST_SKIP() << "only root could";
    fs::create_directories(folder_ / "srv/something");
    EXPECT_FALSE(prepare_folder((folder_ / "srv").string(), kDaemon));
    EXPECT_EQ(about(folder_ / "srv").st_uid, 0u);
    EXPECT_EQ(about(folder_ / "srv").st_mode & 0777u, 0755u);

    std::ofstream(folder_ / "srv/FORMAT") << "fathom 1\n";  // one that was used as root before
    EXPECT_TRUE(prepare_folder((folder_ / "srv").string(), kDaemon));
    EXPECT_EQ(about(folder_ / "srv").st_uid, kDaemon.uid);
}

TEST_F(DataFolderTest, RefusesAKeeperFolderThatTheDaemonCouldHaveMade) {
    if (!is_root()) GTEST_SKIP() << "only root has a keeper of root's";
    ASSERT_TRUE(prepare_folder((folder_ / "data").string(), kDaemon));
    fs::create_directory_symlink("/etc", folder_ / "data/keeper");
    EXPECT_FALSE(prepare_folder((folder_ / "data").string(), kDaemon));
    fs::remove(folder_ / "data/keeper");
    fs::create_directory(folder_ / "data/keeper");
    EXPECT_TRUE(prepare_folder((folder_ / "data").string(), kDaemon));
}

TEST_F(DataFolderTest, RootWritesThroughNoLinkOfTheDaemons) {
    if (!is_root()) GTEST_SKIP() << "only root could";
    ASSERT_TRUE(prepare_folder((folder_ / "data").string(), kDaemon));
    std::ofstream(folder_ / "victim") << "kept";
    fs::create_symlink("../victim", folder_ / "data/link");
    fs::current_path(folder_ / "data");
    {
        const FilesAs owner(kDaemon);
        EXPECT_FALSE(std::ofstream("link").is_open());
        EXPECT_TRUE(std::ofstream("own").is_open());
    }
    EXPECT_EQ(about("own").st_uid, kDaemon.uid);
    EXPECT_EQ(fs::file_size(folder_ / "victim"), 4u);
    EXPECT_TRUE(std::ofstream("link").is_open()) << "root is root again";
}

TEST_F(DataFolderTest, MakesAPasswordOnceAndKeepsIt) {
    const auto made = load_password(random_);
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_TRUE(made->is_new);
    EXPECT_EQ(made->password.size(), 32u);
    EXPECT_EQ(about(made->file).st_mode & 07777u, 0600u);
    EXPECT_EQ(about("secrets").st_mode & 07777u, 0700u);
    const auto again = load_password(random_);
    ASSERT_TRUE(again);
    EXPECT_FALSE(again->is_new);
    EXPECT_EQ(again->password, made->password);
}

TEST_F(DataFolderTest, TakesAPasswordThatSomebodyWroteThere) {
    fs::create_directory("secrets");
    std::ofstream("secrets/basic-auth-password") << "  chosen\n";
    const auto loaded = load_password(random_);
    ASSERT_TRUE(loaded) << loaded.error().message();
    EXPECT_EQ(loaded->user, "admin");
    EXPECT_EQ(loaded->password, "chosen");
    EXPECT_FALSE(loaded->is_new);
}

TEST_F(DataFolderTest, NeverReplacesAPasswordItCannotRead) {
    fs::create_directories("secrets/basic-auth-password");  // cannot be read, not even by root
    const auto loaded = load_password(random_);
    ASSERT_FALSE(loaded);
    EXPECT_NE(loaded.error().message().find("secrets/basic-auth-password"), std::string::npos);
    EXPECT_TRUE(fs::is_directory("secrets/basic-auth-password"));
}

}  // namespace
}  // namespace fathom::app
