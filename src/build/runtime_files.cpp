#include "build/runtime_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "rt/socket.h"

namespace fathom::build {
namespace {

constexpr const char* kStampFile = "STAMP";

auto disk_error(std::string_view what, std::string_view path) {
    const int number = errno;
    return fail_errno(Errc::unavailable, number, fmt::format("cannot {} {}", what, path));
}

std::string read_stamp(const std::string& folder) {
    const rt::Fd file(::open((folder + "/" + kStampFile).c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 128> text{};
    const auto got = file ? ::read(file.get(), text.data(), text.size()) : 0;
    return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
}

bool is_there(const std::string& folder, std::span<const RuntimeFile> files) {
    if (read_stamp(folder) != runtime_stamp()) return false;
    for (const auto& file : files) {
        struct stat facts{};
        const auto path = fmt::format("{}/{}", folder, file.path);
        if (::stat(path.c_str(), &facts) != 0) return false;
        if (static_cast<std::size_t>(facts.st_size) != file.bytes.size()) return false;
    }
    return true;
}

// Under another name first: a runner that starts meanwhile sees the old file or the new one.
Result<> write_file(const std::string& path, std::string_view bytes, mode_t mode) {
    const auto unfinished = fmt::format("{}.{}.new", path, ::getpid());
    const rt::Fd file(::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (!file || ::fchmod(file.get(), mode) != 0) return disk_error("make", unfinished);
    while (!bytes.empty()) {
        const auto written = ::write(file.get(), bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return disk_error("write", unfinished);
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::rename(unfinished.c_str(), path.c_str()) != 0) return disk_error("write", path);
    return {};
}

Result<> make_folders(const std::filesystem::path& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error)
        return fail(Errc::unavailable, "cannot make {}: {}", folder.string(), error.message());
    return {};
}

// No flush: after a power cut a missing or short file has the wrong size and is written again.
Result<> write_files(const std::string& folder, std::span<const RuntimeFile> files) {
    if (is_there(folder, files)) return {};
    // Python believes a compiled file of ours unseen (compile_runner.py): none of another version
    // may stay.
    std::error_code ignored;
    std::filesystem::remove_all(folder + "/python3/__pycache__", ignored);
    for (const auto& file : files) {
        const auto path = fmt::format("{}/{}", folder, file.path);
        if (auto made = make_folders(std::filesystem::path(path).parent_path()); !made) return made;
        const mode_t mode = file.is_executable ? 0755 : 0644;
        if (auto written = write_file(path, file.bytes, mode); !written) return written;
    }
    if (auto made = make_folders(folder); !made) return made;
    return write_file(fmt::format("{}/{}", folder, kStampFile), runtime_stamp(), 0644);
}

}  // namespace

Result<> write_runtime(const std::string& folder) {
    return write_files(folder, runtime_files());
}

Result<> write_sdk(const std::string& folder) {
    return write_files(folder, sdk_files());
}

}  // namespace fathom::build
