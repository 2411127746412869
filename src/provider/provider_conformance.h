// What every provider promises, as one suite that all of them pass: the cases are in
// provider_conformance.cpp, linked into each program that names a subject.
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

}  // namespace fathom::provider
