// The standard handler of tests/contract/contract.py.
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <thread>

#include "fathom.h"

namespace {

void wait_for(const std::string& path) {
    while (::access(path.c_str(), F_OK) != 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

[[noreturn]] void die() {
    ::_exit(7);
}

fathom::Response pieces() {
    return fathom::Response::stream([](fathom::Writer& writer) {
        for (const auto* piece : {"one", "two", "three"}) writer.write(piece);
    });
}

fathom::Response echo(fathom::Request request) {
    return fathom::Response::stream([request = std::move(request)](fathom::Writer& writer) mutable {
        std::string piece(64 << 10, '\0');
        while (const auto got = request.read(piece.data(), piece.size()))
            writer.write({piece.data(), got});
    });
}

fathom::Response handle(fathom::Request request) {
    if (request.path() == "/echo")
        return request.method() == "GET" ? fathom::Response() : echo(std::move(request));
    if (request.path() == "/hold") {
        wait_for(request.query("file").value_or("/"));
        return "held";
    }
    if (request.path() == "/pieces") return pieces();
    if (request.path() == "/die") {
        if (!request.query("after")) die();
        return fathom::Response::stream([](fathom::Writer& writer) {
            writer.write("half of it");
            die();
        });
    }
    if (request.path() == "/fail") throw std::runtime_error("asked to fail");
    return {"", 404};
}

}  // namespace

int main() {
    if (const char* gate = std::getenv("CONTRACT_START_AFTER")) wait_for(gate);
    if (std::getenv("CONTRACT_START_DEATH") != nullptr) die();
    return fathom::serve(handle);
}
