#include "build/build.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "image/archive.h"

namespace fathom::build {
namespace {

namespace fs = std::filesystem;

// Plays compiler: answers --version, and writes what follows -o.
class FakeCompiler final : public ProcessLauncher {
public:
    Result<Outcome> run(const Command& command) override {
        if (command.argv.front() != "c++")
            return fail(Errc::not_found, "the program \"{}\" is not installed", command.argv[0]);
        if (command.argv.back() == "--version") return Outcome{.exit_code = 0, .output = "fake 1"};
        ++compilations;
        if (!complaint.empty()) return Outcome{.exit_code = 1, .output = complaint};
        std::ofstream(command.argv.back()) << "compiled";
        fs::permissions(command.argv.back(), fs::perms::all);
        return Outcome{};
    }
    int compilations = 0;
    std::string complaint;
};

class Lister final : public image::EntrySink {
public:
    Result<> begin(const image::Entry& entry) override {
        lines.push_back(entry.path);
        if (entry.kind == image::Entry::Kind::folder) lines.back() += "/";
        if (entry.kind == image::Entry::Kind::link) lines.back() += " -> " + entry.target;
        if (entry.is_executable) lines.back() += "*";
        return {};
    }
    Result<> data(std::string_view) override { return {}; }
    Result<> end() override { return {}; }
    std::vector<std::string> lines;
};

std::vector<std::string> entries_of(const Bundle& bundle) {
    std::string archive(bundle.size, '\0');
    EXPECT_EQ(::read(bundle.file.get(), archive.data(), archive.size()),
              static_cast<ssize_t>(archive.size()));
    Lister lister;
    image::ArchiveReader reader(lister);
    EXPECT_TRUE(reader.feed(archive));
    EXPECT_TRUE(reader.finish());
    return lister.lines;
}

class BuildTest : public testing::Test {
protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "fathom-build-XXXXXX";
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
        options_.cache_folder = folder_ + "/cache";
        options_.temporary_folder = folder_;
    }
    void TearDown() override { fs::remove_all(folder_); }

    std::string write(const std::string& path, const std::string& text = "x") {
        const auto whole = folder_ + "/" + path;
        fs::create_directories(fs::path(whole).parent_path());
        std::ofstream(whole) << text;
        return whole;
    }
    Result<Bundle> build(std::string language, const std::string& handler,
                         std::string process = "") {
        Builder builder(options_, compiler_);
        return builder.build({.name = "hello",
                              .language = std::move(language),
                              .handler = folder_ + "/" + handler,
                              .process = std::move(process)});
    }
    std::string refusal(std::string language, const std::string& handler,
                        std::string process = "") {
        auto bundle = build(std::move(language), handler, std::move(process));
        auto message = bundle ? "taken" : bundle.error().message();
        for (auto at = message.find(folder_); at != std::string::npos; at = message.find(folder_))
            message.replace(at, folder_.size(), "~");
        return message;
    }

    std::string folder_;
    Options options_;
    FakeCompiler compiler_;
};

TEST_F(BuildTest, PacksAHandlerFolderSortedAndWithoutCaches) {
    write("h/handler.py");
    write("h/lib/b.py");
    write("h/lib/__pycache__/b.cpython-311.pyc");
    write("h/.git/HEAD");
    fs::permissions(write("h/run.sh"), fs::perms::all);
    fs::create_symlink("lib/b.py", folder_ + "/h/a");
    const auto bundle = build("python3-http", "h");
    ASSERT_TRUE(bundle) << bundle.error().message();
    EXPECT_EQ(bundle->manifest.command.back(), "/opt/fathom/python3/runner.py");
    EXPECT_EQ(bundle->manifest.language, "python3-http");
    EXPECT_EQ(
        entries_of(*bundle),
        (std::vector<std::string>{"fathom.json", "function/a -> lib/b.py", "function/handler.py",
                                  "function/lib/", "function/lib/b.py", "function/run.sh*"}));
}

TEST_F(BuildTest, GivesTheSameDigestForTheSameFilesAndAnotherForOthers) {
    for (const auto* folder : {"one", "two"}) {
        write(std::string(folder) + "/b.py");
        write(std::string(folder) + "/handler.py");
    }
    fs::last_write_time(folder_ + "/one/b.py", fs::file_time_type{});
    const auto one = build("python3", "one");
    const auto two = build("python3", "two");
    ASSERT_TRUE(one && two);
    EXPECT_EQ(one->digest, two->digest);
    write("two/b.py", "changed");
    EXPECT_NE(build("python3", "two")->digest, one->digest);
}

TEST_F(BuildTest, RunsAPlainCommandUnderTheWatchdog) {
    write("h/count.sh");
    const auto bundle = build("", "h", "sh count.sh");
    ASSERT_TRUE(bundle) << bundle.error().message();
    EXPECT_EQ(bundle->manifest.command, std::vector<std::string>{"/opt/fathom/fathom-watchdog"});
    EXPECT_EQ(bundle->manifest.environment.at("fprocess"), "sh count.sh");
}

TEST_F(BuildTest, SaysWhatIsMissing) {
    write("empty/readme.txt");
    EXPECT_EQ(refusal("python3", "nowhere"), "handler: the folder \"~/nowhere\" does not exist");
    EXPECT_EQ(refusal("python3", "empty/readme.txt"),
              "handler: \"~/empty/readme.txt\" is a file; the folder it is in is wanted");
    EXPECT_EQ(refusal("python3", "empty"),
              "handler: the folder \"~/empty\" holds no handler.py, which lang python3 serves");
    EXPECT_EQ(refusal("cobol", "empty"),
              "lang: \"cobol\" is not known; known are python3*, node*, cpp, bash*, or no lang and "
              "a command in fprocess");
    EXPECT_EQ(refusal("", "empty"),
              "there is neither lang nor fprocess: say what runs (lang: python3*, node*, "
              "cpp, bash*, or fprocess: a command)");
    EXPECT_EQ(refusal("cpp", "empty"),
              "handler: \"~/empty\" holds no *.cpp file and no CMakeLists.txt, which lang cpp is "
              "made from");
}

TEST_F(BuildTest, RefusesLinksThatLeadOutsideAndThingsThatAreNoFiles) {
    write("h/handler.py");
    fs::create_symlink("/etc/passwd", folder_ + "/h/p");
    EXPECT_NE(refusal("python3", "h").find("~/h/p: the link"), std::string::npos);
    fs::remove(folder_ + "/h/p");
    ASSERT_EQ(::mkfifo((folder_ + "/h/pipe").c_str(), 0600), 0);
    EXPECT_EQ(refusal("python3", "h"),
              "~/h/pipe is neither file, folder nor link: take it out of the handler folder");
}

// Root reads everything, so a test run by root becomes somebody else for a moment.
class AsNobody {
public:
    AsNobody() : is_root_(::geteuid() == 0) {
        if (is_root_) EXPECT_EQ(::seteuid(65534), 0);
    }
    ~AsNobody() {
        if (is_root_) EXPECT_EQ(::seteuid(0), 0);
    }

private:
    bool is_root_;
};

TEST_F(BuildTest, NamesAFileThatCannotBeRead) {
    write("h/handler.py");
    fs::permissions(write("h/secret"), fs::perms::none);
    fs::permissions(folder_, fs::perms::all);
    const AsNobody nobody;
    EXPECT_EQ(refusal("python3", "h"), "cannot read ~/h/secret: Permission denied");
}

TEST_F(BuildTest, NamesTheLimitThatAFolderIsOver) {
    write("h/handler.py", std::string(3000, 'x'));
    options_.archive_bytes_max = 1000;
    EXPECT_NE(refusal("python3", "h").find("over 0 MiB (at ~/h/handler.py)"), std::string::npos);
}

TEST_F(BuildTest, CompilesCppOnceAndLeavesTheSourcesOut) {
    write("h/main.cpp", "int main() {}");
    write("h/words.txt");
    const auto first = build("cpp", "h");
    ASSERT_TRUE(first) << first.error().message();
    EXPECT_EQ(entries_of(*first),
              (std::vector<std::string>{"fathom.json", "function/handler*", "function/words.txt"}));
    ASSERT_TRUE(build("cpp", "h"));
    EXPECT_EQ(compiler_.compilations, 1);
    write("h/main.cpp", "int main() { return 1; }");
    ASSERT_TRUE(build("cpp", "h"));
    EXPECT_EQ(compiler_.compilations, 2);
}

TEST_F(BuildTest, ShowsTheCompilersWordsAndKeepsNothingOfAFailure) {
    write("h/main.cpp", "int main() {");
    compiler_.complaint = "main.cpp:1: error: expected }\n";
    EXPECT_EQ(refusal("cpp", "h"),
              "the C++ does not compile: c++ ended with status 1\nmain.cpp:1: error: "
              "expected }");
    compiler_.complaint.clear();
    EXPECT_TRUE(build("cpp", "h"));
    for (const auto& entry : fs::directory_iterator(folder_ + "/cache"))
        EXPECT_EQ(entry.path().filename().string().find('.'), std::string::npos) << entry.path();
}

TEST_F(BuildTest, SaysWhatToInstallWhenThereIsNoCompiler) {
    write("h/main.cpp", "int main() {}");
    options_.compiler = "no-such-compiler";
    EXPECT_NE(refusal("cpp", "h").find("apt install g++"), std::string::npos);
}

TEST(PosixLauncher, ReturnsOutputAndExitStatusOfTheChild) {
    auto launcher = make_process_launcher({"PATH=/usr/bin:/bin", "WORD=hello"});
    const auto outcome =
        launcher->run({.argv = {"sh", "-c", "echo $WORD; pwd >&2; exit 3"}, .folder = "/"});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->output, "hello\n/\n");
    EXPECT_EQ(outcome->exit_code, 3);
    EXPECT_EQ(launcher->run({.argv = {"sh", "-c", "kill -9 $$"}, .folder = ""})->exit_code, 137);
}

TEST(PosixLauncher, SaysThatAProgramIsNotInstalled) {
    auto launcher = make_process_launcher({"PATH=/usr/bin:/bin"});
    const auto outcome = launcher->run({.argv = {"no-such-program"}, .folder = ""});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code(), Errc::not_found);
}

}  // namespace
}  // namespace fathom::build
