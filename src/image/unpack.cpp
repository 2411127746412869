#include "image/unpack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace fathom::image {
namespace {

// Up to so many files are flushed one by one; beyond, one syncfs() of the whole disk is cheaper.
constexpr std::size_t kFlushOneByOneMax = 256;
// What an entry costs on disk besides its bytes, so that a million empty files are not free.
constexpr Bytes kEntryBytes = 512;

auto disk_error(std::string_view what, std::string_view path) {
    const int number = errno;
    return fail_errno(Errc::unavailable, number, fmt::format("cannot {} \"{}\"", what, path));
}

Result<> write_all(int fd, std::string_view bytes, std::string_view path) {
    while (!bytes.empty()) {
        const auto written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return disk_error("write", path);
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

Result<> flush_folder(int root, const std::string& path) {
    const rt::Fd folder(::openat(root, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || ::fsync(folder.get()) != 0) return disk_error("flush", path);
    return {};
}

}  // namespace

Unpacker::Unpacker(std::string folder, Store::Limits limits)
    : folder_(std::move(folder)), limits_(limits) {}

Unpacker::~Unpacker() {
    if (is_kept_) return;
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

Result<> Unpacker::begin() {
    if (::mkdir(folder_.c_str(), 0755) != 0) return disk_error("make", folder_);
    root_ = rt::Fd(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root_) return disk_error("open", folder_);
    if (::fchmod(root_.get(), 0755) != 0) return disk_error("make", folder_);
    return make_folder(std::string(kFunctionFolder));
}

Result<> Unpacker::feed(std::string_view archive) {
    archive_bytes_ += archive.size();
    if (archive_bytes_ > limits_.archive_bytes_max)
        return fail(Errc::too_large, "the bundle is over {} bytes (archive_bytes_max)",
                    limits_.archive_bytes_max);
    digest_.add(archive);
    return reader_.feed(archive);
}

Result<> Unpacker::check_place(const Entry& entry) const {
    const std::string_view path = entry.path;
    if (path == kManifestPath) {
        if (entry.kind == Entry::Kind::file && entry.size <= kManifestBytesMax) return {};
        return fail(Errc::invalid, "{} must be a file of at most {} bytes", path,
                    kManifestBytesMax);
    }
    const auto top = path.substr(0, path.find('/'));
    const bool is_top = top.size() == path.size();
    if (top != kFunctionFolder || (is_top && entry.kind != Entry::Kind::folder))
        return fail(Errc::invalid,
                    "the bundle holds \"{}\"; it may hold fathom.json and files under function/",
                    path);
    if (entry.kind == Entry::Kind::link) return check_link(path, entry.target);
    return {};
}

Result<> Unpacker::begin(const Entry& entry) {
    if (seen_.size() >= limits_.entries_max)
        return fail(Errc::too_large, "the bundle has over {} entries (entries_max)",
                    limits_.entries_max);
    unpacked_bytes_ += entry.size + kEntryBytes;
    if (unpacked_bytes_ > limits_.unpacked_bytes_max)
        return fail(Errc::too_large, "the bundle unpacks to over {} bytes (unpacked_bytes_max)",
                    limits_.unpacked_bytes_max);
    if (auto checked = check_place(entry); !checked) return checked;

    const auto known = seen_.find(entry.path);
    if (known != seen_.end()) {
        const bool is_folder_again =
            known->second == Entry::Kind::folder && entry.kind == Entry::Kind::folder;
        if (is_folder_again) return {};
        return fail(Errc::invalid, "the bundle holds \"{}\" twice", entry.path);
    }
    if (auto made = make_parents(entry.path); !made) return made;
    if (entry.kind == Entry::Kind::folder) return make_folder(entry.path);

    seen_.emplace(entry.path, entry.kind);
    if (entry.kind == Entry::Kind::link) {
        if (::symlinkat(entry.target.c_str(), root_.get(), entry.path.c_str()) == 0) return {};
        return disk_error("make the link", entry.path);
    }
    is_manifest_ = entry.path == kManifestPath;
    const mode_t mode = entry.is_executable ? 0755 : 0644;
    file_ = rt::Fd(::openat(root_.get(), entry.path.c_str(),
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!file_ || ::fchmod(file_.get(), mode) != 0) return disk_error("make", entry.path);
    path_ = entry.path;
    ++files_;
    return {};
}

// Folders that no entry named. A file or link in their place is refused: nothing is ever written
// through a link.
Result<> Unpacker::make_parents(std::string_view path) {
    for (auto slash = path.find('/'); slash != std::string_view::npos;
         slash = path.find('/', slash + 1)) {
        const auto parent = path.substr(0, slash);
        const auto known = seen_.find(parent);
        if (known == seen_.end()) {
            if (seen_.size() >= limits_.entries_max)
                return fail(Errc::too_large, "the bundle has over {} entries (entries_max)",
                            limits_.entries_max);
            if (auto made = make_folder(std::string(parent)); !made) return made;
        } else if (known->second != Entry::Kind::folder) {
            return fail(Errc::invalid, "the bundle holds \"{}\", but \"{}\" is no folder", path,
                        parent);
        }
    }
    return {};
}

Result<> Unpacker::make_folder(const std::string& path) {
    if (::mkdirat(root_.get(), path.c_str(), 0755) != 0 ||
        ::fchmodat(root_.get(), path.c_str(), 0755, 0) != 0)
        return disk_error("make", path);
    seen_.emplace(path, Entry::Kind::folder);
    return {};
}

Result<> Unpacker::data(std::string_view bytes) {
    if (is_manifest_) manifest_ += bytes;
    return write_all(file_.get(), bytes, path_);
}

Result<> Unpacker::end() {
    is_manifest_ = false;
    if (!file_) return {};
    if (files_ <= kFlushOneByOneMax && ::fsync(file_.get()) != 0) return disk_error("flush", path_);
    file_ = {};
    return {};
}

Result<> Unpacker::flush() {
    if (files_ > kFlushOneByOneMax) {
        if (::syncfs(root_.get()) != 0) return disk_error("flush", folder_);
        return {};
    }
    for (const auto& [path, kind] : seen_) {
        if (kind != Entry::Kind::folder) continue;
        if (auto flushed = flush_folder(root_.get(), path); !flushed) return flushed;
    }
    if (::fsync(root_.get()) != 0) return disk_error("flush", folder_);
    return {};
}

Result<Unpacker::Unpacked> Unpacker::finish() {
    if (auto finished = reader_.finish(); !finished) return fail(std::move(finished).error());
    if (!seen_.contains(kManifestPath))
        return fail(Errc::invalid, "the bundle has no {}: make one with `fathom deploy -f`",
                    kManifestPath);
    auto manifest = parse_manifest(manifest_);
    if (!manifest) return fail(std::move(manifest).error());
    if (auto flushed = flush(); !flushed) return fail(std::move(flushed).error());
    return Unpacked{std::move(*manifest), digest_.hex()};
}

Result<> Unpacker::keep(const std::string& final_folder) {
    if (::rename(folder_.c_str(), final_folder.c_str()) != 0) {
        if (errno == ENOTEMPTY || errno == EEXIST) return {};  // the same bytes: leave them
        return disk_error("keep", final_folder);
    }
    is_kept_ = true;
    return flush_folder(root_.get(), "..");
}

}  // namespace fathom::image
