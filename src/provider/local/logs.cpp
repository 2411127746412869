#include "provider/local/logs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ranges>

#include "core/time.h"

namespace fathom::provider {
namespace {

constexpr std::size_t kLineBytesMax = 16_KiB;      // longer ones are cut in pieces
constexpr std::size_t kUnwrittenBytesMax = 1_MiB;  // a function; beyond it lines miss the file

// Appends `text` to the file at `path`, and starts a new one when it is full. On the pool.
Result<int> append(const std::string& folder, const std::string& path, const std::string& text,
                   Bytes bytes_max) {
    ::mkdir(folder.c_str(), 0700);
    rt::Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!file) return fail_errno(Errc::unavailable, errno, "opening " + path);
    std::string_view left = text;
    while (!left.empty()) {
        const auto count = ::write(file.get(), left.data(), left.size());
        if (count <= 0) return fail_errno(Errc::unavailable, errno, "writing " + path);
        left.remove_prefix(static_cast<std::size_t>(count));
    }
    struct stat facts{};
    if (::fstat(file.get(), &facts) == 0 && static_cast<Bytes>(facts.st_size) > bytes_max / 2) {
        ::rename(path.c_str(), (path + ".1").c_str());
    }
    return 0;
}

// The lines at the end of the file that are older than `before`. On the pool.
Result<std::vector<LogLine>> read_end(const std::string& path, Bytes bytes_max,
                                      Clock::Wall before) {
    std::vector<LogLine> lines;
    rt::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return lines;
    const auto size = ::lseek(file.get(), 0, SEEK_END);
    const auto from = std::max<off_t>(0, size - static_cast<off_t>(bytes_max));
    std::string text(static_cast<std::size_t>(size - from), '\0');
    const auto got = ::pread(file.get(), text.data(), text.size(), from);
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    // "2026-11-21T12:46:37.123456789Z INSTANCE TEXT"; a first line cut in two is no such line.
    for (auto part : std::views::split(text, '\n')) {
        const std::string_view line(part.begin(), part.end());
        const auto first = line.find(' ');
        const auto second = line.find(' ', first + 1);
        if (first == std::string_view::npos || second == std::string_view::npos) continue;
        auto at = parse_rfc3339(line.substr(0, first));
        if (!at || *at >= before) continue;
        lines.push_back({*at, std::string(line.substr(first + 1, second - first - 1)),
                         std::string(line.substr(second + 1))});
    }
    return lines;
}

}  // namespace

Logs::Logs(Options options, rt::BlockingPool& pool, const Clock& clock)
    : options_(std::move(options)), pool_(pool), clock_(clock), started_at_(clock.wall()) {}

Logs::Entry& Logs::entry(const FunctionName& name) {
    auto& entry = entries_[name];
    if (!entry.book) {
        entry.book = std::make_shared<LogBook>(options_.memory_bytes);
        entry.has_older = options_.folder.empty();
    }
    return entry;
}

std::string Logs::path_of(const FunctionName& name) const {
    return options_.folder + "/" + name.text() + ".log";
}

void Logs::add(const FunctionName& name, const std::string& instance, std::string_view text) {
    auto found = entries_.find(name);
    if (found == entries_.end()) return;  // removed, and its replicas still draining
    auto& to = found->second;
    const auto at = clock_.wall();
    if (!options_.folder.empty() && to.unwritten.size() < kUnwrittenBytesMax) {
        to.unwritten += to_rfc3339(at, TimeDigits::nanoseconds);
        to.unwritten += fmt::format(" {} {}\n", instance, text);
        has_unwritten_.raise();
    }
    to.book->add({at, instance, std::string(text)});
}

Async<> Logs::read(FunctionName name, std::string instance, rt::Fd pipe) {
    auto socket = rt::Socket::adopt(std::move(pipe));
    if (!socket) co_return fail(std::move(socket).error());
    entry(name);
    std::string pending;
    std::string buffer(kLineBytesMax, '\0');
    for (;;) {
        auto got = co_await socket->read(buffer);
        if (!got || *got == 0) break;
        pending.append(buffer.data(), *got);
        std::size_t from = 0;
        for (auto end = pending.find('\n'); end != std::string::npos;
             end = pending.find('\n', from)) {
            auto line = std::string_view(pending).substr(from, end - from);
            if (line.ends_with('\r')) line.remove_suffix(1);
            add(name, instance, line);
            from = end + 1;
        }
        pending.erase(0, from);
        if (pending.size() >= kLineBytesMax) {
            add(name, instance, pending);
            pending.clear();
        }
        co_await rt::yield();  // one that prints all the time starves nobody
    }
    if (!pending.empty()) add(name, instance, pending);
    co_return Result<>{};
}

std::string Logs::tail(const FunctionName& name, std::string_view instance,
                       std::size_t count) const {
    auto found = entries_.find(name);
    return found == entries_.end() ? "" : found->second.book->tail(instance, count);
}

Async<std::unique_ptr<LogReader>> Logs::open(LogQuery query) {
    if (!entry(query.name).has_older) {
        auto older =
            co_await pool_.run([path = path_of(query.name), bytes = options_.memory_bytes,
                                before = started_at_] { return read_end(path, bytes, before); });
        auto& now = entry(query.name);
        if (older && !now.has_older) now.book->add_older(std::move(*older));
        now.has_older = true;
    }
    auto book = entry(query.name).book;
    co_return LogBook::read(std::move(book), std::move(query));
}

void Logs::close(const FunctionName& name) {
    auto found = entries_.find(name);
    if (found != entries_.end()) {
        found->second.book->close();
        entries_.erase(found);
    }
    if (options_.folder.empty()) return;
    pool_.submit([path = path_of(name)] {
        ::unlink(path.c_str());
        ::unlink((path + ".1").c_str());
    });
}

Async<> Logs::write_files() {
    for (;;) {
        co_await has_unwritten_.wait();
        has_unwritten_.lower();
        std::map<FunctionName, std::string> batches;
        for (auto& [name, entry] : entries_) {
            if (!entry.unwritten.empty()) batches.emplace(name, std::exchange(entry.unwritten, {}));
        }
        for (auto& [name, text] : batches) {
            // A disk that refuses costs lines in the file; memory still has them.
            auto written = co_await pool_.run(
                [folder = options_.folder, path = path_of(name), bytes = options_.file_bytes,
                 lines = std::move(text)] { return append(folder, path, lines, bytes); });
            (void)written.has_value();
        }
    }
}

}  // namespace fathom::provider
