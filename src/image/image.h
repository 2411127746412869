// What can be run, by reference: bundles of handler files on the host base (OCI images come later,
// behind the same face).
//
// A bundle is a tar archive with `fathom.json` (the manifest) and the handler's files under
// `function/`. It is unpacked once, content-addressed, under DIR/sha256-<hex>/ and never changed.
//
//   image/image.h    Store: finds what runs by reference
//   image/bundle.h   the manifest, and the places in the archive
//   image/archive.h  the archives themselves
//   image/digest.h   SHA-256
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "function/function.h"
#include "http/message.h"
#include "rt/rt.h"

namespace fathom::image {

struct Image {
    std::string reference;  // "fathom.local/NAME:<first 12 hex digits of the digest>"
    std::string digest;     // "sha256:<64 hex digits>" of the archive
    std::string root;  // folder of the handler's files, mounted read-only at /home/app/function
    std::vector<std::string> command;  // argv of the replica, paths as seen inside the sandbox
    function::StringMap environment;   // defaults; the deployment's own wins
    std::string language;              // "python3", "" for a plain command
};

class Store {
public:
    struct Limits {
        Bytes archive_bytes_max = 1_GiB;
        Bytes unpacked_bytes_max = 4_GiB;
        std::size_t entries_max = 100'000;
    };
    virtual ~Store() = default;
    // Finds by reference or digest. Plain and quick: kept in memory.
    // Errors: not_found    names the reference and what there is
    virtual Result<Image> find(std::string_view reference) const = 0;
    virtual std::vector<Image> list() const = 0;
    // Takes an archive, checks it (paths stay inside, no devices, limits), and stores it durably;
    // putting the same bytes again answers the same image.
    // Errors: invalid, too_large, unavailable (disk)
    virtual Async<Image> put(http::BodyReader& archive) = 0;
    // Errors: not_found
    virtual Async<> remove(std::string_view reference) = 0;
};

// The store in `folder` (made if missing). File work is done on `pool`.
Result<std::unique_ptr<Store>> open_store(std::string folder, rt::BlockingPool& pool,
                                          Store::Limits limits = {});

}  // namespace fathom::image
