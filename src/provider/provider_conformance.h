// What every provider promises, as one suite that all of them pass.
//
//     INSTANTIATE_TEST_SUITE_P(Fake, ProviderConformance, testing::Values(fake_subject()));
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "provider/provider.h"

namespace fathom::provider {

// One provider with what it stands on. Made and closed inside a running core.
class Subject {
public:
    virtual ~Subject() = default;
    virtual Provider& provider() = 0;
    // A reference deploy() accepts, whose replicas become ready.
    virtual std::string image() = 0;
    // Stops everything that was started.
    virtual Async<> close() = 0;
};

struct SubjectMaker {
    std::string name;
    Async<std::unique_ptr<Subject>> (*make)();
    // Why it cannot run here; empty when it can.
    std::string (*obstacle)() = [] { return std::string(); };
    friend void PrintTo(const SubjectMaker& maker, std::ostream* out) { *out << maker.name; }
};

// Waits for a table that satisfies `is_right`, at most 30 s.
class TableWatch {
public:
    explicit TableWatch(Provider& provider) : provider_(provider) {
        provider.watch([this](std::shared_ptr<const Table> table) {
            table_ = std::move(table);
            versions_ += 1;
            changed_.raise();
        });
    }
    ~TableWatch() {
        provider_.watch([](const std::shared_ptr<const Table>&) {});
    }
    TableWatch(const TableWatch&) = delete;
    TableWatch& operator=(const TableWatch&) = delete;
    Async<> until(std::function<bool(const Table&)> is_right) {
        return within_limit(std::move(is_right));
    }
    std::shared_ptr<const Table> table() const { return table_; }
    unsigned versions() const { return versions_; }

private:
    Async<> wait(std::function<bool(const Table&)> is_right) {
        while (!is_right(*table_)) {
            changed_.lower();
            co_await changed_.wait();
        }
        co_return Result<>{};
    }
    Async<> within_limit(std::function<bool(const Table&)> is_right) {
        co_return co_await within(Deadline::in(30s), wait(std::move(is_right)));
    }

    Provider& provider_;
    std::shared_ptr<const Table> table_;
    unsigned versions_ = 0;
    rt::Signal changed_;
};

inline FunctionSpec sample_spec(Subject& subject, std::string name = "echo") {
    FunctionSpec spec;
    spec.name.name = std::move(name);
    spec.image = subject.image();
    return spec;
}

inline std::function<bool(const Table&)> has_ready(FunctionName name, unsigned count) {
    return [name = std::move(name), count](const Table& table) {
        auto found = table.find(name);
        return found != table.end() && found->second->ready_count() == count &&
               found->second->replicas.size() == count;
    };
}

class ProviderConformance : public testing::TestWithParam<SubjectMaker> {
protected:
    using Body = Async<> (*)(Subject&);

    void SetUp() override {
        if (auto obstacle = GetParam().obstacle(); !obstacle.empty()) GTEST_SKIP() << obstacle;
    }
    // Runs `body` against a fresh provider, and closes it whatever happened.
    void run(Body body) {
        auto ran = rt::run(around(GetParam(), body));
        EXPECT_TRUE(ran) << ran.error().message();
    }

private:
    static Async<> around(SubjectMaker maker, Body body) {
        auto subject = co_await maker.make();
        if (!subject) co_return fail(std::move(subject).error());
        auto ran = co_await body(**subject);
        auto closed = co_await (*subject)->close();
        if (!ran) co_return fail(std::move(ran).error());
        co_return closed;
    }
};

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
