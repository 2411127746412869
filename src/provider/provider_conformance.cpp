#include "provider/provider_conformance.h"

namespace fathom::provider {

#define FATHOM_CONFORM(name)                         \
    static Async<> conform_##name(Subject& subject); \
    TEST_P(ProviderConformance, name) {              \
        run(conform_##name);                         \
    }                                                \
    static Async<> conform_##name([[maybe_unused]] Subject& subject)

FATHOM_CONFORM(StartsEmpty) {
    EXPECT_TRUE(subject.provider().table()->empty());
    co_return Result<>{};
}

FATHOM_CONFORM(BecomesReadyWithOneReplica) {
    TableWatch watch(subject.provider());
    auto spec = sample_spec(subject);
    auto deployed = co_await subject.provider().deploy(spec, DeployMode::create);
    if (!deployed) co_return deployed;
    auto ready = co_await watch.until(has_ready(spec.name, 1));
    if (!ready) co_return ready;
    const auto& deployment = *watch.table()->at(spec.name);
    EXPECT_EQ(deployment.revision, 1u);
    EXPECT_EQ(deployment.desired, 1u);
    EXPECT_EQ(deployment.trouble, "");
    EXPECT_EQ(*deployment.spec, spec);
    co_return Result<>{};
}

FATHOM_CONFORM(StartsAsManyAsTheMinimumLabelSays) {
    TableWatch watch(subject.provider());
    auto spec = sample_spec(subject);
    spec.labels = function::StringMap{{"com.openfaas.scale.min", "2"}};
    auto deployed = co_await subject.provider().deploy(spec, DeployMode::create);
    if (!deployed) co_return deployed;
    auto ready = co_await watch.until(has_ready(spec.name, 2));
    if (!ready) co_return ready;
    const auto& replicas = watch.table()->at(spec.name)->replicas;
    EXPECT_NE(replicas[0].id, replicas[1].id);
    co_return Result<>{};
}

FATHOM_CONFORM(RefusesToCreateWhatExists) {
    auto spec = sample_spec(subject);
    auto deployed = co_await subject.provider().deploy(spec, DeployMode::create);
    if (!deployed) co_return deployed;
    auto again = co_await subject.provider().deploy(spec, DeployMode::create);
    EXPECT_FALSE(again);
    if (!again) EXPECT_EQ(again.error().code(), Errc::conflict);
    co_return Result<>{};
}

FATHOM_CONFORM(RefusesToUpdateWhatDoesNotExist) {
    auto updated = co_await subject.provider().deploy(sample_spec(subject), DeployMode::update);
    EXPECT_FALSE(updated);
    if (!updated) EXPECT_EQ(updated.error().code(), Errc::not_found);
    EXPECT_TRUE(subject.provider().table()->empty());
    co_return Result<>{};
}

FATHOM_CONFORM(RefusesAnImageThatIsNotThere) {
    auto spec = sample_spec(subject);
    spec.image = "fathom.local/nothing:000000000000";
    auto deployed = co_await subject.provider().deploy(spec, DeployMode::create);
    EXPECT_FALSE(deployed);
    if (!deployed) EXPECT_EQ(deployed.error().code(), Errc::not_found);
    EXPECT_TRUE(subject.provider().table()->empty());
    co_return Result<>{};
}

FATHOM_CONFORM(RefusesABadName) {
    auto spec = sample_spec(subject, "Not_A_Name");
    auto deployed = co_await subject.provider().deploy(spec, DeployMode::create);
    EXPECT_FALSE(deployed);
    if (!deployed) EXPECT_EQ(deployed.error().code(), Errc::invalid);
    co_return Result<>{};
}

FATHOM_CONFORM(ScalesUpAndDownToZero) {
    TableWatch watch(subject.provider());
    auto spec = sample_spec(subject);
    auto deployed = co_await subject.provider().deploy(spec, DeployMode::create);
    if (!deployed) co_return deployed;
    for (unsigned count : {3u, 1u, 0u}) {
        auto scaled = co_await subject.provider().scale(spec.name, count);
        if (!scaled) co_return scaled;
        auto reached = co_await watch.until(has_ready(spec.name, count));
        if (!reached) co_return reached;
        EXPECT_EQ(watch.table()->at(spec.name)->desired, count);
    }
    co_return Result<>{};
}

FATHOM_CONFORM(RefusesToScaleWhatDoesNotExist) {
    auto scaled = co_await subject.provider().scale(FunctionName{"nobody", "openfaas-fn"}, 1);
    EXPECT_FALSE(scaled);
    if (!scaled) EXPECT_EQ(scaled.error().code(), Errc::not_found);
    co_return Result<>{};
}

FATHOM_CONFORM(WakesFromZero) {
    TableWatch watch(subject.provider());
    auto spec = sample_spec(subject);
    spec.labels = function::StringMap{{"com.openfaas.scale.min", "0"}};
    auto deployed = co_await subject.provider().deploy(spec, DeployMode::create);
    if (!deployed) co_return deployed;
    EXPECT_EQ(watch.table()->at(spec.name)->replicas.size(), 0u);
    subject.provider().wake(spec.name);
    co_return co_await watch.until(has_ready(spec.name, 1));
}

FATHOM_CONFORM(AnUpdateReplacesEveryReplica) {
    TableWatch watch(subject.provider());
    auto spec = sample_spec(subject);
    auto deployed = co_await subject.provider().deploy(spec, DeployMode::create);
    if (!deployed) co_return deployed;
    auto ready = co_await watch.until(has_ready(spec.name, 1));
    if (!ready) co_return ready;
    const auto before = watch.table()->at(spec.name)->replicas[0].load;

    spec.environment["greeting"] = "hello";
    auto updated = co_await subject.provider().deploy(spec, DeployMode::update);
    if (!updated) co_return updated;
    auto switched = co_await watch.until([&](const Table& table) {
        const auto& now = *table.at(spec.name);
        return now.revision == 2 && now.replicas.size() == 1 && now.ready_count() == 1 &&
               now.replicas[0].revision == 2;
    });
    EXPECT_TRUE(before->is_gone);
    co_return switched;
}

FATHOM_CONFORM(RemovingLeavesNothing) {
    TableWatch watch(subject.provider());
    auto spec = sample_spec(subject);
    auto deployed = co_await subject.provider().deploy(spec, DeployMode::create);
    if (!deployed) co_return deployed;
    auto removed = co_await subject.provider().remove(spec.name);
    if (!removed) co_return removed;
    EXPECT_FALSE(subject.provider().table()->contains(spec.name));
    auto again = co_await subject.provider().remove(spec.name);
    EXPECT_FALSE(again);
    if (!again) EXPECT_EQ(again.error().code(), Errc::not_found);
    co_return Result<>{};
}

FATHOM_CONFORM(TheWatcherGetsTheTableOfNowAtOnce) {
    auto spec = sample_spec(subject);
    auto deployed = co_await subject.provider().deploy(spec, DeployMode::create);
    if (!deployed) co_return deployed;
    TableWatch watch(subject.provider());
    EXPECT_EQ(watch.versions(), 1u);
    EXPECT_TRUE(watch.table()->contains(spec.name));
    co_return Result<>{};
}

FATHOM_CONFORM(RefusesTheLogsOfWhatDoesNotExist) {
    LogQuery query;
    query.name.name = "nobody";
    auto logs = co_await subject.provider().logs(query);
    EXPECT_FALSE(logs);
    if (!logs) EXPECT_EQ(logs.error().code(), Errc::not_found);
    co_return Result<>{};
}

}  // namespace fathom::provider
