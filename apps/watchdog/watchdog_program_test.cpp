// The real program, started on an inherited Unix socket and spoken to in HTTP.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace std::string_literals;
namespace files = std::filesystem;

constexpr int kPatienceMs = 20'000;  // nothing here takes as long; a hang fails instead

std::string read_until_closed(int fd) {
    std::string text;
    char bytes[65536];
    for (ssize_t count = 0; (count = ::read(fd, bytes, sizeof bytes)) > 0;) {
        text.append(bytes, static_cast<std::size_t>(count));
    }
    return text;
}

// A client connection; closed at the end.
class Client {
public:
    explicit Client(const std::string& path)
        : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        is_connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
        const timeval patience{.tv_sec = kPatienceMs / 1000, .tv_usec = 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    ~Client() { ::close(fd_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    bool is_connected() const { return is_connected_; }
    void send(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (count <= 0) return;
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
    }
    void end() { ::shutdown(fd_, SHUT_WR); }
    std::string rest() { return read_until_closed(fd_); }
    // Reads until `text` has come, or nothing more does.
    std::string read_to(std::string_view text) {
        std::string got;
        char byte = 0;
        while (!got.ends_with(text) && ::read(fd_, &byte, 1) == 1) got += byte;
        return got;
    }

private:
    int fd_;
    bool is_connected_ = false;
};

struct Answer {
    int status = 0;
    std::string head;
    std::string body;
    std::string field(const std::string& name) const {
        const auto at = head.find("\r\n" + name + ": ");
        if (at == std::string::npos) return "";
        const auto from = at + name.size() + 4;
        return head.substr(from, head.find("\r\n", from) - from);
    }
};

Answer parse(const std::string& text) {
    Answer answer;
    const auto end = text.find("\r\n\r\n");
    if (end == std::string::npos) return answer;
    answer.head = text.substr(0, end + 2);
    answer.status = std::atoi(text.c_str() + 9);
    answer.body = text.substr(end + 4);
    if (answer.field("Transfer-Encoding") != "chunked") return answer;
    std::string whole;
    for (std::size_t at = 0; at < answer.body.size();) {
        const auto size = std::strtoul(answer.body.c_str() + at, nullptr, 16);
        if (size == 0) return answer.body = whole, answer;
        at = answer.body.find("\r\n", at) + 2;
        whole += answer.body.substr(at, size);
        at += size + 2;
    }
    answer.body = "(broken off)";
    return answer;
}

class Watchdog {
public:
    // `variables` beside PATH and TMPDIR; on descriptor 3 a listening Unix socket.
    explicit Watchdog(std::vector<std::string> variables) : folder_(make_folder()) {
        variables.push_back("PATH=/usr/bin:/bin");
        variables.push_back("TMPDIR=" + folder_.string());
        variables.push_back("FATHOM_LISTEN_FD=3");
        start(variables);
    }
    ~Watchdog() {
        if (pid_ > 0) ::kill(pid_, SIGKILL), wait();
        files::remove_all(folder_);
    }
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

    std::string socket() const { return folder_ / "s"; }
    files::path lock() const { return folder_ / ".lock"; }
    pid_t pid() const { return pid_; }

    // One request on a connection of its own.
    Answer ask(const std::string& request_line, const std::string& fields = "",
               const std::string& body = "") const {
        Client client(socket());
        client.send(request_line + " HTTP/1.1\r\nHost: f\r\nConnection: close\r\n" + fields);
        if (!body.empty()) client.send("Content-Length: " + std::to_string(body.size()) + "\r\n");
        client.send("\r\n" + body);
        return parse(client.rest());
    }
    void terminate() const { ::kill(pid_, SIGTERM); }
    int wait() {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    // What it logged; after wait().
    std::string log() const {
        std::ifstream file(folder_ / "log");
        return {std::istreambuf_iterator<char>(file), {}};
    }
    // Waits until the log has `text`.
    bool logs(const std::string& text) const {
        for (int turn = 0; turn < kPatienceMs / 10; ++turn) {
            if (log().find(text) != std::string::npos) return true;
            ::poll(nullptr, 0, 10);
        }
        return false;
    }

private:
    static files::path make_folder() {
        std::string name = (files::temp_directory_path() / "fathom-wd-XXXXXX").string();
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        return name;
    }
    void start(const std::vector<std::string>& variables) {
        const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        socket().copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        ASSERT_EQ(::listen(listener, 64), 0);
        const int log =
            ::open((folder_ / "log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
        std::vector<char*> environment;
        for (const auto& each : variables) environment.push_back(const_cast<char*>(each.c_str()));
        environment.push_back(nullptr);
        char* arguments[] = {const_cast<char*>("fathom-watchdog"), nullptr};
        pid_ = ::fork();
        if (pid_ == 0) {
            const int kept = ::fcntl(listener, F_DUPFD, 100);
            ::dup2(log, 1);
            ::dup2(log, 2);
            ::dup2(kept, 3);
            ::close_range(4, ~0U, 0);
            ::execve(FATHOM_WATCHDOG, arguments, environment.data());
            ::_exit(126);
        }
        ::close(listener);
        ::close(log);
    }

    files::path folder_;
    pid_t pid_ = -1;
};

// A free TCP port for a function of http mode.
std::string free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
    ::close(fd);
    return std::to_string(ntohs(address.sin_port));
}

// A script in /bin/sh, since commands are split at spaces and have no quotes.
class Script {
public:
    explicit Script(const std::string& lines, const std::string& program = "/bin/sh") {
        std::string name = (files::temp_directory_path() / "fathom-script-XXXXXX").string();
        const int fd = ::mkstemp(name.data());
        const auto text = "#!" + program + "\n" + lines + "\n";
        EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
        ::fchmod(fd, 0700);
        ::close(fd);
        path_ = name;
    }
    ~Script() { files::remove(path_); }
    Script(const Script&) = delete;
    Script& operator=(const Script&) = delete;
    std::string command() const { return "fprocess=" + path_; }

private:
    std::string path_;
};

TEST(ClassicMode, GivesTheBodyToAProcessAndItsOutputBack) {
    const Watchdog watchdog({"fprocess=cat"});
    const auto answer = watchdog.ask("POST /", "Content-Type: application/x-test\r\n", "hello");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "hello");
    EXPECT_EQ(answer.field("Content-Type"), "application/x-test");
    EXPECT_EQ(answer.field("Content-Length"), "5");
    EXPECT_EQ(answer.field("X-Duration-Seconds").size(), "0.001823"s.size());
    EXPECT_TRUE(watchdog.logs(" Forking fprocess.\n"));
    EXPECT_TRUE(watchdog.logs(" Wrote 5 Bytes - Duration: 0."));
}

TEST(ClassicMode, SniffsTheTypeOfTheBodyWhereNobodySaysIt) {
    EXPECT_EQ(Watchdog({"fprocess=echo <html>"}).ask("GET /").field("Content-Type"),
              "text/html; charset=utf-8");
    EXPECT_EQ(Watchdog({"fprocess=true"}).ask("GET /").field("Content-Type"), "");
    EXPECT_EQ(Watchdog({"fprocess=echo {}", "content_type=application/json"})
                  .ask("POST /", "Content-Type: a/b\r\n", "x")
                  .field("Content-Type"),
              "application/json");
}

TEST(ClassicMode, CarriesBodiesLargerThanAPipe) {
    const Watchdog watchdog({"fprocess=cat"});
    std::string body(5'000'000, 'x');
    for (std::size_t at = 0; at < body.size(); ++at) body[at] = char('a' + at % 23);
    const auto answer = watchdog.ask("POST /", "", body);
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.body == body);
}

TEST(ClassicMode, DoesNotWaitForAProcessToReadWhatItDoesNotWant) {
    const Watchdog watchdog({"fprocess=echo done"});
    EXPECT_EQ(watchdog.ask("POST /", "", std::string(3'000'000, 'x')).body, "done\n");
}

TEST(ClassicMode, Answers500WithTheReasonAndTheOutput) {
    const Script script("echo out; echo err >&2; exit 3");
    const Watchdog watchdog({script.command()});
    const auto answer = watchdog.ask("GET /");
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.body, "exit status 3\nout\nerr\n");
}

TEST(ClassicMode, Answers500WhereTheProgramDoesNotStart) {
    const Watchdog watchdog({"fprocess=no-such-program"});
    const auto answer = watchdog.ask("GET /");
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.body, "exec: \"no-such-program\": executable file not found in $PATH\n");
}

TEST(ClassicMode, KeepsStandardErrorOutOfTheResponseIfToldTo) {
    const Script script("echo out; echo err >&2");
    const Watchdog watchdog({script.command(), "combine_output=false"});
    EXPECT_EQ(watchdog.ask("GET /").body, "out\n");
    EXPECT_TRUE(watchdog.logs("err\n"));
}

TEST(ClassicMode, KillsWhatTakesTooLongAndAnswers408) {
    const Watchdog watchdog({"fprocess=sleep 60", "exec_timeout=50ms"});
    const auto answer = watchdog.ask("GET /");
    EXPECT_EQ(answer.status, 408);
    EXPECT_EQ(answer.body, "Killed process.\n");
}

TEST(ClassicMode, TakesFiveMethodsOnly) {
    const Watchdog watchdog({"fprocess=echo x"});
    for (const auto* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
        EXPECT_EQ(watchdog.ask(method + " /"s).status, 200) << method;
    }
    for (const auto* method : {"HEAD", "OPTIONS", "TRACE", "BREW"}) {
        EXPECT_EQ(watchdog.ask(method + " /"s).status, 405) << method;
    }
}

TEST(ClassicMode, PutsTheRequestIntoTheEnvironment) {
    const Watchdog watchdog({"fprocess=env", "MINE=1"});
    const auto body = watchdog.ask("GET /a%20b?x=1", "x-call-id: 7\r\n").body;
    for (const auto* line : {"Http_Method=GET\n", "Http_Path=/a b\n", "Http_Query=x=1\n",
                             "Http_X_Call_Id=7\n", "Http_Host=f\n", "MINE=1\n"}) {
        EXPECT_NE(body.find(line), std::string::npos) << line << "in\n" << body;
    }
    EXPECT_EQ(body.find("FATHOM_LISTEN_FD"), std::string::npos);
    EXPECT_EQ(Watchdog({"fprocess=env", "cgi_headers=false"}).ask("GET /").body.find("Http_"),
              std::string::npos);
}

TEST(ClassicMode, GivesTheProcessNothingButItsThreeDescriptors) {
    // The fourth is that of the folder which ls itself has open.
    const Watchdog watchdog({"fprocess=ls /proc/self/fd"});
    EXPECT_EQ(watchdog.ask("POST /", "", "x").body, "0\n1\n2\n3\n");
}

TEST(ClassicMode, MarshalsTheRequestIfToldTo) {
    const Watchdog watchdog({"fprocess=cat", "marshal_request=true"});
    const auto answer = watchdog.ask("POST /", "A: b\r\n", "hi");
    EXPECT_EQ(answer.body, R"({"header":{"A":["b"],"Connection":["close"],"Content-Length":["2"]},)"
                           R"("body":{"raw":"aGk="}})");
}

TEST(ClassicMode, Answers400WhereTheBodyBreaksOff) {
    const Watchdog watchdog({"fprocess=cat"});
    Client client(watchdog.socket());
    client.send("POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 10\r\n\r\nabc");
    client.end();
    const auto answer = parse(client.rest());
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.body, "unexpected EOF\n");
}

TEST(ClassicMode, RefusesABodyOneByteOverTheLimit) {
    const Watchdog watchdog({"fprocess=cat", "FATHOM_BODY_BYTES_MAX=10"});
    EXPECT_EQ(watchdog.ask("POST /", "", "0123456789").status, 200);
    EXPECT_EQ(watchdog.ask("POST /", "", "0123456789a").status, 413);
}

TEST(Connections, AnswerPipelinedRequestsInOrder) {
    const Watchdog watchdog({"fprocess=cat"});
    Client client(watchdog.socket());
    client.send(
        "POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 1\r\n\r\n1"
        "POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n"
        "POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 1\r\nConnection: close\r\n\r\n3");
    const auto text = client.rest();
    const auto first = text.find("\r\n\r\n1HTTP/1.1 200");
    const auto second = text.find("\r\n\r\n2HTTP/1.1 200");
    EXPECT_NE(first, std::string::npos);
    EXPECT_NE(second, std::string::npos);
    EXPECT_LT(first, second);
    EXPECT_TRUE(text.ends_with("\r\n\r\n3"));
}

TEST(Connections, WorkAtTheSameTime) {
    // Several processes start and end at once, which share descriptors with us for a moment.
    const Watchdog watchdog({"fprocess=cat"});
    std::vector<std::unique_ptr<Client>> clients;
    for (int number = 0; number < 8; ++number) {
        clients.push_back(std::make_unique<Client>(watchdog.socket()));
    }
    const std::string body(20'000, 'z');
    for (int round = 0; round < 30; ++round) {
        for (auto& client : clients) {
            client->send("POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 20001\r\n\r\n" + body +
                         "\n");
        }
        for (auto& client : clients) {
            EXPECT_TRUE(client->read_to("\r\n\r\n").starts_with("HTTP/1.1 200"));
            EXPECT_EQ(client->read_to("\n").size(), 20'001U);
        }
    }
}

TEST(Connections, InviteTheBodyOfAnExpectantClient) {
    const Watchdog watchdog({"fprocess=cat"});
    Client client(watchdog.socket());
    client.send(
        "POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
        "Connection: close\r\n\r\n");
    EXPECT_EQ(client.read_to("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hi");
    EXPECT_EQ(parse(client.rest()).body, "hi");
}

TEST(Connections, RefuseAnAmbiguousMessage) {
    const Watchdog watchdog({"fprocess=cat"});
    Client client(watchdog.socket());
    client.send(
        "POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 1\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    EXPECT_EQ(parse(client.rest()).status, 400);
}

TEST(Health, IsTheLockFile) {
    const Watchdog watchdog({"fprocess=cat"});
    const auto answer = watchdog.ask("GET /_/health");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "OK");
    EXPECT_EQ(watchdog.ask("GET /_/ready").status, 200);
    EXPECT_EQ(watchdog.ask("POST /_/health").status, 405);
    EXPECT_EQ(watchdog.ask("HEAD /_/ready").status, 405);
    files::remove(watchdog.lock());
    EXPECT_EQ(watchdog.ask("GET /_/health").status, 503);
    EXPECT_EQ(watchdog.ask("GET /_/ready").status, 503);
}

TEST(Health, FailsWithoutALockFileEvenWhereNoneIsWanted) {
    const Watchdog watchdog({"fprocess=cat", "suppress_lock=true"});
    EXPECT_EQ(watchdog.ask("GET /_/health").status, 503);
}

TEST(Health, AsksTheFunctionWhereItHasAReadyPath) {
    const Script script("echo $Http_Path $Http_Query $Http_A");
    const Watchdog watchdog({script.command(), "mode=serializing", "ready_path=/am-i?x"});
    EXPECT_EQ(watchdog.ask("GET /_/ready", "A: b\r\n").body, "/am-i x b\n");
}

// A call that is at work until the other side says so: it waits for its FIFO.
class Held {
public:
    Held() : folder_(Script("").command().substr(9) + "-fifo") {
        EXPECT_EQ(::mkfifo(folder_.c_str(), 0600), 0);
    }
    ~Held() { files::remove(folder_); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    std::string script() const { return "echo started >&2; cat " + folder_; }
    void release(std::string_view text) const {
        const int fd = ::open(folder_.c_str(), O_WRONLY);
        EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
        ::close(fd);
    }

private:
    std::string folder_;
};

TEST(Limit, Answers429BeyondMaxInflight) {
    const Held held;
    const Script script(held.script());
    const Watchdog watchdog({script.command(), "max_inflight=1", "combine_output=false"});
    Client client(watchdog.socket());
    client.send("GET / HTTP/1.1\r\nHost: f\r\nConnection: close\r\n\r\n");
    ASSERT_TRUE(watchdog.logs("started\n"));
    const auto answer = watchdog.ask("GET /");
    EXPECT_EQ(answer.status, 429);
    EXPECT_EQ(answer.body, "Concurrent request limit exceeded. Max concurrent requests: 1\n");
    EXPECT_EQ(answer.field("X-OpenFaaS-Internal"), "faas-middleware");
    EXPECT_EQ(answer.field("Content-Type"), "text/plain");
    EXPECT_EQ(watchdog.ask("GET /_/ready").status, 429);
    EXPECT_EQ(watchdog.ask("GET /_/health").status, 200);
    held.release("done");
    EXPECT_EQ(parse(client.rest()).body, "done");
}

TEST(Termination, FinishesWhatIsAtWorkAndExits0) {
    const Held held;
    const Script script(held.script());
    Watchdog watchdog({script.command(), "combine_output=false"});
    Client client(watchdog.socket());
    client.send("GET / HTTP/1.1\r\nHost: f\r\n\r\n");
    ASSERT_TRUE(watchdog.logs("started\n"));
    Client waiting(watchdog.socket());
    waiting.send("GET /_/health HTTP/1.1\r\nHost: f\r\n\r\n");
    watchdog.terminate();
    ASSERT_TRUE(watchdog.logs("draining"));
    held.release("done");
    EXPECT_EQ(parse(client.rest()).body, "done");
    EXPECT_EQ(watchdog.wait(), 0);
    EXPECT_FALSE(files::exists(watchdog.lock()));
}

TEST(Termination, GoesOnServingUnhealthyForTheHealthcheckInterval) {
    const Watchdog watchdog({"fprocess=echo x", "healthcheck_interval=1h"});
    EXPECT_EQ(watchdog.ask("GET /_/health").status, 200);
    watchdog.terminate();
    ASSERT_TRUE(watchdog.logs("SIGTERM: no new connections in 1h0m0s"));
    EXPECT_EQ(watchdog.ask("GET /_/health").status, 503);
    EXPECT_EQ(watchdog.ask("GET /").body, "x\n");
}

TEST(SerializingMode, DiscardsTheOutputOfAFailure) {
    const Script script("echo out; exit 1");
    const Watchdog watchdog({script.command(), "mode=serializing"});
    const auto answer = watchdog.ask("GET /");
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.body, "exit status 1");
    EXPECT_NE(answer.field("X-Duration-Seconds"), "");
}

TEST(SerializingMode, SaysThatItKilledWhatTookTooLong) {
    const Watchdog watchdog({"fprocess=sleep 60", "mode=serializing"});
    const auto answer = watchdog.ask("GET /", "X-Timeout: 50ms\r\n");
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.body, "signal: killed");
}

TEST(SerializingMode, LogsRequestsAndStandardErrorInItsWords) {
    const Script script("cat; echo oops >&2");
    const Watchdog watchdog({script.command(), "mode=serializing", "log_callid=true"});
    const auto answer = watchdog.ask("POST /p?q", "X-Call-Id: 9\r\n", "abc");
    EXPECT_EQ(answer.body, "abc");
    EXPECT_EQ(answer.field("Content-Type"), "application/octet-stream");
    EXPECT_TRUE(watchdog.logs(" POST /p?q - 200 OK - ContentLength: 3B (0."));
    EXPECT_TRUE(watchdog.logs("s) [9]\n"));
    EXPECT_TRUE(watchdog.logs(" stderr: oops\n"));
}

TEST(StreamingMode, PassesEveryPieceAtOnceInBothDirections) {
    const Watchdog watchdog({"fprocess=cat", "mode=streaming"});
    Client client(watchdog.socket());
    client.send(
        "POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n"
        "Connection: close\r\n\r\n");
    for (const auto* piece : {"one", "two", "six"}) {
        client.send("3\r\n"s + piece + "\r\n");
        EXPECT_TRUE(client.read_to("3\r\n"s + piece + "\r\n").ends_with(piece + "\r\n"s));
    }
    client.send("0\r\n\r\n");
    EXPECT_EQ(client.rest(), "0\r\n\r\n");
}

TEST(StreamingMode, CarriesBodiesLargerThanAnyBuffer) {
    const Watchdog watchdog({"fprocess=cat", "mode=streaming"});
    const std::string body(8'000'000, 'y');
    Client client(watchdog.socket());
    client.send("POST / HTTP/1.1\r\nHost: f\r\nConnection: close\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n");
    const pid_t sender = ::fork();
    if (sender == 0) {
        client.send(body);
        ::_exit(0);
    }
    EXPECT_TRUE(parse(client.rest()).body == body);
    ::waitpid(sender, nullptr, 0);
}

TEST(StreamingMode, Answers200WithNothingWhereTheProcessFails) {
    const Watchdog watchdog({"fprocess=false", "mode=streaming"});
    const auto answer = watchdog.ask("GET /");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "");
}

// A small server for http mode.
constexpr auto kServer = R"(
import http.server, sys, os
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do(self):
        n = self.headers.get('Content-Length')
        body = self.rfile.read(int(n)) if n else b''
        if self.headers.get('Transfer-Encoding') == 'chunked':
            while (size := int(self.rfile.readline(), 16)):
                body += self.rfile.read(size); self.rfile.readline()
            self.rfile.readline()
        if self.path.endswith('/die'): os._exit(7)
        if self.path.endswith('/hang'): import time; time.sleep(60)
        out = ('%s %s %s %d' % (self.command, self.path, self.headers['Host'], len(body))).encode()
        self.send_response(201)
        self.send_header('X-Mine', 'yes')
        self.send_header('Content-Length', str(len(out)))
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(out)
    do_GET = do_POST = do_HEAD = do_BREW = do
    def log_message(self, *a): print('handled', flush=True)
http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()
)";

struct HttpFunction {
    explicit HttpFunction(std::vector<std::string> more = {}, const std::string& base = "")
        : script(kServer, "/usr/bin/python3"), port(free_port()), watchdog([&] {
              more.insert(more.end(), {script.command(), "mode=http", "PORT=" + port,
                                       "upstream_url=http://127.0.0.1:" + port + base});
              return more;
          }()) {}
    Script script;
    std::string port;
    Watchdog watchdog;
};

TEST(HttpMode, IsReadyWhenTheFunctionListensAndPassesRequestsOn) {
    const HttpFunction function;
    EXPECT_EQ(function.watchdog.ask("GET /_/ready").status, 200);
    const auto answer = function.watchdog.ask("POST /a%2Fb?x=1", "", "12345");
    EXPECT_EQ(answer.status, 201);
    EXPECT_EQ(answer.body, "POST /a%2Fb?x=1 f 5");
    EXPECT_EQ(answer.field("X-Mine"), "yes");
    EXPECT_NE(answer.field("X-Duration-Seconds"), "");
    EXPECT_TRUE(function.watchdog.logs(" stdout: handled\n"));
    EXPECT_TRUE(function.watchdog.logs(" POST /a%2Fb?x=1 - 201 Created - ContentLength: 19B (0."));
    EXPECT_EQ(function.watchdog.ask("HEAD /").body, "");
    EXPECT_EQ(function.watchdog.ask("BREW /").status, 201);
}

TEST(HttpMode, HoldsTheFirstCallUntilTheFunctionListens) {
    const HttpFunction function({}, "/base/");
    EXPECT_EQ(function.watchdog.ask("POST /x", "", std::string(300'000, 'b')).body,
              "POST /base/x f 300000");
}

TEST(HttpMode, BuffersAChunkedBodyIfToldTo) {
    const HttpFunction function({"http_buffer_req_body=true"});
    Client client(function.watchdog.socket());
    client.send(
        "POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n"
        "Connection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    EXPECT_EQ(parse(client.rest()).body, "POST / f 5");
}

TEST(HttpMode, Answers504WhenTheTimeIsOver) {
    const HttpFunction function;
    EXPECT_EQ(function.watchdog.ask("GET /").status, 201);
    const auto answer = function.watchdog.ask("GET /hang", "X-Timeout: 50ms\r\n");
    EXPECT_EQ(answer.status, 504);
    EXPECT_EQ(answer.body, "");
    EXPECT_EQ(answer.field("X-OpenFaaS-Internal"), "of-watchdog");
    EXPECT_NE(answer.field("X-Duration-Seconds"), "");
}

TEST(HttpMode, EndsWithTheFunctionThatDied) {
    HttpFunction function;
    EXPECT_EQ(function.watchdog.ask("GET /").status, 201);
    function.watchdog.ask("GET /die");
    EXPECT_EQ(function.watchdog.wait(), 1);
    EXPECT_TRUE(function.watchdog.logs("Forked function has terminated: exit status 7"));
}

TEST(HttpMode, StaysAfterAFunctionThatLeftInPeaceAndAnswers500) {
    const Watchdog watchdog(
        {"fprocess=true", "mode=http", "upstream_url=http://127.0.0.1:" + free_port()});
    ASSERT_TRUE(watchdog.logs("Forking"));
    const auto answer = watchdog.ask("GET /");
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.field("X-OpenFaaS-Internal"), "of-watchdog");
}

TEST(HttpMode, ForwardsSigtermAndExits0) {
    HttpFunction function;
    EXPECT_EQ(function.watchdog.ask("GET /").status, 201);
    function.watchdog.terminate();
    EXPECT_EQ(function.watchdog.wait(), 0);
}

}  // namespace
