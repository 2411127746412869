#include "credentials.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "rt/fd.h"

namespace fathom::app {
namespace {

constexpr const char* kFolder = "secrets";
constexpr const char* kUserFile = "secrets/basic-auth-user";
constexpr const char* kPasswordFile = "secrets/basic-auth-password";
constexpr int kLength = 32;

// Nothing where there is no such file, or nothing in it. What is there and cannot be read is an
// error: a password that somebody chose is not replaced.
Result<std::optional<std::string>> read_trimmed(const char* path) {
    constexpr std::size_t kBytesMax = 4096;
    const rt::Fd fd(::open(path, O_RDONLY | O_CLOEXEC));
    if (!fd && errno == ENOENT) return std::optional<std::string>();
    std::string text(kBytesMax, '\0');
    const auto count = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
    if (count < 0) return fail_errno(Errc::unavailable, errno, std::string("read ") + path);
    text.resize(static_cast<std::size_t>(count));
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string::npos) return std::optional<std::string>();
    return std::optional(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

// Whole or not at all: written aside, synced, renamed.
Result<> write_secret(const char* path, const std::string& text) {
    const auto aside = std::string(path) + ".new";
    ::unlink(aside.c_str());  // left by a start that was cut short, of whatever mode
    const rt::Fd fd(::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::fsync(fd.get()) != 0 || ::rename(aside.c_str(), path) != 0) {
        return fail_errno(Errc::unavailable, errno, std::string("write ") + path);
    }
    return {};
}

std::string random_text(Random& random) {
    constexpr std::string_view kAlphabet =
        "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789";
    std::string text;
    while (text.size() < kLength) {
        // Six bits a time; those outside the alphabet are thrown away, so all are equally likely.
        const auto index = random.next() & 63U;
        if (index < kAlphabet.size()) text += kAlphabet[index];
    }
    return text;
}

}  // namespace

Result<AdminPassword> load_password(Random& random) {
    auto read_user = read_trimmed(kUserFile);
    if (!read_user) return fail(std::move(read_user).error());
    auto read_password = read_trimmed(kPasswordFile);
    if (!read_password) return fail(std::move(read_password).error());
    const auto& user = *read_user;
    const auto& password = *read_password;
    if (user && password) return AdminPassword{*user, *password, kPasswordFile, false};
    if (::mkdir(kFolder, 0700) != 0 && errno != EEXIST) {
        return fail_errno(Errc::unavailable, errno, "make the folder secrets");
    }
    AdminPassword made{user.value_or("admin"), password.value_or(random_text(random)),
                       kPasswordFile, !password};
    auto done = user ? Result<>() : write_secret(kUserFile, made.user);
    if (done && !password) done = write_secret(kPasswordFile, made.password);
    if (!done) return fail(std::move(done).error());
    return made;
}

}  // namespace fathom::app
