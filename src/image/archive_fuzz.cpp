// Any bytes: the reader neither crashes nor lets a bad path through, and answers the same however
// the bytes are cut.
#include <cstdint>

#include "core/check.h"
#include "image/archive.h"
#include "image/bundle.h"

namespace {

using namespace fathom;
using namespace fathom::image;

class Checker final : public EntrySink {
public:
    Result<> begin(const Entry& entry) override {
        FATHOM_CHECK(clean_path(entry.path).value_or("") == entry.path, "paths are clean");
        promised = entry.size;
        seen += entry.path;
        return {};
    }
    Result<> data(std::string_view bytes) override {
        FATHOM_CHECK(bytes.size() <= promised, "no more bytes than promised");
        promised -= bytes.size();
        seen += bytes;
        return {};
    }
    Result<> end() override {
        FATHOM_CHECK(promised == 0, "no fewer bytes than promised");
        return {};
    }
    std::string seen;
    Bytes promised = 0;
};

std::string read(std::string_view archive, std::size_t step) {
    Checker checker;
    ArchiveReader reader(checker);
    for (; !archive.empty(); archive.remove_prefix(std::min(step, archive.size())))
        if (!reader.feed(archive.substr(0, step))) return "refused";
    if (!reader.finish()) return "refused";
    return std::move(checker.seen);
}

// The same input with every block's checksum right, so that what stands behind it is reached.
std::string repaired(std::string_view input) {
    std::string archive(input);
    for (std::size_t block = 0; block + 512 <= archive.size(); block += 512) {
        unsigned sum = 8U * ' ';
        for (std::size_t i = 0; i < 512; ++i)
            if (i < 148 || i >= 156) sum += static_cast<unsigned char>(archive[block + i]);
        if (sum > 8U * ' ') archive.replace(block + 148, 8, fmt::format("{:06o}  ", sum));
    }
    return archive;
}

void check_same_in_pieces(std::string_view archive) {
    FATHOM_CHECK(read(archive, archive.size()) == read(archive, 509), "the same in pieces");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    check_same_in_pieces(input);
    check_same_in_pieces(repaired(input));
    (void)parse_manifest(input);
    return 0;
}
