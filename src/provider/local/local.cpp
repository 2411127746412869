#include "provider/local/local.h"

#include "provider/local/fleet.h"

namespace fathom::provider {

Local::Local(LocalParts parts, LocalOptions options)
    : fleet_(std::make_unique<Fleet>(parts, std::move(options))) {}
Local::~Local() = default;

Async<> Local::open(sandbox::Keeper::Hello hello) {
    return fleet_->open(std::move(hello));
}
void Local::close() {
    fleet_->close();
}
std::shared_ptr<const Table> Local::table() const {
    return fleet_->table();
}
void Local::watch(std::function<void(std::shared_ptr<const Table>)> changed) {
    fleet_->watch(std::move(changed));
}
Async<> Local::deploy(FunctionSpec spec, DeployMode mode) {
    return fleet_->deploy(std::move(spec), mode);
}
Async<> Local::remove(FunctionName name) {
    return fleet_->remove(std::move(name));
}
Async<> Local::scale(FunctionName name, unsigned replicas) {
    return fleet_->scale(std::move(name), replicas);
}
void Local::wake(const FunctionName& name) {
    fleet_->wake(name);
}
Async<std::unique_ptr<LogReader>> Local::logs(LogQuery query) {
    return fleet_->logs(std::move(query));
}

}  // namespace fathom::provider
