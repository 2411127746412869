// Programs on their own: the keeper process, which launches replicas and keeps them, and the
// daemon's line to it.
//
//   fathom serve ──(one packet socket)── keeper ──(one each)── cells: PID 1 of a sandbox ── replica
//
// The keeper is the same binary, single-threaded, started before the daemon has any thread. It
// alone has privileges; it reads nothing but its own fixed-size messages. It survives the daemon:
// replicas go on, and the next daemon is told of each of them and of every exit it missed. When the
// keeper itself ends, in whatever way, everything it kept ends with it.
//
// How to use it, in this order:
//
//   1. main, before any thread and before opening the data folder:
//          auto line = sandbox::start_or_find_keeper(options);
//      An old keeper of the same folder is found (it survived a crash), or one is forked.
//   2. main may drop privileges now.
//   3. on core 0:
//          sandbox::Keeper keeper(std::move(*line), "");   // working folder: DATA
//          auto here = co_await keeper.open();       // abilities, replicas, exits missed
//   4. on an orderly stop: co_await keeper.shut_down(): every replica ended, nothing left behind.
//      To leave the replicas running (an upgrade), just let the Keeper go.
//
// Tests of other modules: sandbox/testing/keeper_house.h is a data folder with a keeper in it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/units.h"
#include "rt/rt.h"

namespace fathom::sandbox {

// How much a replica is shut in.
enum class Level : std::uint8_t {
    full,            // as root: own namespaces, own root, another user, cgroup limits
    user_namespace,  // without root: the same inside a user namespace; limits where delegated
    process,         // namespaces forbidden: no_new_privs and rlimits; host files are visible, and
                     // functions run as the daemon's user
};
std::string_view text_of(Level level);

// What this machine allows, each with what it means in a sentence, for `fathom doctor`.
struct Ability {
    std::string name;  // "cgroup memory"
    bool is_available = false;
    std::string meaning;  // what is gained, or what is lost and how to get it
};
struct Abilities {
    Level level = Level::process;
    std::vector<Ability> list;
    bool has(std::string_view name) const;
};
// Tries things in short-lived children; leaves nothing behind. Call it before there are threads.
Abilities probe();

// Where calls out of a sandbox may go.
enum class Egress : std::uint8_t {
    open,  // the host's network, as it is: the default of OpenFaaS. Loopback included
    none,  // a network namespace with nothing but its own loopback
};

// What to launch. Paths of `command` and `environment` are those inside the sandbox:
//   /home/app/function  `files`, read-only, the working directory
//   /opt/fathom         the keeper's runtime folder, read-only
//   /var/openfaas/secrets  `secrets`, read-only, when given
//   /tmp                private, in memory, at most KeeperOptions::tmp_bytes
struct LaunchSpec {
    std::string id;        // unique over all starts; [a-z0-9-], at most 96 characters
    std::string function;  // NAME.NAMESPACE, for the list after a restart; at most 160 characters
    std::uint64_t revision = 0;
    // Folders inside KeeperOptions::data_folder: absolute, or relative to it. Nothing else of the
    // host can be shown to a replica, whatever the daemon asks for.
    std::string files;
    std::string secrets;               // may be empty
    std::string image_root;            // for images later; not empty: unsupported
    std::vector<std::string> command;  // argv; [0] is looked up in PATH
    std::map<std::string, std::string, std::less<>> environment;
    Bytes memory_bytes_max = 0;     // 0: unlimited
    Millicores cpu_max{};           // 0: unlimited
    unsigned processes_max = 1024;  // threads included
    Egress egress = Egress::open;
};
inline constexpr std::size_t kIdBytesMax = 96;
inline constexpr std::size_t kFunctionBytesMax = 160;
inline constexpr std::size_t kArgumentsMax = 256;
inline constexpr std::size_t kVariablesMax = 1024;
inline constexpr std::size_t kProgramBytesMax = 1_MiB;  // command and environment together

// How a replica ended.
struct Exit {
    enum class Kind : std::uint8_t {
        exited,         // code = its exit status
        killed,         // code = the signal
        out_of_memory,  // the kernel killed it at its memory limit
        not_started,    // the program could not be executed; code = errno
    } kind = Kind::exited;
    int code = 0;
    // "exited with status 1", "killed by signal 11 (SIGSEGV)", "ran out of its memory (128 MiB)"...
    std::string text;
};

// A replica the keeper keeps, as it tells the daemon.
struct Kept {
    std::string id;
    std::string function;
    std::uint64_t revision = 0;
    int pid = 0;         // on the host: of the sandbox's first process
    std::string socket;  // path of its listening socket, as the daemon reaches it
    std::uint64_t launched_monotonic_ns = 0;
    bool is_frozen = false;
    std::optional<Exit> exit;  // ended while nobody was connected; it is forgotten once told
    rt::Fd log;                // the end to read of its output; empty when it has ended
};

struct KeeperOptions {
    // DATA; must exist. The keeper makes, where missing:
    //   keeper/   its own: control.sock, s/ID.sock, lock, keeper.log
    //   runtime/  mounted at /opt/fathom. The daemon writes files into it; it must not be replaced
    //             as a folder while the keeper lives
    std::string data_folder;
    // Who may talk to it besides root, and owns the sockets: the user the daemon drops to.
    std::uint32_t daemon_uid = 0;
    std::uint32_t daemon_gid = 0;
    // Whom functions run as, at level full.
    std::uint32_t function_uid = 1000;
    std::uint32_t function_gid = 1000;
    Bytes tmp_bytes = 64_MiB;  // of each replica's /tmp
    // Sandboxes made ahead: joining a cgroup (v1) costs up to 12 ms on an idle kernel, making one
    // about 1 ms. 0 to 64.
    unsigned cells_ahead = 2;
    // How long it keeps replicas without a daemon before it stops them and ends. It ends at once
    // when its folder is removed meanwhile.
    std::chrono::seconds alone_max = std::chrono::minutes(10);
    std::size_t replicas_max = 4096;
    // For tests: not above this.
    Level level_max = Level::full;
};

// The keeper itself. Never returns to the caller's work: its answer is the process's exit status.
// `line` is the packet socket to the daemon that started it, or -1 (a keeper as a service of
// its own: it waits on control.sock). Closes every other descriptor but 0 to 2. Must be called in a
// process without threads.
// Exit: 0 orderly, 1 could not start (the reason is in keeper.log and on `line`), 3 folder taken.
int keeper_main(int line, KeeperOptions options);

// A connected line to a keeper, as found or made by start_or_find_keeper.
struct KeeperLine {
    rt::Fd socket;
    int guard_pid = 0;  // of the process we forked, which starts a keeper anew that was killed;
                        // 0 when the keeper was there already
};
// Connects to the keeper of options.data_folder, or forks one: a guard that runs keeper_main in a
// child and, should that be killed, starts it anew. Blocks for a few milliseconds; for up to 5 s
// while a keeper is just starting or stopping there. Call before there are threads.
// Errors: forbidden      the folder's keeper is another user's
//         conflict       the folder's keeper has a daemon already
//         unavailable    fork or socket refused
Result<KeeperLine> start_or_find_keeper(const KeeperOptions& options);

// The daemon's end of the line. Lives on the core that made it.
class Keeper {
public:
    // `data_folder` is KeeperOptions::data_folder as this process reaches it, "" when it is the
    // working folder: the sockets of replicas are at keeper/s/ID.sock in it. Short: a socket's path
    // has at most 107 bytes.
    Keeper(KeeperLine line, const std::string& data_folder);
    ~Keeper();
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

    struct Hello {
        Abilities abilities;
        std::vector<Kept> replicas;  // from before: running, or ended while nobody was connected
    };
    // Must be called first, once.
    // Errors: unavailable    the keeper could not start, or is gone; with its reason
    //         unsupported    it speaks another version: shut_down() still works
    Async<Hello> open();

    // Launches; comes back when the replica's socket listens and takes connections, which is before
    // the program runs. That it could not be executed is told as an exit.
    // Errors: invalid      a field of the spec; named
    //         conflict     the id exists
    //         unavailable  the kernel refused; with the reason
    //         overloaded   replicas_max are kept
    //         unsupported  image_root, for now
    Async<Kept> launch(LaunchSpec spec);

    // SIGTERM to the replica's program (its own process only). Plain: no answer is waited for.
    void terminate(const std::string& id);
    // Ends all of the sandbox at once.
    void kill(const std::string& id);
    // Stops and resumes every process of it (cgroup.freeze).
    // Errors: not_found    no such replica
    //         unsupported  no cgroup v2 hierarchy we may write to
    Async<> freeze(const std::string& id);
    Async<> thaw(const std::string& id);

    // Calls `ended` with each replica that ends from now on, on this core.
    void on_exit(std::function<void(const std::string& id, Exit exit)> ended);
    // Calls `lost` when the line breaks: the keeper died, and with it all replicas.
    void on_lost(std::function<void()> lost);
    // After that: connects to the keeper that the guard (or the service manager) started anew.
    // Errors: unavailable    nobody there yet; try again later
    Async<Hello> reopen();

    // Ends every replica (SIGTERM, `grace`, then SIGKILL), removes every trace and ends the keeper.
    // Comes back when it is gone.
    Async<> shut_down(Duration grace);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace fathom::sandbox
