// The keeper's work: one thread, one epoll, packets in, cells kept.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/ports.h"
#include "sandbox/cell.h"
#include "sandbox/cgroup.h"
#include "sandbox/message.h"
#include "sandbox/root.h"

namespace fathom::sandbox {

// What keeper_main prepared. The working folder is the keeper's own.
struct KeeperParts {
    KeeperOptions options;
    rt::Fd data_folder;  // what is shown to replicas lies in it
    std::string runtime_folder;
    Cgroups cgroups;
    std::optional<HostRoot> root;  // not at level process
    CellPlan plan;
    std::uint32_t abilities = 0;
    rt::Fd signals;   // signalfd of SIGTERM and SIGINT
    rt::Fd listener;  // control.sock
};

class KeeperLoop {
public:
    KeeperLoop(KeeperParts parts, const Clock& clock);

    // Starts one cell and waits until it is prepared: whether this machine allows it.
    // Errors: unavailable    names the step the kernel refused
    Result<> try_cell();
    KeeperParts& parts() { return parts_; }
    // Serves `line` (-1: waits for a daemon on the listener) until an orderly end.
    void run(rt::Fd line);

private:
    struct Cell {
        unsigned number = 0;
        CellStart start;
        bool has_groups = true;
        std::string id;  // empty: made ahead
        std::string function;
        std::uint64_t revision = 0;
        std::uint64_t launched_ns = 0;
        Bytes memory_bytes_max = 0;
        bool is_frozen = false;
        bool is_prepared = false;
        rt::Fd log;
        std::optional<CellReport> last_word;
    };
    // A replica that ended while no daemon listened.
    struct Past {
        Packet packet;
        rt::Fd log;
    };
    struct Outgoing {
        Packet packet;
        int log = -1;  // duplicated; closed once sent
    };

    // keeper_loop.cpp: the loop, the line, the end
    int wait_ms() const;
    void dispatch(std::uint64_t tag, std::uint32_t events);
    void maintain();
    void take_daemon();
    void serve_daemon(rt::Fd line);
    void lose_daemon();
    void read_packets();
    void answer(const Packet& packet, int log = -1);
    void flush();
    void refuse(const Packet& question, const Error& error);
    void take_signal();
    void begin_end(Duration grace);
    void watch(int fd, std::uint64_t tag, std::uint32_t events);
    void drop_old_output();

    // keeper_cells.cpp: replicas
    Result<Cell*> make_cell();
    void handle(const Packet& packet, Received& came);
    void greet(const Packet& hello);
    Result<> launch(const Packet& packet, int program);
    Result<> send_run(Cell& cell, const Packet& packet, int program, int listener, int log_in);
    void set_frozen(const Packet& packet, std::string_view zero_or_one);
    void signal_cell(Cell& cell, int number);
    void kill_cell(Cell& cell);
    void hear(Cell& cell);
    void bury(unsigned number);
    Exit exit_of(const Cell& cell) const;
    Packet describe_cell(const Cell& cell, PacketKind kind) const;
    Cell* find(std::string_view id);
    unsigned ahead() const;

    KeeperParts parts_;
    const Clock& clock_;
    rt::Fd epoll_;
    rt::Fd daemon_;
    std::deque<Outgoing> outgoing_;
    std::map<unsigned, std::unique_ptr<Cell>> cells_;
    std::unordered_map<std::string, unsigned> by_id_;
    std::deque<Past> past_;
    std::vector<unsigned> groups_to_remove_;
    unsigned next_number_ = 1;
    Clock::Monotonic refill_at_{};
    Clock::Monotonic alone_since_{};
    Clock::Monotonic end_by_{};
    unsigned failed_cells_ = 0;
    bool is_ending_ = false;
    bool is_killing_ = false;
};

}  // namespace fathom::sandbox
