// The bodies of HTTP/1.1 on a wire, for both of its ends. Private to http.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "http/format.h"
#include "http/message.h"
#include "http/parse.h"
#include "http/wire.h"

namespace fathom::http {

class WireWriter;

// Who sees to it that held bytes go out before this core waits.
class Holder {
public:
    virtual void hold() = 0;

protected:
    ~Holder() = default;
};

// Reads the body of one message after the other.
class WireReader final : public BodyReader {
public:
    WireReader(Wire& wire, Duration stall_max) : wire_(wire), stall_max_(stall_max) {}

    // Begins the body that stands next on the wire.
    void begin(BodyLength length, std::uint64_t bytes_max);
    // Before the first wait this is told to send the interim 100.
    void continue_through(WireWriter* writer) noexcept { continue_through_ = writer; }
    // The client still waits for it: nothing of the body is to be expected.
    bool owes_continue() const noexcept { return continue_through_ != nullptr; }

    Async<std::string_view> read() override;
    std::optional<std::string_view> try_read() override;
    BodyLength length() const override { return length_; }
    bool is_done() const override { return is_done_; }
    const Headers& trailers() const override { return decoder_.trailers(); }
    void limit(std::uint64_t bytes_max) override;

    // Raised at the end of a body that is not empty.
    rt::Signal& ended() noexcept { return ended_; }
    // Bytes certain to come, as far as that is known.
    std::uint64_t bytes_left() const noexcept { return left_; }
    // Reads over what is left of it, at most `bytes_max`. Answers whether the end was reached.
    Async<bool> skip_rest(std::uint64_t bytes_max);
    // The status that tells the sender what is wrong with its body; 0: nothing is.
    int refusal_status() const noexcept { return refusal_status_; }
    const std::optional<Error>& failure() const noexcept { return failure_; }

private:
    std::string_view take_chunk();
    void note(const ChunkedDecoder::Step& step);
    void end();
    void break_off(int status, Error error);
    void break_off_too_large();

    Wire& wire_;
    const Duration stall_max_;
    BodyLength length_;
    std::uint64_t left_ = 0;      // of a fixed length
    std::uint64_t received_ = 0;  // handed out
    std::uint64_t bytes_max_ = 0;
    bool is_done_ = true;
    int refusal_status_ = 0;
    ChunkedDecoder decoder_;
    std::string_view ahead_;  // decoded while looking for the end, not handed out yet
    std::optional<Error> failure_;
    WireWriter* continue_through_ = nullptr;
    rt::Signal ended_;
};

// Writes one message after the other: a head, then its body.
class WireWriter final : public BodyWriter {
public:
    WireWriter(Wire& wire, Duration stall_max) : wire_(wire), stall_max_(stall_max) {}

    // Where the next head is written to; it goes out with the first bytes of its body.
    std::string& head();
    // Begins a message whose head stands in head(). With no framing (HEAD) its bytes are dropped.
    void begin(BodyLength framing);
    // The end of a small message may be held while the next one is already on the wire: they share
    // a write.
    void hold_through(Holder* holder) noexcept { holder_ = holder; }

    Async<> write(std::string_view bytes) override;
    Async<> finish(const Headers& trailers) override;
    Async<> write_last(std::string_view bytes, const Headers& trailers) override;
    bool try_write(std::string_view bytes) override;
    bool try_write_last(std::string_view bytes, const Headers& trailers) override;

    // Sends what is pending: a head without a body yet, an interim answer, held ends.
    Async<> flush();
    bool try_flush();
    // After a try that could not send all of a small message: the rest is pending, nobody's bytes
    // are needed any more.
    void keep_rest();
    bool has_pending() const noexcept { return !pending_.empty(); }

    // All of the message is on its way, or held.
    bool is_done() const noexcept { return is_done_ && !is_taken_; }
    bool has_failed() const noexcept { return failure_.has_value(); }
    // A byte of this message went out.
    bool has_sent() const noexcept { return has_sent_; }
    bool lasts_until_close() const noexcept {
        return framing_.kind == BodyLength::Kind::until_close;
    }
    // Gives the room for heads back.
    void release() noexcept;

private:
    enum class Last : std::uint8_t { no, yes };
    // Frames `bytes` into pieces_, or into pending_ where all of it is small.
    Result<> frame(std::string_view bytes, Last last, const Headers& trailers);
    bool try_send(std::string_view bytes, Last last, const Headers& trailers);
    bool hold_back(Last last);
    void add_piece(std::string_view bytes) noexcept;
    bool send();
    Async<> send_rest();
    Async<> wait_writable();
    struct CutOff;

    Wire& wire_;
    const Duration stall_max_;
    std::string pending_;
    BodyLength framing_;
    std::uint64_t left_ = 0;  // of a fixed length
    bool is_done_ = true;
    bool has_sent_ = false;
    bool is_taken_ = false;  // try_write took its bytes and could not send all of them
    ChunkHead chunk_head_{};
    std::string last_chunk_;
    std::array<iovec, 5> pieces_{};
    std::size_t piece_count_ = 0;
    std::size_t pieces_sent_ = 0;
    Holder* holder_ = nullptr;
    std::optional<Error> failure_;
};

}  // namespace fathom::http
