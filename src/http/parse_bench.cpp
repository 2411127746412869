#include <benchmark/benchmark.h>

#include <string>

#include "http/format.h"
#include "http/parse.h"

namespace fathom::http {
namespace {

const std::string kSmall =
    "GET /function/hello HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: wrk\r\n\r\n";
const std::string kBrowser =
    "GET /function/markdown?theme=dark&page=12 HTTP/1.1\r\nHost: faas.example.org\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    "Connection: keep-alive\r\nReferer: https://faas.example.org/ui/functions\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1\r\n"
    "Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: same-origin\r\nPriority: u=0, i\r\n\r\n";
const std::string kResponse =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 20\r\n"
    "X-Duration-Seconds: 0.000123\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";

void parse_request(benchmark::State& state, const std::string& bytes) {
    RequestHead head;
    for ([[maybe_unused]] auto _ : state) {
        HeadScan scan;
        benchmark::DoNotOptimize(parse_request_head(bytes, scan, {}, head));
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes.size()) * state.iterations());
}

void parse_response(benchmark::State& state) {
    ResponseHead head;
    for ([[maybe_unused]] auto _ : state) {
        HeadScan scan;
        benchmark::DoNotOptimize(parse_response_head(kResponse, scan, {}, AnswerTo::request, head));
    }
    state.SetBytesProcessed(static_cast<std::int64_t>(kResponse.size()) * state.iterations());
}

void format_response(benchmark::State& state) {
    ResponseHead head;
    HeadScan scan;
    parse_response_head(kResponse, scan, {}, AnswerTo::request, head);
    std::string out;
    for ([[maybe_unused]] auto _ : state) {
        out.clear();
        benchmark::DoNotOptimize(append_response_head(
            out, head, {.date = "Sun, 06 Nov 1994 08:49:37 GMT", .server = "fathom"}));
    }
}

void decode_chunks(benchmark::State& state) {
    const auto size = static_cast<std::size_t>(state.range(0));
    std::string bytes;
    for (int i = 0; i < 16; ++i) {
        bytes += chunk_head(size).view();
        bytes += std::string(size, 'a') + "\r\n";
    }
    append_last_chunk(bytes, {});
    for ([[maybe_unused]] auto _ : state) {
        ChunkedDecoder decoder;
        std::string_view rest = bytes;
        for (;;) {
            const auto step = decoder.next(rest);
            rest.remove_prefix(step.used);
            if (step.state != Parsed::State::incomplete) break;
        }
    }
    state.SetItemsProcessed(16 * state.iterations());
}

BENCHMARK_CAPTURE(parse_request, small, kSmall);
BENCHMARK_CAPTURE(parse_request, browser, kBrowser);
BENCHMARK(parse_response);
BENCHMARK(format_response);
BENCHMARK(decode_chunks)->Arg(20)->Arg(4096);

}  // namespace
}  // namespace fathom::http
