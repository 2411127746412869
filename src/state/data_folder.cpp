#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>

#include "rt/fd.h"
#include "state/files.h"
#include "state/state.h"

namespace fathom::state {
namespace {

constexpr std::string_view kFormatWord = "fathom ";  // FORMAT holds "fathom 1\n"

// A folder that holds nothing but what a start that was cut short leaves behind is as good as new.
Result<bool> is_as_new(const std::string& path) {
    std::error_code error;
    std::filesystem::directory_iterator each(path, error);
    for (; !error && each != std::filesystem::directory_iterator(); each.increment(error)) {
        const auto name = each->path().filename().string();
        if (name != "lock" && name != "FORMAT.unfinished") return false;
    }
    if (error) return fail_file(error.value(), "list the data folder", path);
    return true;
}

Result<> make_folder(const std::string& path) {
    std::error_code error;
    const auto parent = std::filesystem::path(path).parent_path();
    if (!parent.empty()) std::filesystem::create_directories(parent, error);
    if (error) return fail_file(error.value(), "make the folder", parent.string());
    if (::mkdir(path.c_str(), 0700) == 0) return {};
    if (errno != EEXIST) return fail_file(errno, "make the data folder", path);
    struct stat facts{};
    if (::stat(path.c_str(), &facts) != 0) return fail_file(errno, "read", path);
    if (!S_ISDIR(facts.st_mode)) {
        return fail(Errc::unsupported, "{} is a file; accepted as a data folder: a folder", path);
    }
    return {};
}

// Nothing when there is no FORMAT yet.
Result<> check_format(const std::string& path) {
    const auto file = path + "/FORMAT";
    const auto text = read_file(file, 64);
    if (!text && text.error().code() == Errc::not_found) {
        const auto as_new = is_as_new(path);
        if (!as_new) return fail(as_new.error());
        if (*as_new) return {};
        return fail(Errc::unsupported,
                    "{} is not empty and has no FORMAT file, so it is not a data folder of "
                    "fathom's; accepted: an empty or new folder",
                    path);
    }
    if (!text) return fail(text.error());

    int format = 0;
    std::string_view rest = *text;
    const bool is_ours = rest.starts_with(kFormatWord) && rest.ends_with('\n');
    if (is_ours) {
        rest.remove_prefix(kFormatWord.size());
        rest.remove_suffix(1);
    }
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), format);
    if (!is_ours || error != std::errc() || end != rest.data() + rest.size() || format < 1) {
        return fail(Errc::unsupported,
                    "{} is not a FORMAT file of fathom's; accepted: \"fathom {}\"", file, kFormat);
    }
    if (format > kFormat) {
        return fail(Errc::unsupported,
                    "{} has format {}, and this fathom knows up to {}: start the newer fathom "
                    "again, or restore a backup made with this one into an empty folder",
                    path, format, kFormat);
    }
    return {};
}

Result<rt::Fd> lock(const std::string& path) {
    const auto file = path + "/lock";
    rt::Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return fail_file(errno, "open", file);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return fail_file(errno, "lock", file);
        auto pid = read_file(file, 32).value_or("");
        while (!pid.empty() && (pid.back() < '0' || pid.back() > '9')) pid.pop_back();
        return fail(Errc::conflict,
                    "{} is in use by another fathom (pid {}): stop it, or choose another folder "
                    "with --data",
                    path, pid.empty() ? "unknown" : pid);
    }
    const auto pid = fmt::format("{}\n", ::getpid());
    if (::ftruncate(fd.get(), 0) != 0 ||
        ::pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
        return fail_file(errno, "write", file);
    }
    return fd;
}

Result<> write_format(const std::string& path) {
    const auto file = path + "/FORMAT";
    if (read_file(file, 1)) return {};
    return write_durably(file, fmt::format("{}{}\n", kFormatWord, kFormat));
}

}  // namespace

struct DataFolder::State {
    std::string path;
    rt::Fd lock;
};

DataFolder::DataFolder(std::unique_ptr<State> state) : state_(std::move(state)) {}
DataFolder::DataFolder(DataFolder&&) noexcept = default;
DataFolder& DataFolder::operator=(DataFolder&&) noexcept = default;
DataFolder::~DataFolder() = default;

Result<DataFolder> DataFolder::open(std::string path) {
    if (path.empty()) return fail(Errc::invalid, "the data folder is missing; accepted: a path");
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    if (auto made = make_folder(path); !made) return fail(std::move(made).error());
    // Before the lock, which would leave a file in a folder that is not ours.
    if (auto format = check_format(path); !format) return fail(std::move(format).error());
    auto locked = lock(path);
    if (!locked) return fail(std::move(locked).error());
    if (auto written = write_format(path); !written) return fail(std::move(written).error());
    return DataFolder(std::make_unique<State>(std::move(path), std::move(*locked)));
}

const std::string& DataFolder::path() const noexcept {
    return state_->path;
}
int DataFolder::lock_fd() const noexcept {
    return state_->lock.get();
}

}  // namespace fathom::state
