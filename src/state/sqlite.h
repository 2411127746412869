// Private: SQLite in our words. The only file that includes sqlite3.h is sqlite.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fathom::state {

class Statement {
public:
    // Parameters are numbered from 1, columns from 0. Texts are copied.
    void bind(int at, std::string_view text);
    void bind(int at, std::int64_t number);
    // True: a row is there. False: done.
    // Errors: unavailable    as SQLite says
    Result<bool> step();
    Result<> run();                           // steps to the end
    std::string_view text(int column) const;  // until the next step
    std::int64_t number(int column) const;

private:
    friend class Connection;
    struct Close {
        void operator()(sqlite3_stmt* statement) const noexcept;
    };
    explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
    std::unique_ptr<sqlite3_stmt, Close> statement_;
};

// One connection, used by one thread at a time.
class Connection {
public:
    enum class Mode { read_write, read_only };
    // Errors: unavailable    the file cannot be opened or is no database
    static Result<Connection> open(const std::string& path, Mode mode);

    Result<> run(const std::string& sql);  // one or more statements without results
    Result<Statement> prepare(std::string_view sql);
    // The first column of the first row; 0 when there is none.
    Result<std::int64_t> number(std::string_view sql);
    // False after SQLite rolled everything back by itself (disk full, I/O error, no memory).
    bool is_in_transaction() const noexcept;

private:
    struct Close {
        void operator()(sqlite3* database) const noexcept;
    };
    explicit Connection(sqlite3* database) : database_(database) {}
    std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace fathom::state
