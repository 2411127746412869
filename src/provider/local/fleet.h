// The replicas of this machine: what should be, what is, and the settling between them.
//
//   fleet.cpp    deployments and settling: plain code, no waiting but for the disk
//   replica.cpp  the life of one replica: launch, readiness, end, drain
#pragma once

#include <map>
#include <set>
#include <unordered_map>

#include "provider/local/local.h"
#include "provider/local/logs.h"

namespace fathom::provider {

// A replica from the decision to start it to its end. Shared by the tasks that wait for parts of
// its life and by the function it belongs to.
struct Running {
    std::string id;
    FunctionName function;
    std::uint64_t revision = 0;
    ReplicaState state = ReplicaState::starting;
    unsigned capacity = 0;
    rt::Address endpoint;
    std::string why;
    std::shared_ptr<ReplicaLoad> load = std::make_shared<ReplicaLoad>();
    Clock::Monotonic ready_at{};
    bool is_adopted = false;   // launched for an earlier daemon
    bool is_stopping = false;  // we want it to end
    std::optional<sandbox::Exit> exit;
    rt::Signal ended;
    rt::Signal log_ended;
};
using RunningPtr = std::shared_ptr<Running>;

class Fleet {
public:
    Fleet(LocalParts parts, LocalOptions options);
    ~Fleet();
    Fleet(const Fleet&) = delete;
    Fleet& operator=(const Fleet&) = delete;

    Async<> open(sandbox::Keeper::Hello hello);
    void close();
    std::shared_ptr<const Table> table() const { return table_; }
    void watch(std::function<void(std::shared_ptr<const Table>)> changed);
    Async<> deploy(FunctionSpec spec, DeployMode mode);
    Async<> remove(FunctionName name);
    Async<> scale(FunctionName name, unsigned replicas);
    void wake(const FunctionName& name);
    Async<std::unique_ptr<LogReader>> logs(LogQuery query);

private:
    struct Function {
        std::shared_ptr<const FunctionSpec> spec;
        std::uint64_t revision = 0;
        unsigned desired = 0;
        Clock::Wall created_at{};
        std::vector<RunningPtr> replicas;
        unsigned failures = 0;  // in a row, of replicas that did not stay ready
        Clock::Monotonic retry_at{};
        Clock::Monotonic started_at{};  // the last start
        bool has_retry = false;         // a task waits for retry_at
        std::string trouble;
        std::optional<Replica> failed;  // the last that failed, until one is ready
    };
    // Changes of one function one after the other, each to the disk and back.
    struct Turn {
        Fleet& fleet;
        FunctionName name;
        ~Turn();
    };

    // fleet.cpp
    Async<> take_turn(FunctionName name);
    Async<> store(FunctionName name, const Function& function);
    static Function make_function(const state::StoredDeployment& stored);
    Result<> check_deploy(const FunctionSpec& spec, DeployMode mode) const;
    Function* find(const FunctionName& name);
    void settle(const FunctionName& name);
    void settle_later(const FunctionName& name);
    void start_missing(const FunctionName& name, Function& function, unsigned live);
    void stop_surplus(Function& function, unsigned live);
    void publish(const FunctionName& name);
    void publish_all();
    static std::shared_ptr<const Deployment> describe(const Function& function);
    Async<> persist(FunctionName name);
    Async<> retry(FunctionName name);

    // replica.cpp
    RunningPtr make_running(const FunctionName& name, std::uint64_t revision);
    Async<> live(RunningPtr replica);
    Async<> launch(RunningPtr replica);
    Async<> become_ready(RunningPtr replica);
    void keep_log(const RunningPtr& replica, rt::Fd log);
    Async<> read_log(RunningPtr replica, rt::Fd log);
    Async<> live_on(RunningPtr replica);
    Async<> stop(RunningPtr replica);
    void begin_stop(const RunningPtr& replica);
    Async<> bury(RunningPtr replica);
    void count_failure(Function& function, const Running& replica, const std::string& what);
    void adopt(sandbox::Kept kept);
    void hear_exit(const std::string& id, sandbox::Exit exit);
    void lose_keeper();
    Async<> find_keeper();

    LocalParts parts_;
    LocalOptions options_;
    std::map<FunctionName, Function> functions_;
    std::unordered_map<std::string, RunningPtr> by_id_;  // those the keeper may tell about
    std::shared_ptr<const Table> table_ = std::make_shared<const Table>();
    std::function<void(std::shared_ptr<const Table>)> changed_;
    std::set<FunctionName> turns_;
    rt::Signal turn_ended_;
    std::set<FunctionName> unsettled_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for work deferred to the core
    bool is_closed_ = false;
    bool is_keeper_lost_ = false;
    Logs logs_;
    TaskGroup tasks_;
};

}  // namespace fathom::provider
