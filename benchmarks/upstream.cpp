// The program behind every proxy that ./bench measures: one thread, one epoll loop, no work.
//
//   GET /20    20 bytes        POST anything    reads the body, answers 20 bytes
//   GET /64k   64 KiB          GET /_/...       200
//
// Listens on descriptor FATHOM_LISTEN_FD (so it is a Fathom function as it is), or on the Unix
// socket named by its one argument. Understands what wrk, nginx, haproxy and Fathom send, and no
// more: this is a load, not a server.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view kHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ";
const std::string kSmall = std::string(kHead) + "20\r\n\r\n" + std::string(20, 'x');
const std::string kLarge = std::string(kHead) + "65536\r\n\r\n" + std::string(65536, 'y');

struct Client {
    int fd = -1;
    std::string in;
    std::size_t body_left = 0;
    std::string_view answer;  // of the request whose body is being read
    std::string out;          // not taken yet

    bool receive();
    bool answer_requests();
    bool send(std::string_view bytes);
    bool flush();
};

std::array<char, 256 * 1024> scratch;

// The value of Content-Length in a head, whatever the case of its letters; 0 where there is none.
std::size_t content_length(std::string_view head) {
    constexpr std::string_view kName = "\r\ncontent-length:";
    for (std::size_t at = 0; at + kName.size() < head.size(); ++at) {
        const bool is_here =
            std::equal(kName.begin(), kName.end(), head.begin() + at,
                       [](char a, char b) { return a == (b | ((b >= 'A' && b <= 'Z') ? 32 : 0)); });
        if (is_here) return std::strtoul(head.data() + at + kName.size(), nullptr, 10);
    }
    return 0;
}

bool Client::send(std::string_view bytes) {
    if (out.empty()) {
        const auto count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN) return false;
        bytes.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
    }
    out += bytes;
    return true;
}

bool Client::flush() {
    if (out.empty()) return true;
    const auto count = ::send(fd, out.data(), out.size(), MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN;
    out.erase(0, static_cast<std::size_t>(count));
    return true;
}

bool Client::answer_requests() {
    for (;;) {
        if (!answer.empty()) {
            const auto taken = std::min(body_left, in.size());
            in.erase(0, taken);
            body_left -= taken;
            if (body_left > 0) return true;
            if (!send(answer)) return false;
            answer = {};
        }
        const auto end = in.find("\r\n\r\n");
        if (end == std::string::npos) return true;
        const auto head = std::string_view(in).substr(0, end);
        answer = head.find(" /64k") < head.find('\r') ? kLarge : kSmall;
        body_left = content_length(head);
        in.erase(0, end + 4);
    }
}

bool Client::receive() {
    for (;;) {
        const auto count = ::recv(fd, scratch.data(), scratch.size(), 0);
        if (count < 0) return errno == EAGAIN;
        if (count == 0) return false;
        std::string_view bytes(scratch.data(), static_cast<std::size_t>(count));
        if (!answer.empty() && in.empty() && body_left > bytes.size()) {
            body_left -= bytes.size();  // the middle of a large body: nothing to keep
        } else {
            in += bytes;
            if (!answer_requests()) return false;
        }
        if (bytes.size() < scratch.size()) return true;
    }
}

int listening_socket(int argc, char** argv) {
    if (const char* text = std::getenv("FATHOM_LISTEN_FD")) {
        const int fd = std::atoi(text);
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
        return fd;
    }
    if (argc != 2) return -1;
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::string_view(argv[1]).copy(address.sun_path, sizeof address.sun_path - 1);
    ::unlink(argv[1]);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -1;
    ::chmod(argv[1], 0777);  // nginx and haproxy may run as others
    return ::listen(fd, 4096) == 0 ? fd : -1;
}

void accept_all(int epoll, int listener) {
    for (;;) {
        const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
        if (fd < 0) return;
        auto client = std::make_unique<Client>();
        client->fd = fd;
        epoll_event event{};
        event.events = EPOLLIN | EPOLLOUT | EPOLLET;
        event.data.ptr = client.release();
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const int listener = listening_socket(argc, argv);
    if (listener < 0) {
        std::fputs("bench_upstream: no socket; usage: bench_upstream PATH\n", stderr);
        return 1;
    }
    const int epoll = ::epoll_create1(0);
    epoll_event event{};
    event.events = EPOLLIN;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    std::array<epoll_event, 64> events;
    for (;;) {
        const int count = ::epoll_wait(epoll, events.data(), events.size(), -1);
        for (int at = 0; at < count; ++at) {
            auto* client = static_cast<Client*>(events[at].data.ptr);
            if (client == nullptr) {
                accept_all(epoll, listener);
            } else if (!client->flush() || !client->receive()) {
                ::close(client->fd);
                delete client;
            }
        }
    }
}
