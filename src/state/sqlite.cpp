#include "state/sqlite.h"

#include <sqlite3.h>

#include <cstring>

#include "core/check.h"

namespace fathom::state {
namespace {

constexpr int kBusyMs = 5000;  // only a backup from outside can make us wait

std::unexpected<Error> refuse(sqlite3* database) {
    const auto* path = sqlite3_db_filename(database, nullptr);
    return fail(Errc::unavailable, "{}: {} (SQLite {})", path == nullptr ? "the database" : path,
                sqlite3_errmsg(database), sqlite3_extended_errcode(database));
}

}  // namespace

void Statement::Close::operator()(sqlite3_stmt* statement) const noexcept {
    sqlite3_finalize(statement);
}

void Statement::bind(int at, std::string_view text) {
    // An empty view may have no address, and no address would be NULL.
    sqlite3_bind_text(statement_.get(), at, text.empty() ? "" : text.data(),
                      static_cast<int>(text.size()), SQLITE_TRANSIENT);
}

void Statement::bind(int at, std::int64_t number) {
    sqlite3_bind_int64(statement_.get(), at, number);
}

Result<bool> Statement::step() {
    const auto result = sqlite3_step(statement_.get());
    if (result == SQLITE_ROW) return true;
    if (result == SQLITE_DONE) return false;
    return refuse(sqlite3_db_handle(statement_.get()));
}

Result<> Statement::run() {
    for (;;) {
        const auto row = step();
        if (!row) return fail(row.error());
        if (!*row) return {};
    }
}

std::string_view Statement::text(int column) const {
    const auto* bytes = sqlite3_column_text(statement_.get(), column);
    const auto size = sqlite3_column_bytes(statement_.get(), column);
    return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

std::int64_t Statement::number(int column) const {
    return sqlite3_column_int64(statement_.get(), column);
}

void Connection::Close::operator()(sqlite3* database) const noexcept {
    sqlite3_close_v2(database);
}

namespace {

constexpr const char* kVfsName = "fathom";

int keep_path(sqlite3_vfs* /*vfs*/, const char* path, int room, char* full) {
    const auto size = std::strlen(path) + 1;
    if (size > static_cast<std::size_t>(room)) return SQLITE_CANTOPEN;
    std::memcpy(full, path, size);
    return SQLITE_OK;
}

// SQLite's own file system, but that paths stay as they are. It would make "state.db" absolute, and
// the daemon, which has given up root, may not walk there: its working folder it can always use.
void register_vfs() {
    static const bool is_registered = [] {
        static sqlite3_vfs vfs = *sqlite3_vfs_find(nullptr);
        vfs.pNext = nullptr;
        vfs.zName = kVfsName;
        vfs.xFullPathname = keep_path;
        return sqlite3_vfs_register(&vfs, 0) == SQLITE_OK;
    }();
    FATHOM_CHECK(is_registered, "SQLite takes another VFS");
}

}  // namespace

Result<Connection> Connection::open(const std::string& path, Mode mode) {
    register_vfs();
    const int access =
        mode == Mode::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    sqlite3* database = nullptr;
    const auto result =
        sqlite3_open_v2(path.c_str(), &database, access | SQLITE_OPEN_NOMUTEX, kVfsName);
    Connection connection(database);
    if (database == nullptr) return fail(Errc::unavailable, "{}: no memory for SQLite", path);
    if (result != SQLITE_OK) {
        return fail(Errc::unavailable, "{}: {}", path, sqlite3_errmsg(database));
    }
    sqlite3_busy_timeout(database, kBusyMs);
    return connection;
}

Result<> Connection::run(const std::string& sql) {
    if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) {
        return {};
    }
    return refuse(database_.get());
}

Result<Statement> Connection::prepare(std::string_view sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &statement,
                           nullptr) != SQLITE_OK) {
        return refuse(database_.get());
    }
    return Statement(statement);
}

Result<std::int64_t> Connection::number(std::string_view sql) {
    auto statement = prepare(sql);
    if (!statement) return fail(std::move(statement).error());
    const auto row = statement->step();
    if (!row) return fail(row.error());
    return *row ? statement->number(0) : 0;
}

bool Connection::is_in_transaction() const noexcept {
    return sqlite3_get_autocommit(database_.get()) == 0;
}

}  // namespace fathom::state
