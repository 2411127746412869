#include "build/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "image/bundle.h"
#include "rt/socket.h"

namespace fathom::build {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 7> kLeftOut = {
    ".git", ".hg", ".svn", "__pycache__", ".pytest_cache", ".DS_Store", ".cache"};

bool is_left_out(std::string_view name) {
    return std::find(kLeftOut.begin(), kLeftOut.end(), name) != kLeftOut.end() ||
           name.ends_with(".pyc");
}

Result<image::Entry> entry_of(const fs::path& path, std::string relative) {
    image::Entry entry{.path = std::move(relative)};
    std::error_code error;
    const auto status = fs::symlink_status(path, error);
    if (error) return fail(Errc::forbidden, "cannot read {}: {}", path.string(), error.message());
    switch (status.type()) {
        case fs::file_type::regular:
            entry.size = fs::file_size(path, error);
            entry.is_executable =
                (status.permissions() & (fs::perms::owner_exec)) != fs::perms::none;
            break;
        case fs::file_type::directory:
            entry.kind = image::Entry::Kind::folder;
            break;
        case fs::file_type::symlink: {
            entry.kind = image::Entry::Kind::link;
            entry.target = fs::read_symlink(path, error).string();
            const auto in_bundle = fmt::format("{}/{}", image::kFunctionFolder, entry.path);
            if (auto checked = image::check_link(in_bundle, entry.target); !checked)
                return fail(std::move(checked).error().because(path.string()));
            break;
        }
        default:
            return fail(Errc::invalid,
                        "{} is neither file, folder nor link: take it out of the handler folder",
                        path.string());
    }
    if (error) return fail(Errc::forbidden, "cannot read {}: {}", path.string(), error.message());
    return entry;
}

class Walk {
public:
    explicit Walk(FileLimits limits) : limits_(limits) {}

    Result<> folder(const fs::path& path, const std::string& prefix) {
        std::error_code error;
        std::vector<std::string> names;
        for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
            names.push_back(it->path().filename().string());
        if (error)
            return fail(Errc::forbidden, "cannot read {}: {}", path.string(), error.message());
        std::sort(names.begin(), names.end());
        for (const auto& name : names) {
            if (is_left_out(name)) continue;
            if (auto added = add(path / name, prefix + name); !added) return added;
        }
        return {};
    }

    std::vector<SourceFile> files;

private:
    Result<> add(const fs::path& path, std::string relative) {
        auto entry = entry_of(path, std::move(relative));
        if (!entry) return fail(std::move(entry).error());
        bytes_ += entry->size;
        if (bytes_ > limits_.bytes_max)
            return fail(Errc::too_large, "the handler folder holds over {} MiB (at {})",
                        limits_.bytes_max >> 20, path.string());
        if (files.size() >= limits_.entries_max)
            return fail(Errc::too_large, "the handler folder holds over {} files (at {})",
                        limits_.entries_max, path.string());
        const bool is_folder = entry->kind == image::Entry::Kind::folder;
        const auto below = entry->path + "/";
        files.push_back({std::move(*entry), path.string()});
        return is_folder ? folder(path, below) : Result<>{};
    }

    FileLimits limits_;
    Bytes bytes_ = 0;
};

}  // namespace

Result<std::vector<SourceFile>> list_files(const std::string& path, FileLimits limits) {
    std::error_code error;
    const auto status = fs::status(path, error);
    if (!fs::exists(status))
        return fail(Errc::not_found, "handler: the folder \"{}\" does not exist", path);
    if (!fs::is_directory(status))
        return fail(Errc::invalid, "handler: \"{}\" is a file; the folder it is in is wanted",
                    path);
    Walk walk(limits);
    if (auto walked = walk.folder(path, ""); !walked) return fail(std::move(walked).error());
    return std::move(walk.files);
}

Result<> read_file(const std::string& path,
                   const std::function<Result<>(std::string_view bytes)>& take) {
    const rt::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file) return fail_errno(Errc::forbidden, errno, fmt::format("cannot read {}", path));
    std::string buffer(64UL * 1024, '\0');
    for (;;) {
        const auto got = ::read(file.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(Errc::forbidden, errno, fmt::format("cannot read {}", path));
        if (got == 0) return {};
        const auto piece = std::string_view(buffer).substr(0, static_cast<std::size_t>(got));
        if (auto taken = take(piece); !taken) return taken;
    }
}

}  // namespace fathom::build
