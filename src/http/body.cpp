#include "http/body.h"

#include <algorithm>

namespace fathom::http {

void WireReader::begin(BodyLength length, std::uint64_t bytes_max) {
    length_ = length;
    left_ = length.bytes;
    received_ = 0;
    bytes_max_ = UINT64_MAX;
    refusal_status_ = 0;
    failure_.reset();
    ahead_ = {};
    continue_through_ = nullptr;
    ended_.lower();
    if (length.kind == BodyLength::Kind::chunked) {
        decoder_ = ChunkedDecoder({.bytes_max = 32_KiB, .fields_max = 100});
    } else if (!decoder_.trailers().empty()) {
        decoder_ = ChunkedDecoder();
    }
    is_done_ = length.is_empty();
    if (is_done_) return;
    wire_.keep();
    if (length.kind == BodyLength::Kind::fixed) wire_.expect(left_);
    limit(bytes_max);
}

void WireReader::limit(std::uint64_t bytes_max) {
    bytes_max_ = std::min(bytes_max_, bytes_max);
    if (is_done_ || failure_) return;
    const bool is_known = length_.kind == BodyLength::Kind::fixed;
    if (received_ > bytes_max_ || (is_known && length_.bytes > bytes_max_)) break_off_too_large();
}

void WireReader::break_off_too_large() {
    is_done_ = false;
    break_off(413, Error(Errc::too_large,
                         fmt::format("the body is over the limit of {} bytes", bytes_max_)));
}

void WireReader::break_off(int status, Error error) {
    refusal_status_ = status;
    failure_ = std::move(error);
}

void WireReader::end() {
    is_done_ = true;
    ended_.raise();
    wire_.keep();  // trailers are views into it
}

void WireReader::note(const ChunkedDecoder::Step& step) {
    wire_.use(step.used);
    if (step.state == Parsed::State::complete) end();
    if (step.state == Parsed::State::refused) {
        break_off(step.refusal.status,
                  Error(Errc::bad_upstream, std::string(step.refusal.sentence)));
    }
}

// The next piece of a chunked body. Looks beyond it, so that the end is known with the last piece.
std::string_view WireReader::take_chunk() {
    auto piece = std::exchange(ahead_, {});
    if (piece.empty()) {
        const auto step = decoder_.next(wire_.bytes());
        note(step);
        piece = step.data;
    }
    if (!piece.empty() && decoder_.chunk_left() == 0 && !wire_.is_empty() && !failure_) {
        const auto step = decoder_.next(wire_.bytes());
        note(step);
        ahead_ = step.data;
    }
    return piece;
}

std::optional<std::string_view> WireReader::try_read() {
    if (failure_) return std::nullopt;
    if (is_done_) return std::string_view{};
    std::string_view piece;
    if (length_.kind == BodyLength::Kind::chunked) {
        piece = take_chunk();
        if (piece.empty() && is_done_) return piece;
        if (received_ + piece.size() > bytes_max_) {
            break_off_too_large();
            return std::nullopt;
        }
    } else {
        piece = wire_.bytes();
        if (length_.kind == BodyLength::Kind::fixed) {
            piece = piece.substr(0, left_);
            left_ -= piece.size();
        }
        wire_.use(piece.size());
        if (length_.kind == BodyLength::Kind::fixed && left_ == 0) end();
    }
    if (piece.empty()) return std::nullopt;
    received_ += piece.size();
    return piece;
}

Async<std::string_view> WireReader::read() {
    for (;;) {
        if (auto piece = try_read()) co_return *piece;
        if (failure_) co_return fail(*failure_);
        if (continue_through_ != nullptr) {
            auto& writer = *std::exchange(continue_through_, nullptr);
            writer.head() += kContinue;
            auto sent = co_await writer.flush();
            if (!sent) co_return fail(std::move(sent).error());
        }
        const auto by = stall_max_ == Duration::max() ? Clock::Monotonic::max()
                                                      : rt::this_core().now() + stall_max_;
        auto count = co_await wire_.fill(by);
        if (!count) {
            const bool is_late = count.error().code() == Errc::timed_out;
            break_off(is_late ? 408 : 400, std::move(count).error());
        } else if (*count == 0) {
            if (length_.kind == BodyLength::Kind::until_close) {
                end();
            } else {
                break_off(400, Error(Errc::bad_upstream,
                                     "the connection was closed before the end of the body"));
            }
        }
    }
}

Async<bool> WireReader::skip_rest(std::uint64_t bytes_max) {
    while (!is_done_) {
        if (failure_ || owes_continue() || left_ > bytes_max) co_return false;
        auto piece = co_await read();
        if (!piece || piece->size() > bytes_max) co_return false;
        bytes_max -= piece->size();
    }
    co_return true;
}

namespace {

// Up to here copying bytes behind their head is cheaper than a second piece in the system call.
constexpr std::size_t kCopiedMax = 2048;
// Ends of messages are held up to this many bytes.
constexpr std::size_t kHeldMax = 16384;

}  // namespace

std::string& WireWriter::head() {
    if (pending_.capacity() < 64) pending_ = take_text();
    return pending_;
}

void WireWriter::release() noexcept {
    if (pending_.empty() && pending_.capacity() >= 64) give_back_text(std::exchange(pending_, {}));
}

void WireWriter::begin(BodyLength framing) {
    framing_ = framing;
    left_ = framing.bytes;
    is_done_ = false;
    is_taken_ = false;
    has_sent_ = false;
    failure_.reset();
}

void WireWriter::add_piece(std::string_view bytes) noexcept {
    if (bytes.empty()) return;
    pieces_[piece_count_++] = {const_cast<char*>(bytes.data()), bytes.size()};
}

Result<> WireWriter::frame(std::string_view bytes, Last last, const Headers& trailers) {
    const bool is_chunked = framing_.kind == BodyLength::Kind::chunked;
    if (framing_.kind == BodyLength::Kind::fixed) {
        if (bytes.size() > left_ || (last == Last::yes && bytes.size() < left_)) {
            return fail(Errc::internal, "a body of {} bytes was announced and is {}",
                        framing_.bytes, bytes.size() > left_ ? "longer" : "shorter");
        }
        left_ -= bytes.size();
        if (left_ == 0) is_done_ = true;
    } else if (is_done_ && framing_.kind != BodyLength::Kind::none) {
        return fail(Errc::internal, "the body has ended already");
    }
    if (framing_.kind == BodyLength::Kind::none) bytes = {};
    if (last == Last::yes) is_done_ = true;

    std::string_view before;
    std::string_view after;
    if (is_chunked) {
        if (!bytes.empty()) {
            chunk_head_ = chunk_head(bytes.size());
            before = chunk_head_.view();
            after = "\r\n";
        }
        if (last == Last::yes) {
            last_chunk_ = after;
            append_last_chunk(last_chunk_, trailers);
            after = last_chunk_;
        }
    }
    if (bytes.size() <= kCopiedMax && !pending_.empty()) {
        pending_ += before;
        pending_ += bytes;
        pending_ += after;
        add_piece(pending_);
    } else {
        add_piece(pending_);
        add_piece(before);
        add_piece(bytes);
        add_piece(after);
    }
    return {};
}

// Whether the end of a message stays here until the next one, which is on the wire already.
bool WireWriter::hold_back(Last last) {
    if (holder_ == nullptr || last == Last::no || wire_.is_empty() || piece_count_ != 1)
        return false;
    if (pieces_[0].iov_base != pending_.data() || pending_.size() > kHeldMax) return false;
    if (lasts_until_close()) return false;
    piece_count_ = 0;
    holder_->hold();
    return true;
}

bool WireWriter::try_send(std::string_view bytes, Last last, const Headers& trailers) {
    if (failure_ || is_taken_) return false;
    if (is_done_ && bytes.empty()) return true;
    auto framed = frame(bytes, last, trailers);
    if (!framed) {
        failure_ = std::move(framed).error();
        return false;
    }
    if (hold_back(is_done_ ? Last::yes : last)) return true;
    is_taken_ = !send();
    return !is_taken_;
}

// All of the pieces, or as many as go without waiting.
bool WireWriter::send() {
    while (pieces_sent_ < piece_count_) {
        auto count =
            wire_.socket().try_write({pieces_.data() + pieces_sent_, piece_count_ - pieces_sent_});
        if (!count) {
            failure_ = std::move(count).error();
            return false;
        }
        if (!*count) return false;
        has_sent_ = true;
        for (auto sent = **count; sent > 0;) {
            auto& piece = pieces_[pieces_sent_];
            const auto taken = std::min(sent, piece.iov_len);
            piece.iov_base = static_cast<char*>(piece.iov_base) + taken;
            piece.iov_len -= taken;
            sent -= taken;
            if (piece.iov_len == 0) ++pieces_sent_;
        }
    }
    piece_count_ = pieces_sent_ = 0;
    pending_.clear();
    return true;
}

Async<> WireWriter::wait_writable() {
    auto& patience = wire_.patience();
    if (stall_max_ != Duration::max()) patience.write_by(rt::this_core().now() + stall_max_);
    co_await wire_.socket().writable();
    patience.write_went();
    if (patience.is_write_late()) {
        failure_ = Error(Errc::timed_out, "the other side took nothing for too long");
    }
    co_return Result<>{};
}

// Cancelled half-way a message cannot go on: its bytes may be gone with who wrote them.
struct WireWriter::CutOff {
    WireWriter& writer;
    ~CutOff() {
        if (writer.is_taken_ && !writer.failure_) {
            writer.failure_ = Error(Errc::internal, "a write was cancelled half-way");
        }
    }
};

Async<> WireWriter::send_rest() {
    const CutOff on_cancel{*this};
    while (!failure_ && !send() && !failure_) (void)co_await wait_writable();
    is_taken_ = false;
    if (failure_) co_return fail(*failure_);
    co_return Result<>{};
}

bool WireWriter::try_write(std::string_view bytes) {
    return bytes.empty() ? try_flush() : try_send(bytes, Last::no, {});
}

bool WireWriter::try_write_last(std::string_view bytes, const Headers& trailers) {
    return try_send(bytes, Last::yes, trailers);
}

Async<> WireWriter::write(std::string_view bytes) {
    if (bytes.empty() && !is_taken_) co_return co_await flush();
    if (!is_taken_ && try_write(bytes)) co_return Result<>{};
    co_return co_await send_rest();
}

Async<> WireWriter::finish(const Headers& trailers) {
    if (!is_taken_ && try_write_last({}, trailers)) co_return Result<>{};
    co_return co_await send_rest();
}

Async<> WireWriter::write_last(std::string_view bytes, const Headers& trailers) {
    if (!is_taken_ && try_write_last(bytes, trailers)) co_return Result<>{};
    co_return co_await send_rest();
}

void WireWriter::keep_rest() {
    if (!std::exchange(is_taken_, false)) return;
    FATHOM_CHECK(piece_count_ == 1, "a small message is one piece");
    pending_.erase(0, pending_.size() - pieces_[0].iov_len);
    piece_count_ = pieces_sent_ = 0;
}

bool WireWriter::try_flush() {
    if (failure_ || piece_count_ > 0) return false;
    if (pending_.empty()) return true;
    add_piece(pending_);
    if (send()) return true;
    // What is left stays pending, in front of whatever comes next.
    pending_.erase(0, pending_.size() - pieces_[0].iov_len);
    piece_count_ = pieces_sent_ = 0;
    return false;
}

Async<> WireWriter::flush() {
    // Who sends right now sends what is pending, too.
    while (piece_count_ == 0 && !failure_ && !try_flush()) (void)co_await wait_writable();
    if (failure_) co_return fail(*failure_);
    co_return Result<>{};
}

}  // namespace fathom::http
