#include "image/archive.h"

#include <array>
#include <charconv>
#include <cstring>
#include <numeric>

#include "core/check.h"

namespace fathom::image {
namespace {

constexpr std::size_t kBlock = 512;
constexpr Bytes kLongBytesMax = 64_KiB;  // of a pax record block or a GNU long name
constexpr Bytes kFileBytesMax = 64_GiB;
constexpr std::size_t kPathBytesMax = 4096;
constexpr std::size_t kPartBytesMax = 255;
constexpr Bytes kUstarSizeMax = 077777777777;

// IEEE Std 1003.1 "pax", section "ustar Interchange Format".
struct Field {
    std::size_t offset, bytes;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kSize{124, 12}, kChecksum{148, 8}, kTarget{157, 100},
    kMagic{257, 8}, kPrefix{345, 155};
constexpr std::size_t kTypeOffset = 156;
constexpr std::string_view kUstar{
    "ustar\0"
    "00",
    8};

std::string_view raw(std::string_view block, Field field) {
    return block.substr(field.offset, field.bytes);
}

std::string_view text_of(std::string_view block, Field field) {
    const auto bytes = raw(block, field);
    return bytes.substr(0, bytes.find('\0'));
}

Result<Bytes> octal(std::string_view block, Field field, std::string_view what) {
    auto text = text_of(block, field);
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    if (text.empty()) return Bytes{0};
    Bytes value = 0;
    const auto* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, value, 8);
    if (error != std::errc{} || end != last)
        return fail(Errc::invalid, "the {} of an archive entry is not an octal number", what);
    return value;
}

// The sum of all bytes with the checksum's own as spaces.
unsigned checksum(std::string_view block) {
    unsigned sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
        const bool is_own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.bytes;
        sum += is_own ? unsigned{' '} : static_cast<unsigned char>(block[i]);
    }
    return sum;
}

bool is_zero(std::string_view bytes) {
    return bytes.find_first_not_of('\0') == std::string_view::npos;
}

}  // namespace

Result<std::string> clean_path(std::string_view path) {
    const auto whole = path;
    if (path.starts_with('/'))
        return fail(Errc::invalid, "the archive's path \"{}\" is absolute; relative ones are taken",
                    whole);
    std::string clean;
    while (!path.empty()) {
        const auto slash = path.find('/');
        const auto part = path.substr(0, slash);
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
        if (part.empty() || part == ".") continue;
        if (part == "..")
            return fail(Errc::invalid, "the archive's path \"{}\" leads outside (\"..\")", whole);
        if (part.size() > kPartBytesMax || part.find('\0') != std::string_view::npos)
            return fail(Errc::invalid, "a part of an archive's path is over {} bytes or holds NUL",
                        kPartBytesMax);
        if (!clean.empty()) clean += '/';
        clean += part;
    }
    if (clean.empty())
        return fail(Errc::invalid, "an archive entry has the empty path \"{}\"", whole);
    if (clean.size() > kPathBytesMax)
        return fail(Errc::invalid, "an archive's path is over {} bytes", kPathBytesMax);
    return clean;
}

Result<> check_link(std::string_view path, std::string_view target) {
    const auto refuse = [&](std::string_view why) {
        return fail(Errc::invalid, "the link \"{}\" points to \"{}\": {}", path, target, why);
    };
    if (target.empty() || target.size() > kPathBytesMax) return refuse("empty or too long");
    if (target.starts_with('/')) return refuse("absolute; only relative targets inside are taken");
    if (target.find('\0') != std::string_view::npos) return refuse("it holds NUL");

    // Folders between the link and the first part of its path: so often may it go up.
    auto depth = static_cast<int>(std::count(path.begin(), path.end(), '/')) - 1;
    bool has_gone_down = false;
    for (auto rest = target; !rest.empty();) {
        const auto slash = rest.find('/');
        const auto part = rest.substr(0, slash);
        rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
        if (part.empty() || part == ".") continue;
        if (part != "..") {
            has_gone_down = true;
        } else if (has_gone_down) {
            return refuse("\"..\" is taken only at the start of a link's target");
        } else if (--depth < 0) {
            return refuse("outside of the handler folder");
        }
    }
    return {};
}

// ------------------------------------------------------------------------------------------------
// Reading

Result<> ArchiveReader::feed(std::string_view bytes) {
    while (!bytes.empty()) {
        if (state_ == State::ended) {
            if (!is_zero(bytes))
                return fail(Errc::invalid, "there are bytes after the archive's end");
            return {};
        }
        if (state_ == State::header) {
            const auto piece = bytes.substr(0, kBlock - block_.size());
            block_ += piece;
            bytes.remove_prefix(piece.size());
            if (block_.size() < kBlock) return {};
            if (auto taken = take_header(); !taken) return taken;
            block_.clear();
            continue;
        }
        const auto piece = bytes.substr(0, std::min<Bytes>(left_, bytes.size()));
        bytes.remove_prefix(piece.size());
        left_ -= piece.size();
        if (state_ == State::data) {
            if (auto passed = sink_.data(piece); !passed) return passed;
        } else if (state_ == State::long_name) {
            long_ += piece;
        }
        if (left_ > 0) return {};
        if (state_ == State::padding) {
            state_ = State::header;
            continue;
        }
        auto ended = state_ == State::data ? sink_.end() : take_long_name();
        if (!ended) return ended;
        left_ = padding_;
        state_ = left_ > 0 ? State::padding : State::header;
    }
    return {};
}

Result<> ArchiveReader::finish() {
    if (state_ == State::ended) return {};
    return fail(Errc::invalid, "the archive is cut off: its end mark (two zero blocks) is missing");
}

void ArchiveReader::expect_padding(Bytes size) {
    padding_ = (kBlock - size % kBlock) % kBlock;
}

Result<> ArchiveReader::take_header() {
    if (is_zero(block_)) {
        if (++zero_blocks_ == 2) state_ = State::ended;
        return {};
    }
    if (zero_blocks_ > 0) return fail(Errc::invalid, "the archive goes on after a zero block");

    const auto sum = octal(block_, kChecksum, "checksum");
    if (!sum || *sum != checksum(block_))
        return fail(Errc::invalid, "this is not a tar archive, or it is damaged (header checksum)");
    auto size = octal(block_, kSize, "size");
    if (!size) return fail(std::move(size).error());
    const auto mode = octal(block_, kMode, "mode");
    if (!mode) return fail(mode.error());
    const char type = block_[kTypeOffset];

    if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
        if (*size == 0 || *size > kLongBytesMax)
            return fail(Errc::invalid, "a long name in the archive has {} bytes; 1 to {} are taken",
                        *size, kLongBytesMax);
        long_type_ = type;
        long_.clear();
        left_ = *size;
        expect_padding(*size);
        state_ = State::long_name;
        return {};
    }

    auto path = std::exchange(next_path_, {});
    if (path.empty()) {
        const auto prefix = raw(block_, kMagic) == kUstar ? text_of(block_, kPrefix) : "";
        path = prefix.empty() ? std::string() : std::string(prefix) + "/";
        path += text_of(block_, kName);
    }
    auto target = std::exchange(next_target_, {});
    if (target.empty()) target = text_of(block_, kTarget);
    if (std::exchange(has_next_size_, false)) size = next_size_;
    return begin_entry(type, path, std::move(target), *size, (*mode & 0111) != 0);
}

Result<> ArchiveReader::begin_entry(char type, std::string_view path, std::string target,
                                    Bytes size, bool exec) {
    if ((type == '5') && (path == "." || path == "./")) return {};  // `tar -C folder .` begins so
    auto clean = clean_path(path);
    if (!clean) return fail(std::move(clean).error());
    Entry entry{.path = std::move(*clean)};
    if (type == '0' || type == '\0') {
        entry.kind = Entry::Kind::file;
        entry.size = size;
        entry.is_executable = exec;
    } else if (type == '5') {
        entry.kind = Entry::Kind::folder;
    } else if (type == '2') {
        entry.kind = Entry::Kind::link;
        entry.target = std::move(target);
    } else {
        return fail(Errc::invalid,
                    "the archive's \"{}\" is a {}; files, folders and symbolic links are taken",
                    entry.path,
                    type == '1'                  ? "hard link"
                    : type >= '3' && type <= '6' ? "device or FIFO"
                                                 : "kind of entry that is not known");
    }
    if (entry.kind != Entry::Kind::file && size != 0)
        return fail(Errc::invalid, "the archive's \"{}\" is no file, yet has bytes", entry.path);
    if (size > kFileBytesMax)
        return fail(Errc::too_large, "the archive's \"{}\" has {} bytes; at most {} are taken",
                    entry.path, size, kFileBytesMax);

    if (auto begun = sink_.begin(entry); !begun) return begun;
    if (size == 0) return sink_.end();
    left_ = size;
    expect_padding(size);
    state_ = State::data;
    return {};
}

Result<> ArchiveReader::take_long_name() {
    if (long_type_ == 'g') return {};
    if (long_type_ == 'x') return take_pax(long_);
    auto& into = long_type_ == 'L' ? next_path_ : next_target_;
    into = long_.substr(0, long_.find('\0'));
    if (into.empty()) return fail(Errc::invalid, "a long name in the archive is empty");
    return {};
}

// Records of the form "LENGTH KEY=VALUE\n", where LENGTH counts the whole record.
Result<> ArchiveReader::take_pax(std::string_view records) {
    const auto damaged = [] {
        return fail(Errc::invalid, "a pax record in the archive is damaged");
    };
    while (!records.empty()) {
        std::size_t length = 0;
        const auto [end, error] =
            std::from_chars(records.data(), records.data() + records.size(), length);
        const auto digits = static_cast<std::size_t>(end - records.data());
        if (error != std::errc{} || length > records.size() || length < digits + 3)
            return damaged();
        auto record = records.substr(0, length);
        records.remove_prefix(length);
        if (record[digits] != ' ' || !record.ends_with('\n')) return damaged();
        record = record.substr(digits + 1, length - digits - 2);
        const auto equals = record.find('=');
        if (equals == std::string_view::npos) return damaged();
        const auto key = record.substr(0, equals);
        const auto value = record.substr(equals + 1);
        if (key == "path") {
            next_path_ = value;
        } else if (key == "linkpath") {
            next_target_ = value;
        } else if (key == "size") {
            const auto* last = value.data() + value.size();
            const auto [stop, wrong] = std::from_chars(value.data(), last, next_size_);
            if (wrong != std::errc{} || stop != last) return damaged();
            has_next_size_ = true;
        } else if (key.starts_with("GNU.sparse")) {
            return fail(Errc::invalid, "sparse files in archives are not taken");
        }
    }
    return {};
}

// ------------------------------------------------------------------------------------------------
// Writing

namespace {

void put_text(std::string& block, Field field, std::string_view text) {
    FATHOM_CHECK(text.size() <= field.bytes, "text fits its field");
    std::copy(text.begin(), text.end(), block.begin() + static_cast<std::ptrdiff_t>(field.offset));
}

void put_octal(std::string& block, Field field, Bytes value) {
    put_text(block, field, fmt::format("{:0{}o}", value, field.bytes - 1));
}

// "LENGTH key=value\n" where LENGTH counts itself.
std::string pax_record(std::string_view key, std::string_view value) {
    const auto rest = key.size() + value.size() + 3;
    auto length = rest + 1;
    while (rest + std::to_string(length).size() != length) ++length;
    return fmt::format("{} {}={}\n", length, key, value);
}

}  // namespace

Result<> ArchiveWriter::begin(const Entry& entry) {
    std::string path = entry.path;
    char type = '0';
    if (entry.kind == Entry::Kind::folder) {
        path += '/';
        type = '5';
    } else if (entry.kind == Entry::Kind::link) {
        type = '2';
    }

    std::string records;
    if (path.size() > kName.bytes) records += pax_record("path", path);
    if (entry.target.size() > kTarget.bytes) records += pax_record("linkpath", entry.target);
    if (entry.size > kUstarSizeMax) records += pax_record("size", std::to_string(entry.size));
    if (!records.empty()) {
        const Entry pax{.path = "pax", .size = records.size()};
        if (auto sent = header(pax, 'x', "pax", ""); !sent) return sent;
        if (auto sent = out_(records); !sent) return sent;
        if (auto sent = pad(records.size()); !sent) return sent;
    }
    path_ = entry.path;
    promised_ = entry.size;
    written_ = 0;
    return header(entry, type, std::string_view(path).substr(0, kName.bytes),
                  std::string_view(entry.target).substr(0, kTarget.bytes));
}

Result<> ArchiveWriter::header(const Entry& entry, char type, std::string_view path,
                               std::string_view target) {
    std::string block(kBlock, '\0');
    put_text(block, kName, path);
    const bool is_plain = entry.kind == Entry::Kind::file && !entry.is_executable;
    put_octal(block, kMode, is_plain ? 0644 : 0755);
    put_octal(block, {108, 8}, 0);  // uid
    put_octal(block, {116, 8}, 0);  // gid
    put_octal(block, kSize, std::min(entry.size, kUstarSizeMax));
    put_octal(block, {136, 12}, 0);  // mtime
    block[kTypeOffset] = type;
    put_text(block, kTarget, target);
    put_text(block, kMagic, kUstar);
    put_octal(block, {329, 8}, 0);                             // device major
    put_octal(block, {337, 8}, 0);                             // device minor
    put_octal(block, {kChecksum.offset, 7}, checksum(block));  // six digits, NUL, space
    block[kChecksum.offset + 7] = ' ';
    return out_(block);
}

Result<> ArchiveWriter::data(std::string_view bytes) {
    written_ += bytes.size();
    if (written_ > promised_) return fail(Errc::conflict, "\"{}\" grew while it was packed", path_);
    return out_(bytes);
}

Result<> ArchiveWriter::end() {
    if (written_ != promised_)
        return fail(Errc::conflict, "\"{}\" shrank while it was packed", path_);
    return pad(promised_);
}

Result<> ArchiveWriter::pad(Bytes size) {
    static constexpr std::array<char, kBlock> kZeros{};
    const auto missing = (kBlock - size % kBlock) % kBlock;
    if (missing == 0) return {};
    return out_({kZeros.data(), static_cast<std::size_t>(missing)});
}

Result<> ArchiveWriter::finish() {
    return out_(std::string(2 * kBlock, '\0'));
}

}  // namespace fathom::image
