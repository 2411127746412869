#include "credentials.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <optional>

#include "rt/fd.h"

namespace fathom::app {
namespace {

constexpr const char* kFolder = "secrets";
constexpr const char* kUserFile = "secrets/basic-auth-user";
constexpr const char* kPasswordFile = "secrets/basic-auth-password";
constexpr int kLength = 32;

std::optional<std::string> read_trimmed(const char* path) {
    std::ifstream file(path);
    if (!file) return {};
    std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// Whole or not at all: written aside, synced, renamed.
Result<> write_secret(const char* path, const std::string& text) {
    const auto aside = std::string(path) + ".new";
    const rt::Fd fd(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
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
    const auto user = read_trimmed(kUserFile);
    const auto password = read_trimmed(kPasswordFile);
    if (user && password) return AdminPassword{*user, *password, kPasswordFile, false};
    if (::mkdir(kFolder, 0700) != 0 && errno != EEXIST) {
        return fail_errno(Errc::unavailable, errno, "make the folder secrets");
    }
    AdminPassword made{user.value_or("admin"), password.value_or(random_text(random)),
                       kPasswordFile, !password};
    if (auto done = write_secret(kUserFile, made.user); !done) return fail(std::move(done).error());
    if (auto done = write_secret(kPasswordFile, made.password); !done) {
        return fail(std::move(done).error());
    }
    return made;
}

}  // namespace fathom::app
