#include "sandbox/root.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "rt/rt.h"

namespace fathom::sandbox {
namespace {

// What of the host's /etc a program may need: no configuration of services, no keys.
constexpr std::array kEtcFolders = {"alternatives",    "ssl",
                                    "ca-certificates", "pki",
                                    "fonts",           "java-17-openjdk",
                                    "java-11-openjdk", "java-21-openjdk"};
constexpr std::array kEtcFiles = {"ld.so.cache", "localtime",  "timezone", "mime.types",
                                  "services",    "protocols",  "gai.conf", "host.conf",
                                  "hosts",       "resolv.conf"};
constexpr std::array kDevices = {"null", "zero", "full", "random", "urandom"};

bool exists(const std::string& path) {
    struct stat found{};
    return ::lstat(path.c_str(), &found) == 0;
}

void make_folder(const std::string& path, mode_t mode = 0755) {
    if (::mkdir(path.c_str(), mode) == 0) ::chmod(path.c_str(), mode);
}

bool write_file(const std::string& path, std::string_view text) {
    ::unlink(path.c_str());
    rt::Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    return file && ::write(file.get(), text.data(), text.size()) == std::ssize(text);
}

// Shows `from` at `to`, read-only, with everything mounted below it.
Result<> show(const std::string& from, const std::string& to) {
    rt::Fd tree(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, from.c_str(),
                                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)));
    if (!tree) return fail_errno(Errc::unavailable, errno, "taking " + from + " for the sandboxes");
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    attributes.propagation = MS_PRIVATE;
    if (::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                  sizeof attributes) != 0) {
        return fail_errno(Errc::unavailable, errno, "making " + from + " read-only");
    }
    if (::syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, to.c_str(), MOVE_MOUNT_F_EMPTY_PATH) !=
        0) {
        return fail_errno(Errc::unavailable, errno, "mounting " + to);
    }
    return {};
}

void write_map(const char* path, unsigned inside, unsigned outside) {
    const auto line = fmt::format("{} {} 1", inside, outside);
    rt::Fd file(::open(path, O_WRONLY | O_CLOEXEC));
    if (file) (void)!::write(file.get(), line.data(), line.size());
}

}  // namespace

int enter_own_mounts(Privilege privilege, unsigned inside_uid, unsigned inside_gid) {
    const auto uid = ::getuid();
    const auto gid = ::getgid();
    const int flags = CLONE_NEWNS | (privilege == Privilege::user ? CLONE_NEWUSER : 0);
    if (::unshare(flags) != 0) return errno;
    if (privilege == Privilege::user) {
        rt::Fd groups(::open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC));
        if (groups) (void)!::write(groups.get(), "deny", 4);
        write_map("/proc/self/uid_map", inside_uid, uid);
        write_map("/proc/self/gid_map", inside_gid, gid);
    }
    // Mounts made on the host later are seen; ours stay ours.
    return ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0 ? errno : 0;
}

Result<HostRoot> HostRoot::make(std::string folder, const std::string& runtime_folder) {
    make_folder(folder);
    if (::mount("fathom", folder.c_str(), "tmpfs", MS_NOSUID, "mode=0755,size=4m") != 0) {
        return fail_errno(Errc::unavailable, errno, "mounting the root of the sandboxes");
    }
    if (::mount(nullptr, folder.c_str(), nullptr, MS_PRIVATE, nullptr) != 0) {
        return fail_errno(Errc::unavailable, errno, "making the root of the sandboxes private");
    }
    HostRoot root(std::move(folder));
    if (auto filled = root.fill(runtime_folder); !filled) return fail(std::move(filled).error());
    return root;
}

Result<> HostRoot::fill(const std::string& runtime_folder) {
    for (auto path : {"/usr", "/etc", "/dev", "/dev/shm", "/proc", "/sys", "/tmp", "/run", "/home",
                      "/home/app", "/home/app/function", "/opt", "/opt/fathom", "/var", "/var/tmp",
                      "/var/openfaas", "/var/openfaas/secrets"}) {
        make_folder(folder_ + path);
    }
    if (auto shown = show("/usr", folder_ + "/usr"); !shown) return shown;
    // Links into /usr on most hosts; folders of their own on some.
    for (std::string name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
        std::array<char, 256> target{};
        const auto length = ::readlink(name.c_str(), target.data(), target.size() - 1);
        if (length > 0) {
            (void)!::symlink(target.data(), (folder_ + name).c_str());
        } else if (exists(name)) {
            make_folder(folder_ + name);
            if (auto shown = show(name, folder_ + name); !shown) return shown;
        }
    }
    if (auto shown = show(runtime_folder, folder_ + "/opt/fathom"); !shown) return shown;
    fill_etc();
    return fill_devices();
}

Result<> HostRoot::fill_devices() {
    for (std::string name : kDevices) {
        const auto path = folder_ + "/dev/" + name;
        struct stat host{};
        if (::stat(("/dev/" + name).c_str(), &host) != 0) continue;
        if (::mknod(path.c_str(), S_IFCHR | 0666, host.st_rdev) == 0) {
            ::chmod(path.c_str(), 0666);
            // Where devices cannot be made (a user namespace) they open with an error.
            if (rt::Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK))) continue;
            ::unlink(path.c_str());
        }
        if (!write_file(path, "")) return fail_errno(Errc::unavailable, errno, "making " + path);
        if (::mount(("/dev/" + name).c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
            return fail_errno(Errc::unavailable, errno, "mounting " + path);
        }
    }
    const auto link = [&](const char* target, const char* name) {
        (void)!::symlink(target, (folder_ + "/dev/" + name).c_str());
    };
    link("/proc/self/fd", "fd");
    link("/proc/self/fd/0", "stdin");
    link("/proc/self/fd/1", "stdout");
    link("/proc/self/fd/2", "stderr");
    return {};
}

void HostRoot::fill_etc() {
    write_file(folder_ + "/etc/passwd",
               "root:x:0:0:root:/root:/usr/sbin/nologin\n"
               "app:x:1000:1000:app:/home/app:/bin/sh\n"
               "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
    write_file(folder_ + "/etc/group", "root:x:0:\napp:x:1000:\nnogroup:x:65534:\n");
    write_file(folder_ + "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
    for (std::string name : kEtcFolders) {
        const auto path = "/etc/" + name;
        if (!exists(path)) continue;
        make_folder(folder_ + path);
        (void)show(path, folder_ + path).has_value();
    }
    for (std::string name : kEtcFiles) copy_file("/etc/" + name);
    refresh();
}

void HostRoot::copy_file(const std::string& path) {
    std::array<char, 4096> target{};
    const auto length = ::readlink(path.c_str(), target.data(), target.size() - 1);
    // A link into what the sandbox sees stays one (localtime); else what it points at is copied.
    if (length > 0 && std::string_view(target.data()).starts_with("/usr/")) {
        (void)!::symlink(target.data(), (folder_ + path).c_str());
        return;
    }
    rt::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return;
    std::string text;
    std::array<char, 16384> piece;
    constexpr std::size_t kFileBytesMax = 1 << 20;
    for (ssize_t got; text.size() < kFileBytesMax &&
                      (got = ::read(file.get(), piece.data(), piece.size())) > 0;) {
        text.append(piece.data(), static_cast<std::size_t>(got));
    }
    // Through a new file and a rename: a sandbox never sees half of it.
    const auto next = folder_ + "/etc/.next";
    if (write_file(next, text)) ::rename(next.c_str(), (folder_ + path).c_str());
}

void HostRoot::refresh() {
    struct stat resolver{};
    if (::stat("/etc/resolv.conf", &resolver) != 0) return;
    const std::int64_t changed = resolver.st_mtim.tv_sec * 1'000'000'000 + resolver.st_mtim.tv_nsec;
    if (changed == resolver_changed_) return;
    resolver_changed_ = changed;
    copy_file("/etc/resolv.conf");
    copy_file("/etc/hosts");
}

}  // namespace fathom::sandbox
