// What must survive: the data folder and its database.
//
//   FORMAT      version of everything below; a newer one is refused with the way back
//   lock        held by the one owner (flock)
//   state.db    SQLite, WAL, synchronous=FULL: deployments, secrets, queue, workflows, which commit
//               together
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/ports.h"
#include "function/function.h"
#include "rt/rt.h"

namespace fathom::state {

inline constexpr int kFormat = 1;

// The folder, locked. Unlocked when destroyed.
class DataFolder {
public:
    // Makes the folder (0700) and FORMAT where missing. Nothing is changed in a folder that is
    // refused.
    // Errors: conflict     another fathom holds it (names its pid)
    //         unsupported  a newer FORMAT, or a folder that is not ours and not empty
    //         forbidden    not writable; names the folder and the user
    //         unavailable  the disk
    static Result<DataFolder> open(std::string path);
    DataFolder(DataFolder&&) noexcept;
    DataFolder& operator=(DataFolder&&) noexcept;
    ~DataFolder();
    const std::string& path() const noexcept;
    // The lock's descriptor, for a successor.
    int lock_fd() const noexcept;

private:
    struct State;
    explicit DataFolder(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

struct StoredDeployment {
    function::FunctionSpec spec;
    std::uint64_t revision = 0;
    unsigned desired = 0;
    Clock::Wall created_at{};
    friend bool operator==(const StoredDeployment&, const StoredDeployment&) = default;
};

// The deployments on disk, one per name. Writes come back when they are durable, on the caller's
// core; concurrent ones share a flush. Callable from every core.
class Deployments {
public:
    virtual ~Deployments() = default;
    // All of them, ordered by namespace and name. Blocks: for the start.
    // Errors: unavailable    the disk, or a damaged file
    //         invalid        a row that cannot be read; names the function
    virtual Result<std::vector<StoredDeployment>> load() = 0;
    // Stores or replaces.
    // Errors: unavailable    the disk refused; nothing changed
    //         overloaded     too many writes wait
    //         too_large      over 1 MiB as JSON
    virtual Async<> put(StoredDeployment deployment) = 0;
    // Fine when there is none. Errors as put().
    virtual Async<> erase(function::FunctionName name) = 0;
};

// The database: one writer thread with group commit. Modules add their tables as migrations.
class Database {
public:
    // Opens or makes `path` and brings it to the newest migration; a copy is kept before migrating,
    // as PATH.before-<version>. `pool` outlives the database, and the callers' cores outlive
    // `pool`'s work. Blocks: for the start.
    // Errors: unavailable    the disk, or a damaged file
    //         unsupported    a newer schema
    static Result<std::unique_ptr<Database>> open(std::string path, rt::BlockingPool& pool);
    virtual ~Database() = default;
    virtual Deployments& deployments() = 0;
};

// For tests, the simulator and --dev.
std::unique_ptr<Deployments> make_memory_deployments();

}  // namespace fathom::state
