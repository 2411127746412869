// A provider with nothing behind it: for tests, the simulator and --dev. Steered by hand where a
// test wants to choose the moment.
#pragma once

#include <set>

#include "provider/log_book.h"
#include "provider/provider.h"

namespace fathom::provider {

class Fake final : public Provider {
public:
    enum class Readiness : std::uint8_t { at_once, by_hand };  // of every replica it starts
    struct Options {
        Readiness readiness = Readiness::at_once;
        // Where the replicas of a function are; a test points this at a server of its own.
        std::function<rt::Address(const FunctionName&, const std::string& replica_id)> endpoint;
        // References deploy() accepts; empty: all.
        std::set<std::string, std::less<>> images;
    };
    Fake(const Clock& clock, Options options);
    ~Fake() override;

    std::shared_ptr<const Table> table() const override { return table_; }
    void watch(std::function<void(std::shared_ptr<const Table>)> changed) override;
    Async<> deploy(FunctionSpec spec, DeployMode mode) override;
    Async<> remove(FunctionName name) override;
    Async<> scale(FunctionName name, unsigned replicas) override;
    void wake(const FunctionName& name) override;
    Async<std::unique_ptr<LogReader>> logs(LogQuery query) override;
    std::string name() const override { return "fathom-fake"; }
    std::string orchestration() const override { return "nothing"; }

    // The steering wheel.
    void make_ready(const FunctionName& name);  // every starting replica of it
    // Ends a replica as if its process had died; a new one starts at once.
    // Returns false when there is none of that id.
    bool end_replica(const std::string& id, std::string why);
    void set_state(const std::string& id, ReplicaState state, std::string why = {});
    void write_log(const FunctionName& name, std::string instance, std::string text);
    unsigned wakes(const FunctionName& name) const;

private:
    void settle(Deployment& deployment);
    void start_replica(Deployment& deployment);
    void publish();
    bool edit_replica(const std::string& id,
                      const std::function<void(Deployment&, std::size_t)>& edit);

    const Clock& clock_;
    Options options_;
    std::map<FunctionName, Deployment> deployments_;
    std::map<FunctionName, unsigned> wakes_;
    std::map<FunctionName, std::shared_ptr<LogBook>> logs_;
    std::shared_ptr<const Table> table_ = std::make_shared<const Table>();
    std::function<void(std::shared_ptr<const Table>)> changed_;
    std::uint64_t starts_ = 0;
};

}  // namespace fathom::provider
