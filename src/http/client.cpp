#include "http/client.h"

#include <algorithm>
#include <optional>

#include "http/body.h"
#include "http/format.h"
#include "http/parse.h"
#include "http/wire.h"

namespace fathom::http {
namespace {

// Interim answers before the final one.
constexpr int kInterimMax = 64;
// A body's beginning that needs no waiting: it is copied behind the head.
constexpr std::size_t kSentAtOnceMax = 2048;
// A request with its body is kept for a second try up to this size.
constexpr std::size_t kRetriedBytesMax = 16384;
// Fields a connection keeps room for between calls.
constexpr std::size_t kFieldsKept = 32;

// RFC 9110 section 9.2.2.
bool is_idempotent(std::string_view method) {
    return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
           method == "OPTIONS" || method == "TRACE";
}

AnswerTo answer_to(std::string_view method) {
    if (method == "HEAD") return AnswerTo::head_request;
    return method == "CONNECT" ? AnswerTo::connect_request : AnswerTo::request;
}

}  // namespace

// A connection that went out. It lives in the pool or in one exchange.
struct Line {
    explicit Line(rt::Socket socket) : wire(std::move(socket)) {}

    // Whether something came that nobody asked for: an end, or bytes.
    bool has_unasked();

    Wire wire;
    WireReader reader{wire, Duration::max()};
    WireWriter writer{wire, Duration::max()};
    ResponseHead answer;
    Clock::Monotonic idle_since{};
};

bool Line::has_unasked() {
    if (!wire.is_empty()) return true;
    if (!wire.socket().is_stale()) return false;
    // The loop announced something: it may be what was read already.
    char byte = 0;
    auto count = wire.socket().try_read({&byte, 1});
    return !count || count->has_value();
}

struct Upstream::State {
    State(rt::Address to, ClientLimits with) : address(std::move(to)), limits(with) {
        host = address.unix_path.empty() ? address.text() : "localhost";
    }

    bool is_usable(const Line& line) const;
    std::unique_ptr<Line> take_idle();
    void put_back(std::unique_ptr<Line> line);

    rt::Address address;
    std::string host;
    ClientLimits limits;
    std::vector<std::unique_ptr<Line>> idle;  // the one used last is the last
    std::size_t open = 0;
    std::size_t probe = 0;         // which idle one is looked after next
    std::uint64_t generation = 0;  // close_idle() begins a new one
    rt::Link exchanges;
};

bool Upstream::State::is_usable(const Line& line) const {
    const bool is_old = limits.reuse_within != Duration::max() &&
                        rt::this_core().now() - line.idle_since > limits.reuse_within;
    return !is_old && !line.wire.socket().is_stale();
}

// The one still open that was used last.
std::unique_ptr<Line> Upstream::State::take_idle() {
    while (!idle.empty()) {
        auto line = std::move(idle.back());
        idle.pop_back();
        if (is_usable(*line)) return line;
        --open;
    }
    return nullptr;
}

void Upstream::State::put_back(std::unique_ptr<Line> line) {
    // Those at the bottom are seldom taken: look after one each time.
    if (!idle.empty()) {
        const auto probed = idle.begin() + static_cast<std::ptrdiff_t>(probe++ % idle.size());
        if (!is_usable(**probed)) {
            idle.erase(probed);
            --open;
        }
    }
    if (idle.size() >= limits.idle_per_upstream_max) {
        --open;
        return;
    }
    line->wire.release();
    line->writer.release();
    if (line->answer.headers.size() > kFieldsKept) line->answer.headers = {};
    if (limits.reuse_within != Duration::max()) line->idle_since = rt::this_core().now();
    idle.push_back(std::move(line));
}

// One call. Its memory is recycled like a coroutine's frame.
class UpstreamExchange final : public ClientExchange, public rt::Link {
public:
    UpstreamExchange(Upstream::State& pool, std::unique_ptr<Line> line, bool was_reused)
        : pool_(&pool),
          line_(std::move(line)),
          generation_(pool.generation),
          was_reused_(was_reused) {
        enter_before(pool.exchanges);
    }
    ~UpstreamExchange() override;
    UpstreamExchange(const UpstreamExchange&) = delete;
    UpstreamExchange& operator=(const UpstreamExchange&) = delete;

    static void* operator new(std::size_t bytes) { return rt::detail::allocate_frame(bytes); }
    static void operator delete(void* memory, std::size_t bytes) noexcept {
        rt::detail::release_frame(memory, bytes);
    }

    // Writes the head and `first`. False: it has to wait for the rest, or failed.
    Result<bool> begin(const RequestHead& head, std::string_view first);
    Async<> send_rest(std::string_view first) { return line_->writer.write(first); }
    // Of a small request that the socket did not take whole: it goes on with the next write.
    void keep_rest() { line_->writer.keep_rest(); }
    // The write failed and not a byte went out.
    bool is_unsent() const noexcept {
        return line_->writer.has_failed() && !line_->writer.has_sent();
    }
    void forget_pool() noexcept { pool_ = nullptr; }

    BodyWriter& out() override { return line_->writer; }
    Async<const ResponseHead*> head() override;
    BodyReader& body() override { return line_->reader; }
    bool has_answer_bytes() const override { return has_answer_bytes_; }
    bool was_reused() const override { return was_reused_; }

private:
    // The final head, if it is here; nullptr: more is needed.
    Result<const ResponseHead*> read_head();
    Async<> try_again();
    bool is_reusable();

    Upstream::State* pool_;  // nullptr: the Upstream is gone
    std::unique_ptr<Line> line_;
    std::uint64_t generation_;
    AnswerTo asked_ = AnswerTo::request;
    HeadScan scan_;
    std::string again_;  // the whole request, where it may be sent a second time
    int interim_count_ = 0;
    bool was_reused_;
    bool has_answer_bytes_ = false;
    bool has_head_ = false;
};

UpstreamExchange::~UpstreamExchange() {
    if (again_.capacity() >= 64) give_back_text(std::move(again_));
    if (pool_ == nullptr) return;
    if (is_reusable()) {
        pool_->put_back(std::move(line_));
    } else {
        --pool_->open;
    }
}

bool UpstreamExchange::is_reusable() {
    auto& [wire, reader, writer, answer, idle_since] = *line_;
    if (!has_head_ || !answer.keep_alive || answer.status < 200 ||
        generation_ != pool_->generation) {
        return false;
    }
    if (!writer.is_done() || writer.has_failed() || writer.has_pending()) return false;
    if (!reader.is_done()) (void)reader.try_read();  // the end may be here and not looked at
    return reader.is_done() && !reader.failure() && !line_->has_unasked();
}

Result<bool> UpstreamExchange::begin(const RequestHead& head, std::string_view first) {
    auto& writer = line_->writer;
    asked_ = answer_to(head.method);
    auto appended = append_request_head(writer.head(), head, pool_->host);
    if (!appended) return fail(std::move(appended).error());
    writer.begin(head.body);
    const bool is_whole = head.body.is_empty() || (head.body.kind == BodyLength::Kind::fixed &&
                                                   head.body.bytes == first.size());
    if (was_reused_ && is_whole && is_idempotent(head.method) &&
        writer.head().size() + first.size() <= kRetriedBytesMax) {
        again_ = take_text();
        again_ += writer.head();
        again_ += first;
    }
    const bool is_sent =
        head.body.is_empty() ? writer.try_write_last({}, {}) : writer.try_write(first);
    if (is_sent) writer.release();
    return is_sent;
}

Result<const ResponseHead*> UpstreamExchange::read_head() {
    auto& [wire, reader, writer, answer, idle_since] = *line_;
    const HeadLimits limits{pool_ == nullptr ? Bytes{1_MiB} : pool_->limits.head_bytes_max,
                            pool_ == nullptr ? std::size_t{1000} : pool_->limits.head_fields_max};
    for (;;) {
        const auto parsed = parse_response_head(wire.bytes(), scan_, limits, asked_, answer);
        if (parsed.state == Parsed::State::incomplete) return nullptr;
        if (parsed.state == Parsed::State::refused) {
            return fail(Errc::bad_upstream, "the answer is not accepted: {}",
                        parsed.refusal.sentence);
        }
        wire.use(parsed.used);
        scan_ = {};
        if (answer.status >= 200 || answer.status == 101) {
            wire.keep();
            reader.begin(answer.body, UINT64_MAX);
            has_head_ = true;
            return &answer;
        }
        if (++interim_count_ > kInterimMax) {
            return fail(Errc::bad_upstream, "more than {} interim answers", kInterimMax);
        }
    }
}

Async<const ResponseHead*> UpstreamExchange::head() {
    while (!has_head_) {
        auto head = read_head();
        if (!head) co_return fail(std::move(head).error());
        if (*head != nullptr) break;
        auto& wire = line_->wire;
        if (line_->writer.is_done() && line_->writer.has_pending()) {
            (void)co_await line_->writer.flush();
        }
        auto count = wire.try_fill(pool_ == nullptr ? 1_MiB : pool_->limits.head_bytes_max);
        if (count && !*count) {
            co_await wire.socket().readable();
        } else if (count && **count > 0) {
            has_answer_bytes_ = true;
        } else if (!again_.empty() && !has_answer_bytes_ && pool_ != nullptr) {
            auto sent = co_await try_again();
            if (!sent) co_return fail(std::move(sent).error());
        } else if (!count) {
            co_return fail(std::move(count).error());
        } else {
            co_return fail(Errc::bad_upstream, "{} closed the connection without an answer",
                           pool_ == nullptr ? "the upstream" : pool_->host);
        }
    }
    co_return &line_->answer;
}

// The pooled connection was closed while it lay there: the same on a fresh one, once.
Async<> UpstreamExchange::try_again() {
    auto socket = co_await rt::connect(pool_->address);
    if (!socket) co_return fail(std::move(socket).error());
    line_ = std::make_unique<Line>(std::move(*socket));
    was_reused_ = false;
    line_->writer.head() += std::exchange(again_, {});
    line_->writer.begin(BodyLength::none());
    co_return co_await line_->writer.finish({});
}

Upstream::Upstream(rt::Address address, ClientLimits limits)
    : state_(std::make_unique<State>(std::move(address), limits)) {}

Upstream::~Upstream() {
    while (!state_->exchanges.is_alone()) {
        auto& exchange = *static_cast<UpstreamExchange*>(state_->exchanges.next());
        exchange.forget_pool();
        exchange.leave();
    }
}

const rt::Address& Upstream::address() const noexcept {
    return state_->address;
}

std::unique_ptr<ClientExchange> Upstream::try_send(const RequestHead& head,
                                                   std::string_view first) {
    if (first.size() > kSentAtOnceMax) return nullptr;
    while (auto line = state_->take_idle()) {
        auto exchange = std::make_unique<UpstreamExchange>(*state_, std::move(line), true);
        auto begun = exchange->begin(head, first);
        if (!begun) return nullptr;
        if (!exchange->is_unsent()) {
            exchange->keep_rest();
            return exchange;
        }
    }
    return nullptr;
}

Async<std::unique_ptr<ClientExchange>> Upstream::send(const RequestHead& head,
                                                      std::string_view first, Fresh fresh) {
    for (;;) {
        auto line = fresh == Fresh::yes ? nullptr : state_->take_idle();
        const bool is_reused = line != nullptr;
        if (!is_reused) {
            auto socket = co_await rt::connect(state_->address);
            if (!socket) co_return fail(std::move(socket).error());
            line = std::make_unique<Line>(std::move(*socket));
            ++state_->open;
        }
        auto exchange = std::make_unique<UpstreamExchange>(*state_, std::move(line), is_reused);
        auto begun = exchange->begin(head, first);
        if (!begun) co_return fail(std::move(begun).error());
        if (*begun) co_return exchange;
        auto sent = co_await exchange->send_rest(first);
        if (sent) co_return exchange;
        // Closed while it lay in the pool: not a byte can have been read.
        if (!is_reused || !exchange->is_unsent()) co_return fail(std::move(sent).error());
    }
}

std::size_t Upstream::idle() const noexcept {
    return state_->idle.size();
}

std::size_t Upstream::open() const noexcept {
    return state_->open;
}

void Upstream::close_idle() noexcept {
    ++state_->generation;
    state_->open -= state_->idle.size();
    state_->idle.clear();
}

std::string_view Answer::header(std::string_view name) const noexcept {
    for (const auto& [key, value] : headers) {
        if (equals_ignoring_case(key, name)) return value;
    }
    return {};
}

namespace {

Async<> write_rest(BodyWriter& out, std::string_view bytes) {
    co_return co_await out.write(bytes);
}

}  // namespace

Async<Answer> call_once(rt::Address address, Call call, Bytes body_bytes_max) {
    Upstream upstream(std::move(address));
    RequestHead head;
    head.method = call.method;
    head.target = call.target;
    head.keep_alive = false;
    for (const auto& [name, value] : call.headers) head.headers.add(name, value);
    if (!call.body.empty()) head.body = BodyLength::fixed(call.body.size());

    const auto first = std::string_view(call.body).substr(0, Room::kSmall);
    auto exchange = co_await upstream.send(head, first, Upstream::Fresh::yes);
    if (!exchange) co_return fail(std::move(exchange).error());
    // The answer may come before all of the body is sent.
    TaskGroup sending;
    if (first.size() < call.body.size()) {
        sending.spawn(
            write_rest((*exchange)->out(), std::string_view(call.body).substr(first.size())));
    }
    auto answered = co_await (*exchange)->head();
    if (!answered) co_return fail(std::move(answered).error());
    Answer answer;
    answer.status = (*answered)->status;
    for (const auto& [name, value] : (*answered)->headers) answer.headers.emplace_back(name, value);
    auto body = co_await read_all((*exchange)->body(), body_bytes_max);
    if (!body) co_return fail(std::move(body).error());
    answer.body = std::move(*body);
    co_return answer;
}

}  // namespace fathom::http
