// What every Deployments must do. An adapter instantiates this suite with a type that has
// `Deployments& deployments()`, and `void reopen()` when it outlives the process.
#pragma once

#include <gtest/gtest.h>

#include "rt/rt.h"
#include "state/state.h"

namespace fathom::state {

inline StoredDeployment sample(std::string name, std::uint64_t revision = 1) {
    StoredDeployment deployment;
    deployment.spec.name.name = std::move(name);
    deployment.spec.image = "fathom.local/sample:0123456789ab";
    deployment.revision = revision;
    deployment.desired = 1;
    deployment.created_at = Clock::Wall(1'795'265'197s + 7ns);
    return deployment;
}

template <class Fixture>
class DeploymentsConformance : public testing::Test {
protected:
    static Async<> put_all(Deployments& to, std::vector<StoredDeployment> all) {
        for (auto& each : all) {
            auto put = co_await to.put(std::move(each));
            if (!put) co_return fail(std::move(put).error());
        }
        co_return Result<>();
    }
    void put(std::vector<StoredDeployment> all) {
        auto done = rt::run(put_all(fixture_.deployments(), std::move(all)));
        ASSERT_TRUE(done.has_value()) << done.error().message();
    }
    void erase(function::FunctionName name) {
        auto done = rt::run(fixture_.deployments().erase(std::move(name)));
        ASSERT_TRUE(done.has_value()) << done.error().message();
    }
    std::vector<StoredDeployment> load() {
        fixture_.reopen();
        auto loaded = fixture_.deployments().load();
        EXPECT_TRUE(loaded.has_value()) << loaded.error().message();
        return loaded.value_or(std::vector<StoredDeployment>());
    }

    Fixture fixture_;
};
TYPED_TEST_SUITE_P(DeploymentsConformance);

TYPED_TEST_P(DeploymentsConformance, IsEmptyAtFirst) {
    EXPECT_TRUE(this->load().empty());
}

TYPED_TEST_P(DeploymentsConformance, GivesBackWhatWasPut) {
    auto full = sample("echo", 18'000'000'000'000'000'000U);
    full.desired = 4'000'000'000U;
    full.spec.name.space = "dev";
    full.spec.env_process = "cat \"a b\"";
    full.spec.environment = {{"a", "1"}, {"text", "\xc3\xa4\n'; DROP TABLE deployments; --"}};
    full.spec.constraints = {"node=x"};
    full.spec.secrets = {"db"};
    full.spec.labels = function::StringMap{};
    full.spec.annotations = function::StringMap{{"topic", ""}};
    full.spec.limits = function::Resources{"128Mi", "100m", {{"amd.com/gpu", "1"}}};
    full.spec.has_readonly_root = true;
    this->put({full});
    EXPECT_EQ(this->load(), std::vector{full});
}

TYPED_TEST_P(DeploymentsConformance, ReplacesByNameAndNamespace) {
    auto other_space = sample("echo");
    other_space.spec.name.space = "dev";
    this->put({sample("echo", 1), other_space, sample("echo", 2)});
    EXPECT_EQ(this->load(), (std::vector{other_space, sample("echo", 2)}));
}

TYPED_TEST_P(DeploymentsConformance, OrdersByNamespaceAndName) {
    auto first = sample("zeta");
    first.spec.name.space = "a";
    this->put({sample("beta"), sample("alpha"), first});
    EXPECT_EQ(this->load(), (std::vector{first, sample("alpha"), sample("beta")}));
}

TYPED_TEST_P(DeploymentsConformance, ErasesOneAndOnlyOne) {
    this->put({sample("a"), sample("b")});
    this->erase({"a"});
    EXPECT_EQ(this->load(), std::vector{sample("b")});
    this->erase({"a"});
    this->erase({"nobody", "nowhere"});
    EXPECT_EQ(this->load(), std::vector{sample("b")});
}

REGISTER_TYPED_TEST_SUITE_P(DeploymentsConformance, IsEmptyAtFirst, GivesBackWhatWasPut,
                            ReplacesByNameAndNamespace, OrdersByNamespaceAndName,
                            ErasesOneAndOnlyOne);

}  // namespace fathom::state
