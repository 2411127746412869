#include "build/compile.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "build/runtime_files.h"
#include "image/digest.h"

namespace fathom::build {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kShownLinesMax = 60;
constexpr std::array<std::string_view, 6> kFlags = {"-std=c++20", "-O2",      "-s",
                                                    "-Wall",      "-pthread", "-I."};

// The last lines of what a compiler said.
std::string last_lines(std::string_view output) {
    while (output.ends_with('\n')) output.remove_suffix(1);
    auto start = output.size();
    for (std::size_t lines = 0; lines < kShownLinesMax && start != std::string_view::npos; ++lines)
        start = start == 0 ? std::string_view::npos : output.rfind('\n', start - 1);
    if (start == std::string_view::npos) return std::string(output);
    return "...\n" + std::string(output.substr(start + 1));
}

bool has_file(const std::vector<SourceFile>& files, std::string_view path) {
    return std::any_of(files.begin(), files.end(),
                       [&](const SourceFile& file) { return file.entry.path == path; });
}

class Compilation {
public:
    Compilation(const Source& source, const std::vector<SourceFile>& files, const Options& options,
                ProcessLauncher& launcher)
        : source_(source),
          files_(files),
          options_(options),
          launcher_(launcher),
          sdk_(fs::absolute(options.cache_folder).string() + "/sdk") {}
    Compilation(const Compilation&) = delete;
    Compilation& operator=(const Compilation&) = delete;
    ~Compilation() {
        std::error_code ignored;
        if (!work_.empty()) fs::remove_all(work_, ignored);
    }

    Result<std::string> run() {
        auto key = key_of_inputs();
        if (!key) return key;
        const auto finished = fmt::format("{}/{}", options_.cache_folder, *key);
        auto handler = finished + "/handler";
        if (::access(handler.c_str(), X_OK) == 0) return handler;

        if (auto written = write_sdk(sdk_); !written) return fail(std::move(written).error());
        work_ = fs::absolute(fmt::format("{}.{}", finished, ::getpid())).string();
        std::error_code error;
        fs::create_directories(work_ + "/out", error);
        if (error) return fail(Errc::unavailable, "cannot make {}: {}", work_, error.message());
        auto built = has_file(files_, "CMakeLists.txt") ? with_cmake() : with_compiler();
        if (!built) return fail(std::move(built).error());
        fs::rename(work_ + "/out", finished, error);
        // Somebody else compiled the same meanwhile: theirs is as good.
        if (error && ::access(handler.c_str(), X_OK) != 0)
            return fail(Errc::unavailable, "cannot keep {}: {}", finished, error.message());
        return handler;
    }

private:
    Result<> call(std::vector<std::string> argv) {
        const auto program = argv.front();
        auto outcome = launcher_.run({.argv = std::move(argv), .folder = source_.handler});
        if (!outcome) {
            if (outcome.error().code() != Errc::not_found) return fail(std::move(outcome).error());
            return fail(Errc::unavailable,
                        "lang cpp needs {}, which is not installed: apt install g++ cmake",
                        program);
        }
        if (outcome->exit_code == 0) return {};
        return fail(Errc::invalid, "the C++ does not compile: {} ended with status {}\n{}", program,
                    outcome->exit_code, last_lines(outcome->output));
    }

    // What the executable depends on. System libraries are left out: they are those of the host it
    // is compiled on, and shared.
    Result<std::string> key_of_inputs() {
        auto version = launcher_.run({.argv = {options_.compiler, "--version"}, .folder = ""});
        if (!version) {
            if (version.error().code() != Errc::not_found) return fail(std::move(version).error());
            return fail(
                Errc::unavailable,
                "lang cpp needs a C++ compiler, and \"{}\" is not installed: apt install g++",
                options_.compiler);
        }
        image::Sha256 digest;
        digest.add(version->output);
        digest.add(runtime_stamp());
        for (const auto flag : kFlags) digest.add(flag);
        for (const auto& file : files_) {
            digest.add(
                fmt::format("{}\n{}\n{}\n", file.entry.path, file.entry.size, file.entry.target));
            if (file.entry.kind != image::Entry::Kind::file) continue;
            auto read = read_file(file.path, [&](std::string_view bytes) -> Result<> {
                digest.add(bytes);
                return {};
            });
            if (!read) return fail(std::move(read).error());
        }
        return digest.hex();
    }

    Result<> with_compiler() {
        std::vector<std::string> argv = {options_.compiler};
        argv.insert(argv.end(), kFlags.begin(), kFlags.end());
        argv.push_back("-I" + sdk_);
        const auto flags = argv.size();
        for (const auto& file : files_) {
            const std::string_view path = file.entry.path;
            if (path.ends_with(".cpp") || path.ends_with(".cc")) argv.emplace_back(path);
        }
        if (argv.size() == flags)
            return fail(Errc::not_found,
                        "handler: \"{}\" holds no *.cpp file and no CMakeLists.txt, which lang cpp "
                        "is made from",
                        source_.handler);
        argv.insert(argv.end(), {"-o", work_ + "/out/handler"});
        return call(std::move(argv));
    }

    Result<> with_cmake() {
        const auto build = work_ + "/build";
        if (auto configured = call({"cmake", "-S", ".", "-B", build, "-DCMAKE_BUILD_TYPE=Release",
                                    "-DFATHOM_SDK=" + sdk_});
            !configured)
            return configured;
        if (auto built = call({"cmake", "--build", build, "--parallel", "2"}); !built) return built;
        std::error_code error;
        fs::copy_file(build + "/handler", work_ + "/out/handler", error);
        if (error)
            return fail(Errc::invalid,
                        "its CMakeLists.txt makes no executable named \"handler\" "
                        "(add_executable(handler ...))");
        return {};
    }

    const Source& source_;
    const std::vector<SourceFile>& files_;
    const Options& options_;
    ProcessLauncher& launcher_;
    std::string sdk_;
    std::string work_;  // removed at the end
};

}  // namespace

bool is_cpp_source(std::string_view path) {
    static constexpr std::array<std::string_view, 7> kSuffixes = {".cpp", ".cc", ".cxx",  ".h",
                                                                  ".hpp", ".hh", ".cmake"};
    if (path == "CMakeLists.txt" || path.ends_with("/CMakeLists.txt")) return true;
    return std::any_of(kSuffixes.begin(), kSuffixes.end(),
                       [&](std::string_view suffix) { return path.ends_with(suffix); });
}

Result<std::string> compile_handler(const Source& source, const std::vector<SourceFile>& files,
                                    const Options& options, ProcessLauncher& launcher) {
    return Compilation(source, files, options, launcher).run();
}

}  // namespace fathom::build
