// Tar archives (POSIX ustar with pax names), as bundles use them: files, folders, links, no more.
//
// Why not libarchive: it brings libxml2 and ICU, 3.4 MiB of resident memory and 1.6 ms of start
// time into the daemon (measured on Debian 12), and can do far more than a bundle may. What stands
// here refuses everything a bundle does not need.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/units.h"

namespace fathom::image {

struct Entry {
    enum class Kind : std::uint8_t { file, folder, link };
    std::string
        path{};  // relative, "/" between parts, without "." or ".." parts, at most 4096 bytes
    Kind kind = Kind::file;
    bool is_executable = false;  // files only
    Bytes size = 0;              // files only: bytes that follow
    std::string target{};        // links only, as written
};

// Where the entries of an archive go, in their order. An error ends the reading.
class EntrySink {
public:
    virtual ~EntrySink() = default;
    virtual Result<> begin(const Entry& entry) = 0;
    // The next bytes of the file begun last; `entry.size` bytes in all.
    virtual Result<> data(std::string_view bytes) = 0;
    virtual Result<> end() = 0;
};

// Reads an archive as it arrives. Holds at most one header, one long name and nothing of the files.
//
// Refused with `invalid`, naming the entry: paths that are absolute or hold "..", hard links,
// devices, FIFOs, sparse and unknown kinds, wrong checksums, numbers that are not octal, an archive
// that ends before its end mark, anything but zeros after it.
class ArchiveReader {
public:
    explicit ArchiveReader(EntrySink& sink) : sink_(sink) {}

    Result<> feed(std::string_view bytes);
    // Errors: invalid    the archive is not at its end
    Result<> finish();

private:
    enum class State : std::uint8_t { header, long_name, data, padding, ended };

    Result<> take_header();
    Result<> take_long_name();
    Result<> take_pax(std::string_view records);
    Result<> begin_entry(char type, std::string_view path, std::string target, Bytes size,
                         bool exec);
    void expect_padding(Bytes size);

    EntrySink& sink_;
    State state_ = State::header;
    std::string block_;        // of the header that is arriving
    std::string long_;         // of the long name or pax record that is arriving
    char long_type_ = 0;       // 'x' pax, 'g' pax for all (skipped), 'L' GNU path, 'K' GNU target
    std::string next_path_;    // for the next header, from a long name
    std::string next_target_;  // the same
    bool has_next_size_ = false;
    Bytes next_size_ = 0;
    Bytes left_ = 0;     // of the data, long name or padding
    Bytes padding_ = 0;  // after the data
    int zero_blocks_ = 0;
};

// A path as it may stand in a bundle: without "./" in front and "/" at the end.
// Errors: invalid    empty, absolute, with "..", over 4096 bytes, a part over 255 bytes
Result<std::string> clean_path(std::string_view path);

// Whether a link at `path` may point to `target`: relative, ".." only at its start, and not out of
// the folder that is the first part of `path`. Exact, not only in spelling, as long as every folder
// of `path` is a real one.
// Errors: invalid    names path and target
Result<> check_link(std::string_view path, std::string_view target);

// Writes an archive whose bytes depend on nothing but the entries: no times, owners or modes but
// "executable or not". Entries come out in the order of the calls.
class ArchiveWriter {
public:
    using Out = std::function<Result<>(std::string_view bytes)>;
    explicit ArchiveWriter(Out out) : out_(std::move(out)) {}

    // For a file, `entry.size` bytes of data() follow.
    Result<> begin(const Entry& entry);
    Result<> data(std::string_view bytes);
    // Ends the file begun last. Errors: conflict    fewer or more bytes than promised came
    Result<> end();
    // The end mark.
    Result<> finish();

private:
    Result<> header(const Entry& entry, char type, std::string_view path, std::string_view target);
    Result<> pad(Bytes size);

    Out out_;
    std::string path_;
    Bytes promised_ = 0;
    Bytes written_ = 0;
};

}  // namespace fathom::image
