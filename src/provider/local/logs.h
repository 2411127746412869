// What functions print: read from the replicas' pipes, kept in memory and in files.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "provider/log_book.h"
#include "rt/rt.h"

namespace fathom::provider {

class Logs {
public:
    struct Options {
        Bytes memory_bytes = 256_KiB;  // a function
        Bytes file_bytes = 8_MiB;      // a function; half of it in the .log.1
        std::string folder;            // empty: memory only
    };
    Logs(Options options, rt::BlockingPool& pool, const Clock& clock);

    // Reads `pipe` line by line until its other end closes.
    Async<> read(FunctionName name, std::string instance, rt::Fd pipe);
    std::string tail(const FunctionName& name, std::string_view instance, std::size_t count) const;
    // Lines of earlier starts come from the file.
    Async<std::unique_ptr<LogReader>> open(LogQuery query);
    // The function is gone: its readers end and its files are removed.
    void close(const FunctionName& name);
    // Writes to the files what came in; runs as long as the logs live.
    Async<> write_files();

private:
    struct Entry {
        std::shared_ptr<LogBook> book;
        std::string unwritten;   // lines for the file
        bool has_older = false;  // the file has been read, or there is none to read
    };
    Entry& entry(const FunctionName& name);
    void add(const FunctionName& name, const std::string& instance, std::string_view text);
    std::string path_of(const FunctionName& name) const;

    Options options_;
    rt::BlockingPool& pool_;
    const Clock& clock_;
    const Clock::Wall started_at_;
    std::map<FunctionName, Entry> entries_;
    rt::Signal has_unwritten_;
};

}  // namespace fathom::provider
