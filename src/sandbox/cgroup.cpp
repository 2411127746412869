#include "sandbox/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <ranges>

#include "sandbox/message.h"

namespace fathom::sandbox {
namespace {

std::string read_small(const std::string& path) {
    rt::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    if (!file) return text;
    std::array<char, 4096> piece;
    for (ssize_t got; (got = ::read(file.get(), piece.data(), piece.size())) > 0;) {
        text.append(piece.data(), static_cast<std::size_t>(got));
    }
    return text;
}

bool write_small(const std::string& path, std::string_view text) {
    rt::Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    return file && ::write(file.get(), text.data(), text.size()) == std::ssize(text);
}

bool has_word(std::string_view list, std::string_view word, char between) {
    for (auto part : std::views::split(list, between)) {
        std::string_view item(part.begin(), part.end());
        while (!item.empty() && item.back() == '\n') item.remove_suffix(1);
        if (item == word) return true;
    }
    return false;
}

std::vector<std::string> folders_in(const std::string& folder) {
    std::vector<std::string> names;
    DIR* opened = ::opendir(folder.c_str());
    if (opened == nullptr) return names;
    while (const dirent* entry = ::readdir(opened)) {
        const std::string_view name = entry->d_name;
        if (entry->d_type == DT_DIR && name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(opened);
    return names;
}

void kill_all_in(const std::string& folder) {
    if (write_small(folder + "/cgroup.kill", "1")) return;
    for (auto line : std::views::split(read_small(folder + "/cgroup.procs"), '\n')) {
        int pid = 0;
        std::from_chars(line.data(), line.data() + line.size(), pid);
        if (pid > 1) ::kill(pid, SIGKILL);
    }
}

// Ends what is in `folder` and its children and removes them, waiting at most about 2 s for the
// dying.
void remove_leftovers(const std::string& folder) {
    for (int attempt = 0; attempt < 200; ++attempt) {
        for (const auto& child : folders_in(folder)) {
            const auto path = fmt::format("{}/{}", folder, child);
            if (::rmdir(path.c_str()) != 0) kill_all_in(path);
        }
        if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return;
        ::poll(nullptr, 0, 10);
    }
}

}  // namespace

// Reads which hierarchies are mounted where, and where in them this process is.
class CgroupFinder {
public:
    CgroupFinder(Cgroups& found, std::string_view key) : found_(found), key_(key) {}

    void run() {
        const auto own = read_small("/proc/self/cgroup");
        for (auto line : std::views::split(read_small("/proc/self/mountinfo"), '\n')) {
            look_at(std::string_view(line.begin(), line.end()), own);
        }
    }

private:
    // "36 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory" (proc(5))
    void look_at(std::string_view line, std::string_view own) {
        std::vector<std::string_view> words;
        for (auto part : std::views::split(line, ' ')) words.emplace_back(part.begin(), part.end());
        std::size_t dash = 6;
        while (dash < words.size() && words[dash] != "-") ++dash;
        if (dash + 3 >= words.size()) return;
        const auto type = words[dash + 1];
        if (type == "cgroup") look_at_v1(words[3], words[4], words[dash + 3], own);
        if (type == "cgroup2") look_at_v2(words[3], words[4], own);
    }

    // Where this process is in the hierarchy whose line in /proc/self/cgroup has `controller`.
    static std::string own_path(std::string_view own, std::string_view controller) {
        for (auto part : std::views::split(own, '\n')) {
            const std::string_view line(part.begin(), part.end());
            const auto first = line.find(':');
            const auto second = line.find(':', first + 1);
            if (second == std::string_view::npos) continue;
            const auto names = line.substr(first + 1, second - first - 1);
            const bool is_it =
                controller.empty() ? names.empty() : has_word(names, controller, ',');
            if (is_it) return std::string(line.substr(second + 1));
        }
        return "/";
    }

    // The folder of `path` where the part `root` of the hierarchy is mounted at `mount`.
    static std::string folder_of(std::string_view mount, std::string_view root,
                                 std::string_view path) {
        if (root != "/" && path.starts_with(root)) path.remove_prefix(root.size());
        if (path == "/" || path.starts_with("/..")) path = "";
        return std::string(mount) + std::string(path);
    }

    void look_at_v1(std::string_view root, std::string_view mount, std::string_view options,
                    std::string_view own) {
        Cgroups::Hierarchy hierarchy{Cgroups::Kind::v1, {}};
        hierarchy.has_memory = has_word(options, "memory", ',');
        hierarchy.has_cpu = has_word(options, "cpu", ',');
        hierarchy.has_pids = has_word(options, "pids", ',');
        const char* controller = hierarchy.has_memory ? "memory"
                                 : hierarchy.has_cpu  ? "cpu"
                                 : hierarchy.has_pids ? "pids"
                                                      : nullptr;
        if (controller == nullptr) return;
        hierarchy.folder = folder_of(mount, root, own_path(own, controller)) + "/fathom-" + key_;
        adopt(std::move(hierarchy));
    }

    void look_at_v2(std::string_view root, std::string_view mount, std::string_view own) {
        const auto here = folder_of(mount, root, own_path(own, ""));
        // A group with processes of its own gives its children no controllers (kernel cgroup-v2,
        // "no internal processes"); the root is exempt.
        Cgroups::Hierarchy hierarchy{Cgroups::Kind::v2, here + "/fathom-" + key_};
        const auto offered = read_small(here + "/cgroup.controllers");
        const bool is_useful = has_word(offered, "memory", ' ') || has_word(offered, "pids", ' ');
        if (is_useful && !hand_down(here) && hand_down(std::string(mount))) {
            hierarchy.folder = std::string(mount) + "/fathom-" + key_;
        }
        adopt(std::move(hierarchy));
    }

    static bool hand_down(const std::string& folder) {
        bool has_all = true;
        for (auto name : {"memory", "cpu", "pids"}) {
            if (!has_word(read_small(folder + "/cgroup.controllers"), name, ' ')) continue;
            has_all &= write_small(folder + "/cgroup.subtree_control", std::string("+") + name);
        }
        return has_all;
    }

    void adopt(Cgroups::Hierarchy hierarchy) {
        remove_leftovers(hierarchy.folder);
        if (::mkdir(hierarchy.folder.c_str(), 0755) != 0 && errno != EEXIST) return;
        if (hierarchy.kind == Cgroups::Kind::v2) {
            hand_down(hierarchy.folder);
            const auto control = read_small(hierarchy.folder + "/cgroup.subtree_control");
            hierarchy.has_memory = has_word(control, "memory", ' ');
            hierarchy.has_cpu = has_word(control, "cpu", ' ');
            hierarchy.has_pids = has_word(control, "pids", ' ');
            found_.abilities_ |= bit(AbilityBit::cgroup_freeze);
        }
        if (hierarchy.has_memory) found_.abilities_ |= bit(AbilityBit::cgroup_memory);
        if (hierarchy.has_cpu) found_.abilities_ |= bit(AbilityBit::cgroup_cpu);
        if (hierarchy.has_pids) found_.abilities_ |= bit(AbilityBit::cgroup_pids);
        found_.hierarchies_.push_back(std::move(hierarchy));
    }

    Cgroups& found_;
    std::string key_;
};

Cgroups Cgroups::find(std::string_view key) {
    Cgroups found;
    CgroupFinder(found, key).run();
    return found;
}

Cgroups Cgroups::find_with(const std::string& file, Random& random) {
    std::string key;
    for (auto part : std::views::split(read_small(file), '\n')) {
        const std::string line(part.begin(), part.end());
        if (key.empty()) {
            key = line;
        } else if (line.ends_with("/fathom-" + key)) {
            remove_leftovers(line);
        }
    }
    if (key.empty()) key = fmt::format("{:016x}", random.next());
    auto found = find(key);
    std::string text = key + "\n";
    for (const auto& hierarchy : found.hierarchies_) text += hierarchy.folder + "\n";
    const auto next = file + ".new";
    rt::Fd written(::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (written && ::write(written.get(), text.data(), text.size()) == std::ssize(text)) {
        ::rename(next.c_str(), file.c_str());
    }
    return found;
}

std::string Cgroups::folder_of(const Hierarchy& hierarchy, unsigned number) {
    return fmt::format("{}/{}", hierarchy.folder, number);
}

Result<std::vector<rt::Fd>> Cgroups::make(unsigned number) const {
    std::vector<rt::Fd> members;
    for (const auto& hierarchy : hierarchies_) {
        const auto folder = folder_of(hierarchy, number);
        if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
            return fail_errno(Errc::unavailable, errno, "making cgroup " + folder);
        }
        rt::Fd file(::open((folder + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
        if (!file) return fail_errno(Errc::unavailable, errno, "opening cgroup " + folder);
        members.push_back(std::move(file));
    }
    return members;
}

Result<> Cgroups::limit(unsigned number, const Limits& limits) const {
    constexpr int kPeriodUs = 100'000;
    const auto quota_us = std::max<std::int64_t>(limits.cpu_max.count * kPeriodUs / 1000, 1000);
    for (const auto& hierarchy : hierarchies_) {
        const auto folder = folder_of(hierarchy, number) + "/";
        const bool is_v2 = hierarchy.kind == Kind::v2;
        const auto set = [&](const char* file, const std::string& value) -> Result<> {
            if (write_small(folder + file, value)) return {};
            return fail_errno(Errc::unavailable, errno, fmt::format("setting {} {}", file, value));
        };
        Result<> done;
        if (hierarchy.has_memory && limits.memory_bytes_max > 0) {
            done = set(is_v2 ? "memory.max" : "memory.limit_in_bytes",
                       std::to_string(limits.memory_bytes_max));
            if (!done) return done;
            // No swap beyond it; kernels without swap accounting have no such file.
            write_small(folder + (is_v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes"),
                        is_v2 ? "0" : std::to_string(limits.memory_bytes_max));
        }
        if (hierarchy.has_cpu && limits.cpu_max.count > 0) {
            done = is_v2 ? set("cpu.max", fmt::format("{} {}", quota_us, kPeriodUs))
                         : set("cpu.cfs_quota_us", std::to_string(quota_us));
            if (!done) return done;
        }
        if (hierarchy.has_pids && limits.processes_max > 0) {
            // One more: the sandbox's own first process.
            done = set("pids.max", std::to_string(limits.processes_max + 1));
            if (!done) return done;
        }
    }
    return {};
}

bool Cgroups::ran_out_of_memory(unsigned number) const {
    for (const auto& hierarchy : hierarchies_) {
        if (!hierarchy.has_memory) continue;
        const bool is_v2 = hierarchy.kind == Kind::v2;
        const auto text = read_small(folder_of(hierarchy, number) +
                                     (is_v2 ? "/memory.events" : "/memory.oom_control"));
        for (auto part : std::views::split(text, '\n')) {
            const std::string_view line(part.begin(), part.end());
            if (line.starts_with("oom_kill ")) return line != "oom_kill 0";
        }
    }
    return false;
}

void Cgroups::kill(unsigned number) const {
    for (const auto& hierarchy : hierarchies_) {
        if (hierarchy.kind != Kind::v2) continue;
        write_small(folder_of(hierarchy, number) + "/cgroup.kill", "1");
    }
}

Result<> Cgroups::set_frozen(unsigned number, std::string_view zero_or_one) const {
    for (const auto& hierarchy : hierarchies_) {
        if (hierarchy.kind != Kind::v2) continue;
        if (write_small(folder_of(hierarchy, number) + "/cgroup.freeze", zero_or_one)) return {};
    }
    return fail(Errc::unsupported, "no cgroup v2 hierarchy that may be written to");
}

bool Cgroups::remove(unsigned number) const {
    bool is_gone = true;
    for (const auto& hierarchy : hierarchies_) {
        const auto folder = folder_of(hierarchy, number);
        is_gone &= ::rmdir(folder.c_str()) == 0 || errno == ENOENT;
    }
    return is_gone;
}

void Cgroups::remove_all() {
    for (const auto& hierarchy : hierarchies_) remove_leftovers(hierarchy.folder);
    hierarchies_.clear();
}

}  // namespace fathom::sandbox
