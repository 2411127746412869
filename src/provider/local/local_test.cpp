#include "provider/local/local.h"

#include <sys/wait.h>

#include <csignal>
#include <cstdlib>

#include "provider/provider_conformance.h"
#include "sandbox/testing/keeper_house.h"

namespace fathom::provider {
namespace {

constexpr std::string_view kImage = "fathom.local/sample:0123456789ab";

// One image a mode of the sample program: fathom.local/sample:MODE.
class SampleStore final : public image::Store {
public:
    explicit SampleStore(std::string root) : root_(std::move(root)) {}
    Result<image::Image> find(std::string_view reference) const override {
        constexpr std::string_view kFront = "fathom.local/sample:";
        if (!reference.starts_with(kFront)) {
            return fail(Errc::not_found, "image \"{}\" is not here", reference);
        }
        image::Image image;
        image.reference = reference;
        image.root = root_;
        const auto mode = reference == kImage ? "serve" : reference.substr(kFront.size());
        image.command = {"/home/app/function/sample", std::string(mode)};
        return image;
    }
    std::vector<image::Image> list() const override { return {}; }
    Async<image::Image> put(http::BodyReader& /*archive*/) override {
        co_return fail(Errc::unsupported, "fixed");
    }
    Async<> remove(std::string_view /*reference*/) override {
        co_return fail(Errc::unsupported, "fixed");
    }

private:
    std::string root_;
};

LocalOptions quick_options(const sandbox::KeeperHouse& house) {
    LocalOptions options;
    options.backoff_min = 20ms;
    options.log_folder = (house.data() / "logs").string();
    return options;
}

// A daemon's worth: everything between main and the provider.
class LocalSubject final : public Subject {
public:
    explicit LocalSubject(std::shared_ptr<sandbox::KeeperHouse> house, sandbox::KeeperLine line,
                          state::Deployments& deployments, LocalOptions options)
        : house_(std::move(house)),
          keeper_(std::move(line), house_->data().string()),
          store_((house_->data() / "bundle").string()),
          log_(observe::Log::quiet(), clock_),
          local_({keeper_, store_, deployments, pool_, clock_, log_}, std::move(options)) {}

    Async<> open() {
        auto hello = co_await keeper_.open();
        if (!hello) co_return fail(std::move(hello).error());
        adopted_ = hello->replicas.size();
        co_return co_await local_.open(std::move(*hello));
    }
    Provider& provider() override { return local_; }
    std::string image() override { return std::string(kImage); }
    Async<> close() override {
        local_.close();
        auto ended = co_await keeper_.shut_down(2s);
        if (ended) EXPECT_EQ(house_->leftovers(), "");
        co_return ended;
    }
    std::size_t adopted() const { return adopted_; }

private:
    std::shared_ptr<sandbox::KeeperHouse> house_;
    SystemClock clock_;
    rt::BlockingPool pool_{{.threads = 1}};
    sandbox::Keeper keeper_;
    SampleStore store_;
    observe::Log log_;
    Local local_;
    std::size_t adopted_ = 0;
};

// A house with what outlives a daemon: the disk (deployments) and the keeper.
struct Place {
    explicit Place(sandbox::Level level = sandbox::Level::full)
        : house(std::make_shared<sandbox::KeeperHouse>(FATHOM_SAMPLE, level)),
          deployments(state::make_memory_deployments()),
          options(quick_options(*house)) {}
    Async<std::unique_ptr<LocalSubject>> daemon() {
        auto line = sandbox::start_or_find_keeper(house->options);
        if (!line) co_return fail(std::move(line).error());
        if (line->guard_pid > 0) guard_pid = line->guard_pid;
        auto subject =
            std::make_unique<LocalSubject>(house, std::move(*line), *deployments, options);
        if (auto opened = co_await subject->open(); !opened) {
            co_return fail(std::move(opened).error());
        }
        co_return subject;
    }
    std::shared_ptr<sandbox::KeeperHouse> house;
    std::unique_ptr<state::Deployments> deployments;
    LocalOptions options;
    int guard_pid = 0;
};

// The suite: each case in a place of its own, at the best level there is and without namespaces.
class PlacedSubject final : public Subject {
public:
    explicit PlacedSubject(sandbox::Level level) : place_(level) {}
    Async<> open() {
        auto daemon = co_await place_.daemon();
        if (!daemon) co_return fail(std::move(daemon).error());
        daemon_ = std::move(*daemon);
        co_return Result<>{};
    }
    Provider& provider() override { return daemon_->provider(); }
    std::string image() override { return daemon_->image(); }
    Async<> close() override { return daemon_->close(); }

private:
    Place place_;
    std::unique_ptr<LocalSubject> daemon_;
};

template <sandbox::Level level>
Async<std::unique_ptr<Subject>> make_placed() {
    auto subject = std::make_unique<PlacedSubject>(level);
    if (auto opened = co_await subject->open(); !opened) co_return fail(std::move(opened).error());
    co_return subject;
}

INSTANTIATE_TEST_SUITE_P(
    Local, ProviderConformance,
    testing::Values(SubjectMaker{.name = "local", .make = make_placed<sandbox::Level::full>},
                    SubjectMaker{.name = "local without namespaces",
                                 .make = make_placed<sandbox::Level::process>}));

FunctionSpec sample(std::string_view mode) {
    FunctionSpec spec;
    spec.name.name = "sample";
    spec.image = fmt::format("fathom.local/sample:{}", mode);
    return spec;
}

Async<> deploy(Subject& subject, FunctionSpec spec, DeployMode mode = DeployMode::create) {
    return subject.provider().deploy(std::move(spec), mode);
}

using Scene = Async<> (*)(Place&);
void play(Scene scene) {
    struct Stage {
        static Async<> run(Scene scene) {
            Place place;
            co_return co_await within(Deadline::in(60s), scene(place));
        }
    };
    auto played = rt::run(Stage::run(scene));
    EXPECT_TRUE(played) << played.error().message();
}

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

Async<> says_why_it_fails(Place& place) {
    auto daemon = co_await place.daemon();
    if (!daemon) co_return fail(std::move(daemon).error());
    {
        TableWatch watch((*daemon)->provider());
        auto spec = sample("crash");
        if (auto deployed = co_await deploy(**daemon, spec); !deployed) co_return deployed;
        auto failed = co_await watch.until([&](const Table& table) {
            return has(table.at(spec.name)->trouble, "2 failed in a row");
        });
        if (!failed) co_return failed;
        const auto& trouble = watch.table()->at(spec.name)->trouble;
        EXPECT_TRUE(has(trouble, "exited with status 7")) << trouble;
        EXPECT_TRUE(has(trouble, "it printed last:\ncannot find config.json")) << trouble;
        EXPECT_EQ(watch.table()->at(spec.name)->replicas.back().state, ReplicaState::failed);
    }
    co_return co_await (*daemon)->close();
}
TEST(LocalProvider, SaysWhyAReplicaFailsWithItsLastLines) {
    play(says_why_it_fails);
}

Async<> says_what_is_not_ready(Place& place) {
    place.options.start_max = 300ms;
    auto daemon = co_await place.daemon();
    if (!daemon) co_return fail(std::move(daemon).error());
    {
        TableWatch watch((*daemon)->provider());
        auto spec = sample("unready");
        if (auto deployed = co_await deploy(**daemon, spec); !deployed) co_return deployed;
        auto failed = co_await watch.until(
            [&](const Table& table) { return !table.at(spec.name)->trouble.empty(); });
        if (!failed) co_return failed;
        const auto& trouble = watch.table()->at(spec.name)->trouble;
        EXPECT_TRUE(has(trouble, "answered GET /_/ready with status 503 for 300ms")) << trouble;
        EXPECT_TRUE(has(trouble, "the database is not there")) << trouble;
    }
    co_return co_await (*daemon)->close();
}
TEST(LocalProvider, SaysThatAReplicaNeverBecameReady) {
    play(says_what_is_not_ready);
}

Async<> keeps_the_old_revision(Place& place) {
    auto daemon = co_await place.daemon();
    if (!daemon) co_return fail(std::move(daemon).error());
    {
        TableWatch watch((*daemon)->provider());
        auto spec = sample("serve");
        if (auto deployed = co_await deploy(**daemon, spec); !deployed) co_return deployed;
        if (auto ready = co_await watch.until(has_ready(spec.name, 1)); !ready) co_return ready;
        auto broken = sample("crash");
        auto updated = co_await deploy(**daemon, broken, DeployMode::update);
        if (!updated) co_return updated;
        auto failed = co_await watch.until(
            [&](const Table& table) { return !table.at(spec.name)->trouble.empty(); });
        if (!failed) co_return failed;
        EXPECT_EQ(watch.table()->at(spec.name)->ready_count(), 1u);
    }
    co_return co_await (*daemon)->close();
}
TEST(LocalProvider, TheOldRevisionServesUntilTheNewOneIsReady) {
    play(keeps_the_old_revision);
}

Async<> adopts(Place& place) {
    auto first = co_await place.daemon();
    if (!first) co_return fail(std::move(first).error());
    auto spec = sample("serve");
    std::string id;
    {
        TableWatch watch((*first)->provider());
        if (auto deployed = co_await deploy(**first, spec); !deployed) co_return deployed;
        if (auto ready = co_await watch.until(has_ready(spec.name, 1)); !ready) co_return ready;
        id = watch.table()->at(spec.name)->replicas[0].id;
    }
    first->reset();  // as if it had been killed: the line closes, nobody says goodbye

    auto second = co_await place.daemon();
    if (!second) co_return fail(std::move(second).error());
    EXPECT_EQ((*second)->adopted(), 1u);
    {
        TableWatch watch((*second)->provider());
        if (auto ready = co_await watch.until(has_ready(spec.name, 1)); !ready) co_return ready;
        EXPECT_EQ(watch.table()->at(spec.name)->replicas[0].id, id);
    }
    co_return co_await (*second)->close();
}
TEST(LocalProvider, TheNextDaemonAdoptsWhatRuns) {
    play(adopts);
}

// The keeper itself: the child of the guard.
int keeper_of(int guard_pid) {
    std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", guard_pid));
    int keeper = 0;
    children >> keeper;
    return keeper;
}

Async<> survives_the_keeper(Place& place) {
    auto daemon = co_await place.daemon();
    if (!daemon) co_return fail(std::move(daemon).error());
    {
        TableWatch watch((*daemon)->provider());
        auto spec = sample("serve");
        if (auto deployed = co_await deploy(**daemon, spec); !deployed) co_return deployed;
        if (auto ready = co_await watch.until(has_ready(spec.name, 1)); !ready) co_return ready;
        const auto id = watch.table()->at(spec.name)->replicas[0].id;
        const int keeper = keeper_of(place.guard_pid);
        EXPECT_GT(keeper, 1);
        if (keeper <= 1) co_return fail(Errc::internal, "no keeper found");
        ::kill(keeper, SIGKILL);
        auto back = co_await watch.until([&](const Table& table) {
            const auto& now = *table.at(spec.name);
            return now.ready_count() == 1 && now.replicas[0].id != id;
        });
        if (!back) co_return back;
        EXPECT_EQ(watch.table()->at(spec.name)->trouble, "");
    }
    co_return co_await (*daemon)->close();
}
TEST(LocalProvider, AKilledKeeperComesBackAndSoDoReplicas) {
    play(survives_the_keeper);
}

Async<> follows_logs(Place& place) {
    auto daemon = co_await place.daemon();
    if (!daemon) co_return fail(std::move(daemon).error());
    {
        auto spec = sample("unready");
        if (auto deployed = co_await deploy(**daemon, spec); !deployed) co_return deployed;
        LogQuery query;
        query.name = spec.name;
        query.follow = LogQuery::Follow::yes;
        auto reader = co_await (*daemon)->provider().logs(query);
        if (!reader) co_return fail(std::move(reader).error());
        auto lines = co_await (*reader)->read();
        EXPECT_EQ(lines->at(0).text, "the database is not there");
        EXPECT_TRUE(lines->at(0).instance.starts_with("sample-1-"));
        auto removed = co_await (*daemon)->provider().remove(spec.name);
        if (!removed) co_return removed;
        auto end = co_await (*reader)->read();
        EXPECT_TRUE(end->empty());
    }
    co_return co_await (*daemon)->close();
}
TEST(LocalProvider, LogsFollowUntilTheFunctionIsRemoved) {
    play(follows_logs);
}

}  // namespace
}  // namespace fathom::provider
