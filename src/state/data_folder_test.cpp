#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "state/state.h"
#include "state/testing.h"

namespace fathom::state {
namespace {

std::string read(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

void write(const std::string& path, std::string_view text) {
    std::ofstream(path) << text;
}

TEST(DataFolder, IsMadeWithFormatAndLockForItsOwnerOnly) {
    const TemporaryFolder folder;
    const auto path = folder / "a/b/data";
    const auto data = DataFolder::open(path + "/");
    ASSERT_TRUE(data.has_value()) << data.error().message();
    EXPECT_EQ(data->path(), path);
    EXPECT_GE(data->lock_fd(), 0);
    EXPECT_EQ(read(path + "/FORMAT"), "fathom 1\n");
    EXPECT_EQ(read(path + "/lock"), fmt::format("{}\n", ::getpid()));
    struct stat facts{};
    ASSERT_EQ(::stat(path.c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777U, 0700U);
    EXPECT_EQ(::fcntl(data->lock_fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(DataFolder, OpensAgainAfterItWasClosed) {
    const TemporaryFolder folder;
    {
        ASSERT_TRUE(DataFolder::open(folder / "data").has_value());
    }
    EXPECT_TRUE(DataFolder::open(folder / "data").has_value());
}

TEST(DataFolder, IsRefusedWhileAnotherHoldsItAndNamesThePid) {
    const TemporaryFolder folder;
    const auto path = folder / "data";
    const auto first = DataFolder::open(path);
    ASSERT_TRUE(first.has_value());
    const auto second = DataFolder::open(path);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code(), Errc::conflict);
    EXPECT_EQ(second.error().message(),
              fmt::format("{} is in use by another fathom (pid {}): stop it, or choose another "
                          "folder with --data",
                          path, ::getpid()));
}

TEST(DataFolder, RefusesANewerFormatWithTheWayBack) {
    const TemporaryFolder folder;
    write(folder / "FORMAT", "fathom 2\n");
    const auto data = DataFolder::open(folder.path());
    ASSERT_FALSE(data.has_value());
    EXPECT_EQ(data.error().code(), Errc::unsupported);
    EXPECT_EQ(data.error().message(),
              fmt::format("{} has format 2, and this fathom knows up to 1: start the newer fathom "
                          "again, or restore a backup made with this one into an empty folder",
                          folder.path()));
    EXPECT_FALSE(std::filesystem::exists(folder / "lock"));
}

TEST(DataFolder, RefusesAFolderThatIsNotOursAndLeavesItAlone) {
    const TemporaryFolder folder;
    write(folder / "thesis.tex", "");
    const auto data = DataFolder::open(folder.path());
    ASSERT_FALSE(data.has_value());
    EXPECT_EQ(data.error().code(), Errc::unsupported);
    EXPECT_NE(data.error().message().find("is not empty and has no FORMAT file"),
              std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(folder / "lock"));
    EXPECT_FALSE(std::filesystem::exists(folder / "FORMAT"));
}

TEST(DataFolder, RefusesAFormatFileThatIsNone) {
    for (const auto* text : {"", "1\n", "fathom\n", "fathom x\n", "fathom 1", "fathom 0\n",
                             "fathom -1\n", "fathom 1 \n", "other 1\n"}) {
        const TemporaryFolder folder;
        write(folder / "FORMAT", text);
        const auto data = DataFolder::open(folder.path());
        ASSERT_FALSE(data.has_value()) << text;
        EXPECT_EQ(data.error().code(), Errc::unsupported) << text;
    }
}

TEST(DataFolder, FinishesAStartThatWasCutShort) {
    const TemporaryFolder folder;
    write(folder / "lock", "1\n");
    write(folder / "FORMAT.unfinished", "fath");
    ASSERT_TRUE(DataFolder::open(folder.path()).has_value());
    EXPECT_EQ(read(folder / "FORMAT"), "fathom 1\n");
}

TEST(DataFolder, RefusesWhatIsNoFolder) {
    const TemporaryFolder folder;
    write(folder / "file", "");
    const auto data = DataFolder::open(folder / "file");
    ASSERT_FALSE(data.has_value());
    EXPECT_EQ(data.error().message(),
              folder / "file" + " is a file; accepted as a data folder: a folder");
    EXPECT_FALSE(DataFolder::open(folder / "file/data").has_value());
    EXPECT_EQ(DataFolder::open("").error().code(), Errc::invalid);
}

// Root may write everywhere, so a child that is nobody tries.
TEST(DataFolder, NamesFolderAndUserWhereItMayNotWrite) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
    const TemporaryFolder folder;
    const auto child = ::fork();
    if (child == 0) {
        if (::setresuid(65534, 65534, 65534) != 0) ::_exit(2);
        const auto data = DataFolder::open(folder / "data");
        const bool is_right = !data && data.error().code() == Errc::forbidden &&
                              data.error().message().find(folder / "data") != std::string::npos &&
                              data.error().message().find("uid 65534") != std::string::npos;
        ::_exit(is_right ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace fathom::state
