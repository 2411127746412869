// Unpacks one bundle into a folder of its own, checked entry by entry. Blocking: on the pool only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "image/archive.h"
#include "image/bundle.h"
#include "image/digest.h"
#include "image/image.h"

namespace fathom::image {

class Unpacker final : public EntrySink {
public:
    // `folder` is made by begin() and removed with the Unpacker, unless it was kept.
    Unpacker(std::string folder, Store::Limits limits);
    ~Unpacker() override;

    // Errors: unavailable    the disk refused
    Result<> begin();
    // Errors: invalid, too_large, unavailable
    Result<> feed(std::string_view archive);
    // Everything is checked and on disk, under the temporary name.
    struct Unpacked {
        Manifest manifest;
        std::string digest;  // 64 hexadecimal digits
    };
    Result<Unpacked> finish();
    // Moves the finished folder to `final_folder`, durably; one that is there already wins.
    Result<> keep(const std::string& final_folder);

    Result<> begin(const Entry& entry) override;
    Result<> data(std::string_view bytes) override;
    Result<> end() override;

private:
    Result<> check_place(const Entry& entry) const;
    Result<> make_parents(std::string_view path);
    Result<> make_folder(const std::string& path);
    Result<> flush();

    const std::string folder_;
    const Store::Limits limits_;
    ArchiveReader reader_{*this};
    Sha256 digest_;
    rt::Fd root_;
    rt::Fd file_;
    std::string path_;  // of the file that is being written
    std::map<std::string, Entry::Kind, std::less<>> seen_;
    std::string manifest_;
    bool is_manifest_ = false;
    bool is_kept_ = false;
    Bytes archive_bytes_ = 0;
    Bytes unpacked_bytes_ = 0;
    std::size_t files_ = 0;
};

}  // namespace fathom::image
