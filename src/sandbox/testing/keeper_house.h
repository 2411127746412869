// A data folder with a keeper and the sample program in it, for tests.
#pragma once

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "sandbox/sandbox.h"

namespace fathom::sandbox {

class KeeperHouse {
public:
    explicit KeeperHouse(const std::string& sample, Level level_max = Level::full) {
        std::string pattern = (std::filesystem::temp_directory_path() / "fathom-XXXXXX").string();
        data_ = ::mkdtemp(pattern.data());
        std::filesystem::permissions(data_, std::filesystem::perms(0711));
        std::filesystem::create_directory(data_ / "bundle");
        std::filesystem::copy_file(sample, data_ / "bundle" / "sample");
        options.data_folder = data_.string();
        options.level_max = level_max;
        options.daemon_uid = ::getuid();
        options.daemon_gid = ::getgid();
    }
    ~KeeperHouse() {
        std::error_code ignored;
        std::filesystem::remove_all(data_, ignored);
    }
    KeeperHouse(const KeeperHouse&) = delete;
    KeeperHouse& operator=(const KeeperHouse&) = delete;

    const std::filesystem::path& data() const { return data_; }
    // The name of our groups under every hierarchy.
    std::string group() const {
        std::ifstream file(data_ / "keeper" / "groups");
        std::string key;
        std::getline(file, key);
        return "fathom-" + key;
    }
    // Groups of other keepers come and go while we look: then we look again.
    std::string groups_below(const std::filesystem::path& root) const {
        using std::filesystem::recursive_directory_iterator;
        constexpr auto kOptions = std::filesystem::directory_options::skip_permission_denied;
        std::string found;
        std::error_code gone;
        for (int attempt = 0; attempt < 100; ++attempt) {
            found.clear();
            auto entry = recursive_directory_iterator(root, kOptions, gone);
            for (; !gone && entry != recursive_directory_iterator(); entry.increment(gone)) {
                if (entry->path().filename() == group()) found += entry->path().string() + " ";
            }
            if (!gone || !std::filesystem::exists(root)) break;
        }
        return found;
    }
    // Anything of it anywhere: cgroups, sockets.
    std::string leftovers() const {
        std::string found;
        for (auto hierarchy : {"memory", "cpu", "pids", "unified", "."}) {
            found += groups_below(std::filesystem::path("/sys/fs/cgroup") / hierarchy);
        }
        std::error_code ignored;
        for (const auto& entry :
             std::filesystem::directory_iterator(data_ / "keeper" / "s", ignored)) {
            found += entry.path().string() + " ";
        }
        if (std::filesystem::exists(data_ / "keeper" / "control.sock")) found += "control.sock ";
        return found;
    }
    std::string keeper_log() const {
        std::ifstream file(data_ / "keeper" / "keeper.log");
        return {std::istreambuf_iterator<char>(file), {}};
    }

    KeeperOptions options;

private:
    std::filesystem::path data_;
};

}  // namespace fathom::sandbox
