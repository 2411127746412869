// The provider of this machine: replicas are processes in sandboxes.
//
// What should be is in state::Deployments; what is, the keeper knows. Every change of either is
// followed by settling: start what is missing, drain what is too much. A new revision takes over
// once it is ready; until then the old one serves.
//
//     provider::Local provider({keeper, images, deployments, pool, clock, log}, {});
//     auto opened = co_await provider.open(std::move(*hello));   // hello: from keeper.open()
//     ...
//     provider.close();                          // nothing is started any more
//     co_await keeper.shut_down(10s);            // or: let the keeper go, and replicas live on
//
// Lives on core 0 with the keeper, and is destroyed before it.
#pragma once

#include "image/image.h"
#include "observe/log.h"
#include "provider/provider.h"
#include "sandbox/sandbox.h"
#include "state/state.h"

namespace fathom::provider {

struct LocalParts {
    sandbox::Keeper& keeper;
    image::Store& images;
    state::Deployments& deployments;
    rt::BlockingPool& pool;  // log files
    const Clock& clock;
    observe::Log& log;
};

struct LocalOptions {
    // From launch to the answer to GET /_/ready.
    Duration start_max = 30s;
    // A draining replica may finish its calls for so long before SIGTERM.
    Duration drain_max = 30s;
    // From SIGTERM to SIGKILL.
    Duration stop_max = 10s;
    // Before a replica that ended by itself is started again: doubles with each that did not stay
    // ready for `steady_after`, from min to max, give or take a fifth.
    Duration backoff_min = 500ms;
    Duration backoff_max = 1min;
    Duration steady_after = 10s;
    // Of one function; the keeper's replicas_max bounds all of them.
    unsigned replicas_max = 1000;
    // What functions print, per function: in memory, and in FOLDER/NAME.NAMESPACE.log, which is
    // renamed to ....log.1 when it is full. An empty folder: memory only.
    Bytes log_memory_bytes = 256_KiB;
    Bytes log_file_bytes = 8_MiB;
    std::string log_folder = "logs";
};

class Local final : public Provider {
public:
    Local(LocalParts parts, LocalOptions options);
    ~Local() override;

    // Loads what is deployed, adopts the replicas that fit, stops the rest, starts what is missing.
    // Errors: unavailable    the deployments cannot be read
    Async<> open(sandbox::Keeper::Hello hello);
    // From now on nothing is started and no end is answered.
    void close();

    std::shared_ptr<const Table> table() const override;
    void watch(std::function<void(std::shared_ptr<const Table>)> changed) override;
    // Besides what the port says: an unchanged spec changes nothing.
    Async<> deploy(FunctionSpec spec, DeployMode mode) override;
    Async<> remove(FunctionName name) override;
    Async<> scale(FunctionName name, unsigned replicas) override;
    void wake(const FunctionName& name) override;
    Async<std::unique_ptr<LogReader>> logs(LogQuery query) override;
    std::string name() const override { return "fathom-local"; }
    std::string orchestration() const override { return "sandbox"; }

private:
    std::unique_ptr<class Fleet> fleet_;
};

}  // namespace fathom::provider
