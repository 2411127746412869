#include "watchdog/config.h"

#include <gtest/gtest.h>

namespace fathom::watchdog {
namespace {

Result<Config> read(std::vector<const char*> entries, int pid = 42) {
    return read_config(Environment(entries), pid);
}

TEST(WatchdogConfig, IsClassicUnlessModeSaysOtherwise) {
    const auto config = read({"fprocess=cat"});
    ASSERT_TRUE(config);
    EXPECT_EQ(config->mode, Mode::classic);
    EXPECT_EQ(config->exec_timeout, 0s);
    EXPECT_EQ(config->healthcheck_interval, 30s);
    EXPECT_TRUE(config->has_combined_output);
    EXPECT_TRUE(config->content_type.empty());
}

TEST(WatchdogConfig, EndsACallAfter30SecondsInTheOtherModes) {
    const auto config = read({"fprocess=cat", "mode=streaming"});
    ASSERT_TRUE(config);
    EXPECT_EQ(config->exec_timeout, 30s);
    EXPECT_FALSE(config->has_combined_output);
    EXPECT_EQ(config->content_type, "application/octet-stream");
}

TEST(WatchdogConfig, SplitsTheCommandAtEverySingleSpace) {
    EXPECT_EQ(split_command("wc -w"), (std::vector<std::string>{"wc", "-w"}));
    EXPECT_EQ(split_command("sh -c 'a b'"), (std::vector<std::string>{"sh", "-c", "'a", "b'"}));
    EXPECT_EQ(split_command("a  b"), (std::vector<std::string>{"a", "", "b"}));
}

TEST(WatchdogConfig, RefusesToStartWithoutACommand) {
    const auto config = read({"PATH=/bin"});
    ASSERT_FALSE(config);
    EXPECT_NE(config.error().message().find("fprocess"), std::string::npos);
}

TEST(WatchdogConfig, LetsFunctionProcessWinOutsideClassicMode) {
    EXPECT_EQ(read({"fprocess=a", "function_process=b"})->command.front(), "a");
    EXPECT_EQ(read({"fprocess=a", "function_process=b", "mode=streaming"})->command.front(), "b");
    EXPECT_EQ(read({"function_process=b"})->command.front(), "b");
}

TEST(WatchdogConfig, TakesOneForTrueOutsideClassicModeOnly) {
    EXPECT_TRUE(read({"fprocess=a", "suppress_lock=1"})->has_lock_file);
    EXPECT_FALSE(read({"fprocess=a", "suppress_lock=true"})->has_lock_file);
    EXPECT_FALSE(read({"fprocess=a", "suppress_lock=1", "mode=streaming"})->has_lock_file);
}

TEST(WatchdogConfig, ReadsBareSecondsAndGoDurations) {
    const auto config = read({"fprocess=a", "read_timeout=5", "write_timeout=1m30s",
                              "exec_timeout=100ms", "healthcheck_interval=2s"});
    ASSERT_TRUE(config);
    EXPECT_EQ(config->read_timeout, 5s);
    EXPECT_EQ(config->write_timeout, 90s);
    EXPECT_EQ(config->exec_timeout, 100ms);
    EXPECT_EQ(config->healthcheck_interval, 2s);
}

TEST(WatchdogConfig, PassesOverABadDurationAndSaysSo) {
    const auto config = read({"fprocess=a", "read_timeout=soon"});
    ASSERT_TRUE(config);
    EXPECT_EQ(config->read_timeout, 30s);
    ASSERT_EQ(config->warnings.size(), 1U);
    EXPECT_EQ(config->warnings[0],
              "read_timeout=\"soon\" is passed over: it is not a duration such as 30s or a number "
              "of seconds");
}

TEST(WatchdogConfig, RefusesAModeItDoesNotKnow) {
    const auto config = read({"fprocess=a", "mode=afterburn"});
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().message(),
              "mode \"afterburn\" is not known; accepted: classic, http, streaming, serializing");
}

TEST(WatchdogConfig, RefusesAZeroWriteTimeoutOutsideClassicMode) {
    EXPECT_TRUE(read({"fprocess=a", "write_timeout=0"}));
    EXPECT_FALSE(read({"fprocess=a", "write_timeout=0", "mode=serializing"}));
}

TEST(WatchdogConfig, RefusesToStartOpenWhereJwtAuthIsAskedFor) {
    const auto config = read({"fprocess=a", "jwt_auth=true"});
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().code(), Errc::unsupported);
}

TEST(WatchdogConfig, AdoptsASocketMeantForItsOwnPid) {
    EXPECT_EQ(read({"fprocess=a", "LISTEN_FDS=1", "LISTEN_PID=42"})->listen_fd, 3);
    EXPECT_EQ(read({"fprocess=a", "LISTEN_FDS=1", "LISTEN_PID=43"})->listen_fd, -1);
    EXPECT_EQ(read({"fprocess=a", "FATHOM_LISTEN_FD=7"})->listen_fd, 7);
    EXPECT_FALSE(read({"fprocess=a", "FATHOM_LISTEN_FD=x"}));
}

TEST(WatchdogConfig, DrainsAtOnceOnAnInheritedSocketUnlessToldOtherwise) {
    EXPECT_EQ(read({"fprocess=a", "FATHOM_LISTEN_FD=3"})->healthcheck_interval, 0s);
    EXPECT_EQ(
        read({"fprocess=a", "FATHOM_LISTEN_FD=3", "healthcheck_interval=4s"})->healthcheck_interval,
        4s);
}

TEST(WatchdogConfig, PutsTheLockIntoTheFolderForTemporaryFiles) {
    EXPECT_EQ(read({"fprocess=a"})->lock_path, "/tmp/.lock");
    EXPECT_EQ(read({"fprocess=a", "TMPDIR=/run/x"})->lock_path, "/run/x/.lock");
}

TEST(WatchdogUpstream, ReadsAddressPortAndPrefix) {
    const auto upstream = parse_upstream("http://127.0.0.1:5000/base/");
    ASSERT_TRUE(upstream);
    EXPECT_EQ(upstream->port, 5000);
    EXPECT_EQ(upstream->ipv4, 0x0100007fU);
    EXPECT_EQ(upstream->authority, "127.0.0.1:5000");
    EXPECT_EQ(upstream->prefix, "/base");
}

TEST(WatchdogUpstream, KnowsLocalhostAndIpv6WithoutAskingAnybody) {
    EXPECT_EQ(parse_upstream("http://localhost:3000")->ipv4, 0x0100007fU);
    const auto v6 = parse_upstream("http://[::1]:3000");
    ASSERT_TRUE(v6);
    EXPECT_TRUE(v6->is_ipv6);
    EXPECT_EQ(v6->ipv6[15], 1);
    EXPECT_EQ(v6->port, 3000);
}

TEST(WatchdogUpstream, RefusesWhatItCannotReach) {
    for (const auto* url :
         {"", "https://127.0.0.1:5000", "http://example.com", "http://127.0.0.1:0",
          "http://127.0.0.1:99999", "http://[::1", "http://1.2.3.4:5/a?b",
          "http://u@127.0.0.1:5000", "http://127.0.0.1:50 00"}) {
        EXPECT_FALSE(parse_upstream(url)) << url;
    }
    EXPECT_FALSE(read({"fprocess=a", "mode=http"}));
}

}  // namespace
}  // namespace fathom::watchdog
