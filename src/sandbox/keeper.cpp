// The daemon's end of the line to the keeper.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <deque>
#include <unordered_map>

#include "sandbox/connect.h"
#include "sandbox/message.h"
#include "sandbox/sandbox.h"

namespace fathom::sandbox {
namespace {

constexpr std::string_view kFilesInside = "/home/app/function";
constexpr std::string_view kRuntimeInside = "/opt/fathom";

// A memory file that cannot change any more, holding `bytes`.
Result<rt::Fd> seal(std::string_view bytes) {
    rt::Fd file(::memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file) return fail_errno(Errc::unavailable, errno, "making a memory file");
    while (!bytes.empty()) {
        const auto count = ::write(file.get(), bytes.data(), bytes.size());
        if (count <= 0) return fail_errno(Errc::unavailable, errno, "writing a memory file");
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    if (::fcntl(file.get(), F_ADD_SEALS, kSeals) != 0) {
        return fail_errno(Errc::unavailable, errno, "sealing a memory file");
    }
    return file;
}

void replace_front(std::string& text, std::string_view front, std::string_view by) {
    const bool is_path = text.size() == front.size() || text[front.size()] == '/';
    if (is_path) text.replace(0, front.size(), by);
}

// Without namespaces there is no /home/app/function and no /opt/fathom: names the real folders.
void use_host_paths(LaunchSpec& spec, std::string_view runtime_folder) {
    std::array<char, PATH_MAX> files{};
    if (::realpath(spec.files.c_str(), files.data()) == nullptr) return;
    const auto translate = [&](std::string& text) {
        if (text.starts_with(kFilesInside)) replace_front(text, kFilesInside, files.data());
        if (text.starts_with(kRuntimeInside)) replace_front(text, kRuntimeInside, runtime_folder);
    };
    for (auto& argument : spec.command) translate(argument);
    for (auto& [name, value] : spec.environment) translate(value);
}

Exit exit_in(const Packet& packet) {
    return {static_cast<Exit::Kind>(packet.exit_kind), packet.code,
            std::string(text_of(packet.text))};
}

}  // namespace

struct Keeper::State {
    struct Question {
        std::optional<Result<Packet>> answer;
        rt::Fd log;
        rt::Signal answered;
    };

    State(KeeperLine line, std::string folder)
        : socket(std::move(line.socket)),
          guard_pid(line.guard_pid),
          data_folder(std::move(folder)) {}
    ~State() { hang_up(); }

    // Starts to serve `socket`.
    Result<> attach() {
        ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
        const int bytes = 4 << 20;
        ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
        auto watched = rt::this_core().watch(socket.get());
        if (!watched) return fail(std::move(watched).error());
        (void)socket.release();
        entry = *watched;
        tasks.spawn(read_packets());
        tasks.spawn(write_packets());
        return {};
    }
    void hang_up() {
        tasks.cancel();
        if (entry != nullptr) rt::this_core().forget(std::exchange(entry, nullptr));
    }

    Async<> read_packets() {
        std::array<char, sizeof(Packet) + 1> bytes;
        for (;;) {
            auto came = receive_packet(entry->fd, bytes, MSG_DONTWAIT);
            if (came.error == EINTR) continue;
            if (came.error == EAGAIN) {
                entry->ready &= static_cast<std::uint8_t>(~rt::FdEntry::readable);
                co_await rt::Socket::ReadyAwaiter{entry, rt::FdEntry::readable};
                continue;
            }
            if (came.error != 0 || came.bytes == 0) break;
            rt::Fd log(came.fd_count > 0 ? came.fds[0] : -1);
            for (std::size_t i = 1; i < came.fd_count; ++i) ::close(came.fds[i]);
            auto packet = parse_packet({bytes.data(), came.bytes});
            if (!packet) {
                why_lost = packet.error();
                break;
            }
            take(*packet, std::move(log));
        }
        lose();
        co_return Result<>{};
    }

    void take(const Packet& packet, rt::Fd log) {
        switch (static_cast<PacketKind>(packet.kind)) {
            case PacketKind::kept:
                return hello.replicas.push_back(kept(packet, std::move(log)));
            case PacketKind::ended:
                if (ended) ended(std::string(text_of(packet.id)), exit_in(packet));
                return;
            case PacketKind::refused:
                if (packet.sequence == 0) {
                    why_lost =
                        Error(static_cast<Errc>(packet.errc), std::string(text_of(packet.text)));
                    return;
                }
                return settle(
                    packet.sequence,
                    fail(Error(static_cast<Errc>(packet.errc), std::string(text_of(packet.text)))),
                    {});
            case PacketKind::welcome:
            case PacketKind::launched:
            case PacketKind::done:
                return settle(packet.sequence, packet, std::move(log));
            default:
                return;
        }
    }

    void settle(std::uint64_t number, Result<Packet> answer, rt::Fd log) {
        auto found = questions.find(number);
        if (found == questions.end()) return;
        Question& question = *found->second;
        questions.erase(found);
        question.answer.emplace(std::move(answer));
        question.log = std::move(log);
        question.answered.raise();
    }

    // The keeper is gone: whoever waits is told.
    void lose() {
        if (std::exchange(is_lost, true)) return;
        const auto error = why_lost.value_or(
            Error(Errc::unavailable, "the keeper is gone, and with it every replica"));
        while (!questions.empty()) settle(questions.begin()->first, fail(error), {});
        gone.raise();
        if (lost) lost();
    }

    Kept kept(const Packet& packet, rt::Fd log) const {
        Kept replica;
        replica.id = text_of(packet.id);
        replica.function = text_of(packet.function);
        replica.revision = packet.revision;
        replica.pid = static_cast<int>(packet.pid);
        replica.socket = data_folder + "keeper/s/" + replica.id + ".sock";
        replica.launched_monotonic_ns = packet.launched_ns;
        replica.is_frozen = packet.is_frozen != 0;
        if (packet.has_exit != 0) replica.exit = exit_in(packet);
        replica.log = std::move(log);
        return replica;
    }

    Async<> write_packets() {
        for (;;) {
            while (!outgoing.empty()) {
                if (!send(outgoing.front().first, outgoing.front().second.get())) {
                    entry->ready &= static_cast<std::uint8_t>(~rt::FdEntry::writable);
                    rt::this_core().announce_writable(*entry);
                    co_await rt::Socket::ReadyAwaiter{entry, rt::FdEntry::writable};
                    continue;
                }
                outgoing.pop_front();
            }
            has_outgoing.lower();
            co_await has_outgoing.wait();
        }
    }
    // False when the line takes no more now. A broken line takes everything: its end will be read.
    bool send(const Packet& packet, int fd) {
        const std::span<const int> fds(&fd, fd < 0 ? 0 : 1);
        const int error = send_packet(entry->fd, bytes_of(packet), fds);
        return error != EAGAIN && error != ENOBUFS && error != ETOOMANYREFS;
    }
    void post(const Packet& packet, rt::Fd fd = {}) {
        if (is_lost || entry == nullptr) return;
        if (outgoing.empty() && send(packet, fd.get())) return;
        outgoing.emplace_back(packet, std::move(fd));
        has_outgoing.raise();
    }

    // Sends a question; its answer, and the descriptor that came with it.
    struct Reply {
        Packet packet;
        rt::Fd log;
    };
    Async<Reply> ask(Packet packet, rt::Fd fd = {}) {
        if (is_lost) co_return fail(Errc::unavailable, "the keeper is gone");
        packet.sequence = ++sequence;
        Question question;
        struct Entry {  // forgotten when answered, or when nobody waits any more
            State& state;
            std::uint64_t number;
            ~Entry() { state.questions.erase(number); }
        } entered{*this, packet.sequence};
        questions.emplace(packet.sequence, &question);
        post(packet, std::move(fd));
        co_await question.answered.wait();
        if (!*question.answer) co_return fail(std::move(*question.answer).error());
        co_return Reply{**question.answer, std::move(question.log)};
    }

    rt::Fd socket;  // until attached
    int guard_pid;
    std::string data_folder;  // "" or ends in '/'
    rt::FdEntry* entry = nullptr;
    Hello hello;  // being collected
    Level level = Level::process;
    std::string runtime_folder;
    std::uint64_t sequence = 0;
    std::unordered_map<std::uint64_t, Question*> questions;
    std::deque<std::pair<Packet, rt::Fd>> outgoing;
    rt::Signal has_outgoing;
    rt::Signal gone;
    bool is_lost = false;
    std::optional<Error> why_lost;
    std::function<void(const std::string&, Exit)> ended;
    std::function<void()> lost;
    TaskGroup tasks;
};

Keeper::Keeper(KeeperLine line, const std::string& data_folder)
    : state_(std::make_unique<State>(std::move(line),
                                     data_folder.empty() ? std::string() : data_folder + "/")) {}
Keeper::~Keeper() = default;

namespace {

Packet packet_of(PacketKind kind, std::string_view id = {}) {
    Packet packet;
    packet.kind = static_cast<std::uint32_t>(kind);
    put_text(packet.id, id);
    return packet;
}

}  // namespace

Async<Keeper::Hello> Keeper::open() {
    State& state = *state_;
    if (auto attached = state.attach(); !attached) co_return fail(std::move(attached).error());
    auto reply = co_await state.ask(packet_of(PacketKind::hello));
    if (!reply) co_return fail(std::move(reply).error());
    state.level = static_cast<Level>(reply->packet.level);
    state.runtime_folder = text_of(reply->packet.text);
    auto hello = std::exchange(state.hello, {});
    hello.abilities = describe(state.level, reply->packet.abilities);
    co_return hello;
}

Async<Keeper::Hello> Keeper::reopen() {
    State& state = *state_;
    if (!state.is_lost) co_return fail(Errc::conflict, "the line to the keeper is open");
    auto socket = connect_to_keeper(state.data_folder);
    if (!socket) co_return fail(std::move(socket).error());
    state.hang_up();
    state.outgoing.clear();
    state.hello = {};
    state.is_lost = false;
    state.why_lost.reset();
    state.gone.lower();
    state.socket = std::move(*socket);
    co_return co_await open();
}

Async<Kept> Keeper::launch(LaunchSpec spec) {
    State& state = *state_;
    if (!is_id(spec.id)) {
        co_return fail(Errc::invalid, "id \"{}\" is not 1 to {} of [a-z0-9-]", spec.id,
                       kIdBytesMax);
    }
    if (spec.function.size() > kFunctionBytesMax) {
        co_return fail(Errc::invalid, "function \"{}\" is longer than {} bytes", spec.function,
                       kFunctionBytesMax);
    }
    if (!spec.image_root.empty()) {
        co_return fail(Errc::unsupported, "images with a root of their own come later");
    }
    if (state.level == Level::process) use_host_paths(spec, state.runtime_folder);
    auto program = write_program(spec);
    if (!program) co_return fail(std::move(program).error());
    auto sealed = seal(*program);
    if (!sealed) co_return fail(std::move(sealed).error());

    auto packet = packet_of(PacketKind::launch, spec.id);
    put_text(packet.function, spec.function);
    packet.revision = spec.revision;
    packet.memory_bytes = spec.memory_bytes_max;
    packet.cpu_millicores = static_cast<std::uint64_t>(spec.cpu_max.count);
    packet.processes = spec.processes_max;
    packet.egress = static_cast<std::uint32_t>(spec.egress);
    auto reply = co_await state.ask(packet, std::move(*sealed));
    if (!reply) co_return fail(std::move(reply).error());
    co_return state.kept(reply->packet, std::move(reply->log));
}

void Keeper::terminate(const std::string& id) {
    state_->post(packet_of(PacketKind::terminate, id));
}

void Keeper::kill(const std::string& id) {
    state_->post(packet_of(PacketKind::kill, id));
}

Async<> Keeper::freeze(const std::string& id) {
    auto reply = co_await state_->ask(packet_of(PacketKind::freeze, id));
    if (!reply) co_return fail(std::move(reply).error());
    co_return Result<>{};
}

Async<> Keeper::thaw(const std::string& id) {
    auto reply = co_await state_->ask(packet_of(PacketKind::thaw, id));
    if (!reply) co_return fail(std::move(reply).error());
    co_return Result<>{};
}

void Keeper::on_exit(std::function<void(const std::string&, Exit)> ended) {
    state_->ended = std::move(ended);
}

void Keeper::on_lost(std::function<void()> lost) {
    state_->lost = std::move(lost);
}

Async<> Keeper::shut_down(Duration grace) {
    State& state = *state_;
    state.lost = nullptr;
    if (state.entry == nullptr) {
        if (auto attached = state.attach(); !attached) co_return attached;
    }
    auto packet = packet_of(PacketKind::shut_down);
    packet.grace_ms = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(grace).count());
    state.post(packet);
    co_await state.gone.wait();
    // The guard ends with its keeper.
    constexpr int kChecksMax = 2000;
    for (int i = 0; state.guard_pid > 0 && i < kChecksMax; ++i) {
        if (::waitpid(state.guard_pid, nullptr, WNOHANG) != 0) break;
        co_await rt::sleep_for(1ms);
    }
    co_return Result<>{};
}

}  // namespace fathom::sandbox
