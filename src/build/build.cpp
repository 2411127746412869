#include "build/build.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "build/compile.h"
#include "build/files.h"
#include "build/languages.h"
#include "image/archive.h"
#include "image/digest.h"

namespace fathom::build {
namespace {

using image::Entry;

// An archive on its way into a file that has no name.
class Packing {
public:
    // Errors: unavailable
    Result<> open(const std::string& folder) {
        auto name = folder + "/fathom-bundle-XXXXXX";
        file_ = rt::Fd(::mkostemp(name.data(), O_CLOEXEC));
        if (!file_)
            return fail_errno(Errc::unavailable, errno, fmt::format("cannot write in {}", folder));
        ::unlink(name.c_str());
        return {};
    }

    Result<> add(const Entry& entry, std::string_view bytes) {
        if (auto begun = writer_.begin(entry); !begun) return begun;
        if (!bytes.empty()) {
            if (auto written = writer_.data(bytes); !written) return written;
        }
        return writer_.end();
    }

    Result<> add_file(const Entry& entry, const std::string& path) {
        if (auto begun = writer_.begin(entry); !begun) return begun;
        auto read = read_file(path, [&](std::string_view bytes) { return writer_.data(bytes); });
        return read ? writer_.end() : std::move(read);
    }

    Result<Bundle> finish(image::Manifest manifest) {
        if (auto finished = writer_.finish(); !finished) return fail(std::move(finished).error());
        if (::lseek(file_.get(), 0, SEEK_SET) != 0)
            return fail_errno(Errc::unavailable, errno, "cannot rewind the bundle");
        return Bundle{std::move(manifest), std::move(file_), size_, "sha256:" + digest_.hex()};
    }

private:
    Result<> write(std::string_view bytes) {
        digest_.add(bytes);
        size_ += bytes.size();
        while (!bytes.empty()) {
            const auto written = ::write(file_.get(), bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return fail_errno(Errc::unavailable, errno, "cannot write the bundle");
            bytes.remove_prefix(static_cast<std::size_t>(written));
        }
        return {};
    }

    rt::Fd file_;
    Bytes size_ = 0;
    image::Sha256 digest_;
    image::ArchiveWriter writer_{[this](std::string_view bytes) { return write(bytes); }};
};

Result<> check_files(const Source& source, const Language& language,
                     const std::vector<SourceFile>& files) {
    if (language.needs.empty()) return {};
    std::string list;
    for (const auto name : language.needs) {
        for (const auto& file : files)
            if (file.entry.path == name) return {};
        list += fmt::format("{}{}", list.empty() ? "" : " or ", name);
    }
    return fail(Errc::not_found, "handler: the folder \"{}\" holds no {}, which lang {} serves",
                source.handler, list, source.language);
}

Result<> pack_files(Packing& packing, const std::vector<SourceFile>& files) {
    for (const auto& file : files) {
        auto entry = file.entry;
        entry.path = fmt::format("{}/{}", image::kFunctionFolder, entry.path);
        auto added = entry.kind == Entry::Kind::file ? packing.add_file(entry, file.path)
                                                     : packing.add(entry, "");
        if (!added) return added;
    }
    return {};
}

// The sources go, the executable comes.
Result<> put_executable(std::vector<SourceFile>& files, const std::string& path) {
    std::error_code error;
    Entry entry{.path = "handler", .is_executable = true};
    entry.size = std::filesystem::file_size(path, error);
    if (error) return fail(Errc::unavailable, "cannot read {}: {}", path, error.message());
    std::erase_if(files, [](const SourceFile& file) {
        const bool is_source =
            file.entry.kind == Entry::Kind::file && is_cpp_source(file.entry.path);
        return is_source || file.entry.path == "handler" || file.entry.path == "build" ||
               file.entry.path.starts_with("build/");
    });
    files.push_back({std::move(entry), path});
    std::sort(files.begin(), files.end(),
              [](const SourceFile& a, const SourceFile& b) { return a.entry.path < b.entry.path; });
    return {};
}

}  // namespace

Builder::Builder(Options options, ProcessLauncher& launcher)
    : options_(std::move(options)), launcher_(launcher) {}

Result<Bundle> Builder::build(const Source& source) {
    const Language* language = nullptr;
    if (!source.language.empty()) {
        auto found = find_language(source.language);
        if (!found) return fail(std::move(found).error());
        language = *found;
    }
    auto manifest = manifest_of(source, language);
    if (!manifest) return fail(std::move(manifest).error());

    auto files = list_files(source.handler, {.bytes_max = options_.archive_bytes_max,
                                             .entries_max = options_.entries_max});
    if (!files) return fail(std::move(files).error());
    if (language != nullptr) {
        if (auto checked = check_files(source, *language, *files); !checked)
            return fail(std::move(checked).error());
    }
    if (language != nullptr && language->is_compiled) {
        auto path = compile_handler(source, *files, options_, launcher_);
        if (!path) return fail(std::move(path).error());
        if (auto put = put_executable(*files, *path); !put) return fail(std::move(put).error());
    }

    Packing packing;
    if (auto opened = packing.open(options_.temporary_folder); !opened)
        return fail(std::move(opened).error());
    const auto json = image::to_json(*manifest);
    if (auto added =
            packing.add({.path = std::string(image::kManifestPath), .size = json.size()}, json);
        !added)
        return fail(std::move(added).error());
    if (auto packed = pack_files(packing, *files); !packed) return fail(std::move(packed).error());
    return packing.finish(std::move(*manifest));
}

}  // namespace fathom::build
