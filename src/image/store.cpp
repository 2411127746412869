#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <map>

#include "image/bundle.h"
#include "image/image.h"
#include "image/unpack.h"

namespace fathom::image {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "sha256-";
constexpr std::string_view kUnfinished = ".unfinished-";
constexpr std::size_t kHexDigits = 64;
constexpr std::size_t kShortDigits = 12;
constexpr std::size_t kFeedBytes = 256UL * 1024;  // handed to the pool at a time

// A program named without a folder is one of the host base.
Result<std::string> find_program(const std::string& word) {
    static constexpr std::array<std::string_view, 4> kFolders = {"/usr/local/bin/", "/usr/bin/",
                                                                 "/bin/", "/usr/sbin/"};
    if (word.find('/') != std::string::npos) return word;
    for (const auto folder : kFolders) {
        auto path = std::string(folder) + word;
        if (::access(path.c_str(), X_OK) == 0) return path;
    }
    return fail(Errc::invalid,
                "the bundle runs \"{}\", which is not on this host (/usr/local/bin, /usr/bin): "
                "install it, then deploy again",
                word);
}

Image make_image(Manifest manifest, std::string_view hex, const std::string& folder) {
    Image image;
    image.reference = fmt::format("fathom.local/{}:{}", manifest.name, hex.substr(0, kShortDigits));
    image.digest = fmt::format("sha256:{}", hex);
    image.root = fmt::format("{}/{}", folder, kFunctionFolder);
    image.command = std::move(manifest.command);
    if (auto program = find_program(image.command.front())) image.command.front() = *program;
    image.environment = std::move(manifest.environment);
    image.language = std::move(manifest.language);
    return image;
}

Result<std::string> read_manifest(const std::string& path) {
    const rt::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return fail_errno(Errc::unavailable, errno, fmt::format("cannot read {}", path));
    std::string text;
    std::array<char, 4096> buffer{};
    for (;;) {
        const auto got = ::read(file.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return fail_errno(Errc::unavailable, errno, fmt::format("cannot read {}", path));
        if (got == 0) return text;
        text.append(buffer.data(), static_cast<std::size_t>(got));
        if (text.size() > kManifestBytesMax) return fail(Errc::invalid, "{} is too large", path);
    }
}

// The images by digest. Immutable: readers on every core keep the one they loaded.
using Index = std::map<std::string, Image, std::less<>>;

class FolderStore final : public Store {
public:
    FolderStore(std::string folder, rt::BlockingPool& pool, Limits limits)
        : folder_(std::move(folder)), pool_(pool), limits_(limits) {}

    // Errors: unavailable    the folder cannot be made or read
    Result<> open();

    Result<Image> find(std::string_view reference) const override;
    std::vector<Image> list() const override;
    Async<Image> put(http::BodyReader& archive) override;
    Async<> remove(std::string_view reference) override;

private:
    std::string folder_of(std::string_view hex) const {
        return fmt::format("{}/{}{}", folder_, kPrefix, hex);
    }
    template <class Change>
    void change_index(Change change);

    const std::string folder_;
    rt::BlockingPool& pool_;
    const Limits limits_;
    std::atomic<std::shared_ptr<const Index>> index_{std::make_shared<const Index>()};
    std::atomic<std::uint64_t> unfinished_{0};
};

// Everything of one put() that may block; shared with the jobs on the pool. Dropping it half-way,
// on whatever core, leaves the cleaning up to the pool.
class Intake {
public:
    Intake(rt::BlockingPool& pool, std::string folder, Store::Limits limits)
        : pool_(pool), unpacker_(std::make_shared<Unpacker>(std::move(folder), limits)) {}
    Intake(const Intake&) = delete;
    Intake& operator=(const Intake&) = delete;
    ~Intake() {
        (void)pool_.submit([unpacker = std::move(unpacker_)]() mutable { unpacker.reset(); });
    }
    std::shared_ptr<Unpacker> unpacker() const { return unpacker_; }

private:
    rt::BlockingPool& pool_;
    std::shared_ptr<Unpacker> unpacker_;
};

Result<> FolderStore::open() {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error)
        return fail(Errc::unavailable, "cannot make the image folder {}: {}", folder_,
                    error.message());
    Index index;
    for (fs::directory_iterator entry(folder_, error), end; !error && entry != end;
         entry.increment(error)) {
        const auto name = entry->path().filename().string();
        if (name.starts_with(kUnfinished)) {  // of a crash
            std::error_code ignored;
            fs::remove_all(entry->path(), ignored);
            continue;
        }
        if (!name.starts_with(kPrefix) || name.size() != kPrefix.size() + kHexDigits) continue;
        const auto hex = name.substr(kPrefix.size());
        auto text = read_manifest(fmt::format("{}/{}", folder_of(hex), kManifestPath));
        if (!text) continue;  // not ours, or damaged: find() says that it is not there
        auto manifest = parse_manifest(*text);
        if (!manifest) continue;
        auto image = make_image(std::move(*manifest), hex, folder_of(hex));
        index.emplace(image.digest, std::move(image));
    }
    if (error)
        return fail(Errc::unavailable, "cannot read the image folder {}: {}", folder_,
                    error.message());
    index_.store(std::make_shared<const Index>(std::move(index)));
    return {};
}

Result<Image> FolderStore::find(std::string_view reference) const {
    const auto index = index_.load();
    if (const auto found = index->find(reference); found != index->end()) return found->second;
    if (!reference.starts_with("fathom.local/") && reference.contains('/'))
        return fail(Errc::not_found,
                    "the image \"{}\" is not here: container images are not run yet; deploy the "
                    "function's folder instead (handler: and lang: in stack.yml, or fprocess:)",
                    reference);
    std::string others;
    for (const auto& [digest, image] : *index) {
        if (image.reference == reference) return image;
        if (others.size() < 400) others += (others.empty() ? "" : ", ") + image.reference;
    }
    return fail(Errc::not_found, "the image \"{}\" is not here; there is: {}", reference,
                others.empty() ? "none yet (fathom deploy -f stack.yml makes them)" : others);
}

std::vector<Image> FolderStore::list() const {
    const auto index = index_.load();
    std::vector<Image> images;
    images.reserve(index->size());
    for (const auto& [digest, image] : *index) images.push_back(image);
    return images;
}

template <class Change>
void FolderStore::change_index(Change change) {
    auto before = index_.load();
    for (;;) {
        auto after = std::make_shared<Index>(*before);
        change(*after);
        if (index_.compare_exchange_weak(before, std::move(after))) return;
    }
}

Async<Image> FolderStore::put(http::BodyReader& archive) {
    Intake intake(pool_, fmt::format("{}/{}{}-{}", folder_, kUnfinished, ::getpid(), ++unfinished_),
                  limits_);
    auto begun = co_await pool_.run([unpacker = intake.unpacker()] { return unpacker->begin(); });
    if (!begun) co_return fail(std::move(begun).error());

    archive.limit(limits_.archive_bytes_max);
    std::string pending;
    for (bool is_end = false; !is_end;) {
        auto piece = co_await archive.read();
        if (!piece) co_return fail(std::move(piece).error());
        is_end = piece->empty();
        pending += *piece;
        if (!is_end && pending.size() < kFeedBytes) continue;
        auto fed =
            co_await pool_.run([unpacker = intake.unpacker(), bytes = std::exchange(pending, {})] {
                return unpacker->feed(bytes);
            });
        if (!fed) co_return fail(std::move(fed).error());
    }

    auto unpacked = co_await pool_.run([this, unpacker = intake.unpacker()]() -> Result<Image> {
        auto finished = unpacker->finish();
        if (!finished) return fail(std::move(finished).error());
        auto program = find_program(finished->manifest.command.front());
        if (!program) return fail(std::move(program).error());
        const auto folder = folder_of(finished->digest);
        if (auto kept = unpacker->keep(folder); !kept) return fail(std::move(kept).error());
        return make_image(std::move(finished->manifest), finished->digest, folder);
    });
    if (!unpacked) co_return fail(std::move(unpacked).error());
    change_index([&](Index& index) { index.insert_or_assign(unpacked->digest, *unpacked); });
    co_return std::move(*unpacked);
}

Async<> FolderStore::remove(std::string_view reference) {
    auto image = find(reference);
    if (!image) co_return fail(std::move(image).error());
    change_index([&](Index& index) { index.erase(image->digest); });
    const auto hex = image->digest.substr(image->digest.find(':') + 1);
    const auto trash = fmt::format("{}/{}{}-{}", folder_, kUnfinished, ::getpid(), ++unfinished_);
    co_return co_await pool_.run([from = folder_of(hex), trash]() -> Result<> {
        if (::rename(from.c_str(), trash.c_str()) != 0)
            return fail_errno(Errc::unavailable, errno, fmt::format("cannot remove {}", from));
        std::error_code error;
        fs::remove_all(trash, error);
        if (error) return fail(Errc::unavailable, "cannot remove {}: {}", trash, error.message());
        return {};
    });
}

}  // namespace

Result<std::unique_ptr<Store>> open_store(std::string folder, rt::BlockingPool& pool,
                                          Store::Limits limits) {
    auto store = std::make_unique<FolderStore>(std::move(folder), pool, limits);
    if (auto opened = store->open(); !opened) return fail(std::move(opened).error());
    return store;
}

}  // namespace fathom::image
