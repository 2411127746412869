#include "sandbox/message.h"

#include <gtest/gtest.h>

namespace fathom::sandbox {
namespace {

Packet launch_packet() {
    Packet packet;
    packet.kind = static_cast<std::uint32_t>(PacketKind::launch);
    put_text(packet.id, "echo-7f3a-1");
    return packet;
}

TEST(Packets, AreReadAsTheyWereWritten) {
    auto packet = launch_packet();
    packet.revision = 7;
    auto read = parse_packet(bytes_of(packet));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->revision, 7u);
    EXPECT_EQ(text_of(read->id), "echo-7f3a-1");
}

TEST(Packets, OfAnotherSizeAreRefused) {
    const auto packet = launch_packet();
    EXPECT_FALSE(parse_packet(bytes_of(packet).first(sizeof packet - 1)));
    EXPECT_FALSE(parse_packet({}));
}

TEST(Packets, OfAnotherVersionAreRefusedExceptToShutDown) {
    auto packet = launch_packet();
    packet.version = 99;
    EXPECT_EQ(parse_packet(bytes_of(packet)).error().code(), Errc::unsupported);
    packet.kind = static_cast<std::uint32_t>(PacketKind::shut_down);
    EXPECT_TRUE(parse_packet(bytes_of(packet)));
}

TEST(Packets, RefuseAnIdThatWouldLeaveTheFolder) {
    for (auto id : {"", "../x", "a/b", "A", "a.sock", "a b"}) {
        auto packet = launch_packet();
        put_text(packet.id, id);
        EXPECT_FALSE(parse_packet(bytes_of(packet))) << id;
    }
}

TEST(Packets, RefuseATextWithoutAnEnd) {
    auto packet = launch_packet();
    packet.text.fill('x');
    EXPECT_FALSE(parse_packet(bytes_of(packet)));
}

TEST(Packets, RefuseNumbersOutOfTheirRange) {
    auto packet = launch_packet();
    packet.egress = 2;
    EXPECT_FALSE(parse_packet(bytes_of(packet)));
    packet = launch_packet();
    packet.errc = 200;
    EXPECT_FALSE(parse_packet(bytes_of(packet)));
    packet = launch_packet();
    packet.kind = 40;
    EXPECT_FALSE(parse_packet(bytes_of(packet)));
}

LaunchSpec hello_spec() {
    LaunchSpec spec;
    spec.id = "hello-1";
    spec.files = "bundle";
    spec.command = {"handler", "--loud"};
    spec.environment = {{"a", "1"}, {"b", ""}};
    return spec;
}

TEST(Programs, AreReadAsTheyWereWritten) {
    auto bytes = write_program(hello_spec());
    ASSERT_TRUE(bytes);
    Program program;
    EXPECT_EQ(parse_program(*bytes, program), nullptr);
    EXPECT_STREQ(program.files, "bundle");
    EXPECT_STREQ(program.secrets, "");
    EXPECT_STREQ(program.arguments[1], "--loud");
    EXPECT_EQ(program.arguments[2], nullptr);
    EXPECT_STREQ(program.environment[1], "b=");
}

TEST(Programs, CutShortAnywhereAreRefused) {
    auto bytes = write_program(hello_spec());
    ASSERT_TRUE(bytes);
    for (std::size_t size = 0; size < bytes->size(); ++size) {
        Program program;
        EXPECT_NE(parse_program({bytes->data(), size}, program), nullptr) << size;
    }
}

TEST(Programs, RefuseANulOrTooMuch) {
    auto spec = hello_spec();
    spec.environment["c"] = std::string("x\0y", 3);
    EXPECT_EQ(write_program(spec).error().message(), "environment c holds a NUL");
    spec = hello_spec();
    spec.command.resize(kArgumentsMax + 1);
    EXPECT_FALSE(write_program(spec));
    spec = hello_spec();
    spec.environment["c"] = std::string(kProgramBytesMax, 'x');
    EXPECT_FALSE(write_program(spec));
    spec = hello_spec();
    spec.command.clear();
    EXPECT_FALSE(write_program(spec));
}

TEST(ExitTexts, NameTheSignalAndTheLimit) {
    EXPECT_EQ(exit_text(Exit::Kind::killed, 11, 0), "killed by signal 11 (SIGSEGV)");
    EXPECT_EQ(exit_text(Exit::Kind::exited, 3, 0), "exited with status 3");
    EXPECT_EQ(exit_text(Exit::Kind::out_of_memory, 9, 1024),
              "ran out of its memory limit of 1024 bytes (limits.memory)");
}

}  // namespace
}  // namespace fathom::sandbox
