#include "state/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "rt/fd.h"

namespace fathom::state {
namespace {

Result<rt::Fd> open_file(const std::string& path, int flags) {
    rt::Fd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
    if (!fd) return fail_file(errno, "open", path);
    return fd;
}

Result<> sync_file(const std::string& path, int flags) {
    const auto fd = open_file(path, flags);
    if (!fd) return fail(fd.error());
    if (::fsync(fd->get()) != 0) return fail_file(errno, "sync", path);
    return {};
}

std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Result<> write_all(int fd, std::string_view text, const std::string& path) {
    while (!text.empty()) {
        const auto sent = ::write(fd, text.data(), text.size());
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return fail_file(errno, "write", path);
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return {};
}

}  // namespace

std::unexpected<Error> fail_file(int error_number, std::string_view doing,
                                 const std::string& path) {
    const bool is_refused =
        error_number == EACCES || error_number == EPERM || error_number == EROFS;
    const auto code = is_refused               ? Errc::forbidden
                      : error_number == ENOENT ? Errc::not_found
                                               : Errc::unavailable;
    if (!is_refused) return fail_errno(code, error_number, fmt::format("{} {}", doing, path));
    return fail_errno(code, error_number, fmt::format("{} {} as uid {}", doing, path, ::geteuid()));
}

Result<> sync_and_rename(const std::string& from, const std::string& to) {
    if (auto synced = sync_file(from, O_RDONLY); !synced) return synced;
    if (::rename(from.c_str(), to.c_str()) != 0) return fail_file(errno, "rename to", to);
    return sync_file(folder_of(to), O_RDONLY | O_DIRECTORY);
}

Result<> write_durably(const std::string& path, std::string_view text) {
    const auto unfinished = path + ".unfinished";
    {
        const auto fd = open_file(unfinished, O_WRONLY | O_CREAT | O_TRUNC);
        if (!fd) return fail(fd.error());
        if (auto written = write_all(fd->get(), text, unfinished); !written) return written;
    }
    return sync_and_rename(unfinished, path);
}

Result<> remove_file(const std::string& path) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return fail_file(errno, "remove", path);
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
    const auto fd = open_file(path, O_RDONLY);
    if (!fd) return fail(fd.error());
    std::string text(bytes_max, '\0');
    std::size_t size = 0;
    while (size < bytes_max) {
        const auto got = ::read(fd->get(), text.data() + size, bytes_max - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_file(errno, "read", path);
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    text.resize(size);
    return text;
}

}  // namespace fathom::state
