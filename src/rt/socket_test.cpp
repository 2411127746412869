#include "rt/socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

namespace fathom::rt {
namespace {

struct Pair {
    Socket ours;
    Fd theirs;  // blocking, driven by plain system calls
};

Pair make_pair() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()), 0);
    return {std::move(*Socket::adopt(Fd(fds[0]))), Fd(fds[1])};
}

void put(const Fd& fd, std::string_view bytes) {
    EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
}

TEST(Socket, SeesTheEndThatWasAnnouncedTogetherWithTheLastBytes) {
    const auto script = []() -> Async<> {
        auto pair = make_pair();
        put(pair.theirs, "last words");
        ::shutdown(pair.theirs.get(), SHUT_WR);
        std::array<char, 64> buffer{};
        auto count = co_await pair.ours.read(buffer);  // a short read: bytes and FIN in one event
        EXPECT_EQ(*count, 10u);
        auto end = co_await within(Deadline::in(5s), pair.ours.read(buffer));
        EXPECT_TRUE(end.has_value());
        EXPECT_EQ(*end, 0u);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Socket, SeesTheEndThatComesAfterAShortRead) {
    const auto script = []() -> Async<> {
        auto pair = make_pair();
        put(pair.theirs, "x");
        std::array<char, 64> buffer{};
        EXPECT_EQ(*co_await pair.ours.read(buffer), 1u);
        EXPECT_FALSE(pair.ours.is_stale());
        pair.theirs = Fd();
        EXPECT_EQ(*co_await pair.ours.read(buffer), 0u);
        EXPECT_TRUE(pair.ours.has_hangup());
        EXPECT_TRUE(pair.ours.is_stale());
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Socket, WritesMoreThanTheBufferHolds) {
    const auto script = []() -> Async<> {
        auto pair = make_pair();
        auto reader = std::move(*Socket::adopt(std::move(pair.theirs)));
        const std::string big(4 << 20, 'z');
        const auto drain = [](Socket& from, std::size_t expected) -> Async<> {
            std::array<char, 65536> buffer{};
            std::size_t total = 0;
            while (total < expected) {
                auto count = co_await from.read(buffer);
                if (!count || *count == 0) co_return fail(Errc::internal, "ended early");
                total += *count;
            }
            co_return Result<>{};
        };
        auto done = co_await both(pair.ours.write(big), drain(reader, big.size()));
        EXPECT_TRUE(done.has_value());
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Socket, ReportsABrokenConnectionInsteadOfASignal) {
    const auto script = []() -> Async<> {
        auto pair = make_pair();
        pair.theirs = Fd();
        auto written = co_await pair.ours.write("anybody?");
        EXPECT_EQ(written.error().code(), Errc::bad_upstream);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Socket, ReadsEveryPacketOfAPacketSocketFromOneEdge) {
    const auto script = []() -> Async<> {
        std::array<int, 2> fds{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds.data()), 0);
        auto ours = std::move(*Socket::adopt(Fd(fds[0])));
        const Fd theirs(fds[1]);
        for (int i = 0; i < 3; ++i) put(theirs, "packet");
        std::array<char, 64> buffer{};
        for (int i = 0; i < 3; ++i) {
            auto count = co_await within(Deadline::in(5s), ours.read(buffer));
            EXPECT_EQ(count.value_or(0), 6u);
        }
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Socket, WritesMorePiecesThanOneCallTakes) {
    const auto script = []() -> Async<> {
        auto pair = make_pair();
        std::string bytes(3000, 'x');
        std::vector<iovec> pieces;
        for (auto& byte : bytes) pieces.push_back({&byte, 1});
        EXPECT_TRUE((co_await pair.ours.write_all(pieces)).has_value());
        pair.ours.shut_write();
        std::string came(4000, ' ');
        std::size_t total = 0;
        for (ssize_t count = 1; count > 0; total += static_cast<std::size_t>(count)) {
            count = ::read(pair.theirs.get(), came.data() + total, came.size() - total);
            if (count < 0) break;
        }
        EXPECT_EQ(total, 3000u);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Socket, ReadsAPipeToItsEnd) {
    const auto script = []() -> Async<> {
        std::array<int, 2> fds{};
        EXPECT_EQ(::pipe2(fds.data(), O_CLOEXEC), 0);
        auto ours = std::move(*Socket::adopt(Fd(fds[0])));
        Fd theirs(fds[1]);
        put(theirs, "one");
        std::array<char, 64> buffer{};
        EXPECT_EQ(*co_await ours.read(buffer), 3u);
        put(theirs, "three");
        theirs = Fd();  // bytes and end in one event
        EXPECT_EQ(*co_await ours.read(buffer), 5u);
        EXPECT_EQ(*co_await ours.read(buffer), 0u);
        EXPECT_EQ(*co_await ours.read(buffer), 0u);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Socket, ReportsAResetAsAnError) {
    const auto script = []() -> Async<> {
        auto listener = Listener::open(*Address::parse("127.0.0.1:0"));
        auto client = std::move(*co_await connect(listener->address()));
        auto accepted = co_await listener->accept();
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(accepted->fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        accepted->fd = Fd();
        std::array<char, 64> buffer{};
        auto count = co_await client.read(buffer);
        EXPECT_FALSE(count.has_value());
        EXPECT_TRUE(client.has_hangup());
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

// The reader and the writer of one descriptor are woken by the same event, and the reader ends it.
TEST(Socket, TheReaderMayCloseWhatTheWriterWaitsFor) {
    const auto script = []() -> Async<> {
        auto pair = make_pair();
        TaskGroup reader;
        TaskGroup writer;
        Signal is_closed;
        const auto write = [](Socket& to) -> Async<> {
            const std::string block(1 << 20, 'x');
            co_return co_await to.write(block);
        };
        const auto read = [](Socket& from, TaskGroup& other, Signal& closed) -> Async<> {
            std::array<char, 8> buffer{};
            auto count = co_await from.read(buffer);
            other.cancel();
            from.close();
            closed.raise();
            co_return Result<>{};
        };
        reader.spawn(read(pair.ours, writer, is_closed));
        writer.spawn(write(pair.ours));
        pair.theirs = Fd();  // HUP: both are woken
        co_await is_closed.wait();
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Listener, GivesTheChosenPortAndAccepts) {
    const auto script = []() -> Async<> {
        auto listener = Listener::open(*Address::parse("127.0.0.1:0"));
        EXPECT_TRUE(listener.has_value());
        const auto address = listener->address();
        EXPECT_NE(address.port, 0);
        auto client = co_await connect(address);
        EXPECT_TRUE(client.has_value());
        auto accepted = co_await listener->accept();
        EXPECT_TRUE(accepted->peer.starts_with("127.0.0.1:")) << accepted->peer;
        auto second = Listener::open(address);
        EXPECT_EQ(second.error().code(), Errc::conflict);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Connect, SaysThatNobodyListens) {
    const auto script = []() -> Async<> {
        Address address;
        {
            auto listener = Listener::open(*Address::parse("127.0.0.1:0"));
            address = listener->address();
        }
        auto refused = co_await connect(address);
        EXPECT_EQ(refused.error().code(), Errc::unavailable);
        EXPECT_NE(refused.error().message().find(address.text()), std::string::npos);
        auto missing = co_await connect(*Address::parse("unix:/nowhere/at/all.sock"));
        EXPECT_EQ(missing.error().code(), Errc::unavailable);
        co_return Result<>{};
    };
    EXPECT_TRUE(run(script()).has_value());
}

TEST(Address, ReadsEveryFormAndRefusesTheRest) {
    EXPECT_EQ(Address::parse("127.0.0.1:8080")->text(), "127.0.0.1:8080");
    EXPECT_EQ(Address::parse("[::1]:80")->text(), "[::1]:80");
    EXPECT_EQ(Address::parse(":80")->text(), "0.0.0.0:80");
    EXPECT_EQ(Address::parse("localhost:80")->text(), "127.0.0.1:80");
    EXPECT_EQ(Address::parse("unix:/run/x")->unix_path, "/run/x");
    for (const auto* text :
         {"", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "unix:", "example.com:80",
          "1.2.3:80", "127.0.0.1:-1", "::1:80", "[127.0.0.1]:80", "[]:80", "[::1:80"}) {
        EXPECT_FALSE(Address::parse(text).has_value()) << text;
    }
}

}  // namespace
}  // namespace fathom::rt
