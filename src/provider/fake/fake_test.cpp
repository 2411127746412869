#include "provider/fake/fake.h"

#include "provider/provider_conformance.h"

namespace fathom::provider {
namespace {

class FakeSubject final : public Subject {
public:
    Provider& provider() override { return fake_; }
    std::string image() override { return "fathom.local/echo:0123456789ab"; }
    Async<> close() override { co_return Result<>{}; }

private:
    SystemClock clock_;
    Fake fake_{clock_, {.endpoint = {}, .images = {"fathom.local/echo:0123456789ab"}}};
};

Async<std::unique_ptr<Subject>> make_fake() {
    co_return std::make_unique<FakeSubject>();
}

INSTANTIATE_TEST_SUITE_P(Fake, ProviderConformance,
                         testing::Values(SubjectMaker{.name = "fake", .make = make_fake}));

FunctionSpec echo() {
    FunctionSpec spec;
    spec.name.name = "echo";
    spec.image = "x";
    return spec;
}

Async<> starts_by_hand() {
    ManualClock clock;
    Fake fake(clock, {.readiness = Fake::Readiness::by_hand, .endpoint = {}, .images = {}});
    auto deployed = co_await fake.deploy(echo(), DeployMode::create);
    if (!deployed) co_return deployed;
    EXPECT_EQ(fake.table()->at(echo().name)->ready_count(), 0u);
    fake.make_ready(echo().name);
    EXPECT_EQ(fake.table()->at(echo().name)->ready_count(), 1u);
    co_return Result<>{};
}
TEST(FakeProvider, ReplicasByHandWaitUntilTheyAreMadeReady) {
    EXPECT_TRUE(rt::run(starts_by_hand()));
}

Async<> reads_the_tail() {
    ManualClock clock;
    Fake fake(clock, {});
    auto deployed = co_await fake.deploy(echo(), DeployMode::create);
    if (!deployed) co_return deployed;
    for (auto text : {"one", "two", "three"}) fake.write_log(echo().name, "a", text);
    LogQuery query;
    query.name = echo().name;
    query.tail = 2;
    auto logs = co_await fake.logs(query);
    if (!logs) co_return fail(std::move(logs).error());
    auto lines = co_await (*logs)->read();
    EXPECT_EQ(lines->size(), 2u);
    EXPECT_EQ(lines->front().text, "two");
    auto end = co_await (*logs)->read();
    EXPECT_TRUE(end->empty());
    co_return Result<>{};
}
TEST(FakeProvider, LogsEndAfterTheLastLine) {
    EXPECT_TRUE(rt::run(reads_the_tail()));
}

}  // namespace
}  // namespace fathom::provider
