// The port behind which replicas live: on this machine (local), nowhere (fake), later in a cluster.
//
// Declarative and idempotent: deploy() says what should be; the table says what is. Every change of
// either makes a new immutable Table, handed to the watcher on the provider's core (core 0).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/ports.h"
#include "function/function.h"
#include "rt/rt.h"

namespace fathom::provider {

using function::FunctionName;
using function::FunctionSpec;

enum class ReplicaState : std::uint8_t {
    starting,  // launched, has not answered /_/ready yet
    ready,
    frozen,    // counts as 0; thawed when called
    draining,  // gets no new call, finishes what it has
    failed,    // ended by itself; `why` says how; a new one is on its way, after a back-off
};

// In-flight counts of one replica, shared by every core: one cache line of relaxed atomics.
struct alignas(64) ReplicaLoad {
    std::atomic<std::uint32_t> in_flight{0};
    std::atomic<std::uint64_t> calls{0};
    std::atomic<bool> is_gone{false};  // the process ended: who waits for it may give up at once
};

struct Replica {
    std::string id;              // unique over all starts: "echo-7f3a-1"
    std::uint64_t revision = 0;  // of the deployment it was started from
    ReplicaState state = ReplicaState::starting;
    unsigned capacity = 0;  // connections it serves at a time; 0 unlimited
    rt::Address endpoint;
    std::string why;  // of its state, for people
    std::shared_ptr<ReplicaLoad> load;
};

struct Deployment {
    std::shared_ptr<const FunctionSpec> spec;
    std::uint64_t revision = 0;  // grows by one with every change of the spec
    unsigned desired = 0;        // replicas there should be
    Clock::Wall created_at{};
    std::vector<Replica> replicas;
    // Why there are fewer ready replicas than desired, with the last log lines; empty when all is
    // well.
    std::string trouble;

    unsigned ready_count() const;
};

using Table = std::map<FunctionName, std::shared_ptr<const Deployment>>;

enum class DeployMode : std::uint8_t { create, update };

struct LogQuery {
    FunctionName name;
    std::string instance;   // "" all
    std::int64_t tail = 0;  // last lines; 0 or less: all
    Clock::Wall since{};    // lines from then on
    enum class Follow : std::uint8_t { no, yes } follow = Follow::no;
};
struct LogLine {
    Clock::Wall at{};
    std::string instance;
    std::string text;  // without the newline
};
// Lines as they come. Without follow: nothing more means the end.
class LogReader {
public:
    virtual ~LogReader() = default;
    // The next lines, at least one; none at the end.
    virtual Async<std::vector<LogLine>> read() = 0;
};

class Provider {
public:
    virtual ~Provider() = default;

    // The truth as of now; never null.
    virtual std::shared_ptr<const Table> table() const = 0;
    // Calls `changed` with the current table now and with each new one from then on. One watcher.
    virtual void watch(std::function<void(std::shared_ptr<const Table>)> changed) = 0;

    // Stores the spec; replicas follow. Comes back when it is durable, not when it is ready.
    // Errors: conflict    create: it exists
    //         not_found   update: it does not; or the image is not there
    //         invalid     the spec or the image's command cannot run here
    //         unavailable the disk refused
    virtual Async<> deploy(FunctionSpec spec, DeployMode mode) = 0;
    // Errors: not_found
    virtual Async<> remove(FunctionName name) = 0;
    // Errors: not_found
    virtual Async<> scale(FunctionName name, unsigned replicas) = 0;
    // A call found no ready replica: make one be on its way, now (0 -> 1, end a back-off).
    virtual void wake(const FunctionName& name) = 0;
    // Errors: not_found
    virtual Async<std::unique_ptr<LogReader>> logs(LogQuery query) = 0;

    // For /system/info.
    virtual std::string name() const = 0;           // "fathom-local"
    virtual std::string orchestration() const = 0;  // "sandbox"
};

}  // namespace fathom::provider
