// One client connection: requests come in, are handed to a Call, and its answer goes out, one after
// the other (pipelined requests wait their turn).
//
//     bytes -> head -> Server::route() makes a Call -> body pieces to the Call
//                                                       the Call answers through its Connection
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "http/format.h"
#include "http/parse.h"
#include "watchdog/byte_queue.h"
#include "watchdog/loop.h"

namespace fathom::watchdog {

class Connection;
class Server;

// One request being worked on. Made with the head known; gets the body, and answers through its
// connection exactly once. Destroying it abandons the work.
class Call : public Disposable {
public:
    // The next piece of the body. Keeps what it needs.
    virtual void on_body(std::string_view piece) = 0;
    virtual void on_body_end() = 0;
    // The body ended early; the connection answers 400. The call is discarded afterwards.
    virtual void on_body_broken() {}
    // Whether it takes more of the body now; Connection::resume() when that changes.
    virtual bool wants_body() const { return true; }
    // All that was written is on its way: there is room for more.
    virtual void on_drained() {}
    // Nobody reads the answer any more. Work goes on, unless the call ends itself by abort().
    virtual void on_client_gone() {}
};

// Counts calls at work; held while one is.
class Slot {
public:
    Slot() = default;
    explicit Slot(unsigned& count) : count_(&count) { ++count; }
    Slot(Slot&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
    Slot& operator=(Slot&& other) noexcept {
        release();
        count_ = std::exchange(other.count_, nullptr);
        return *this;
    }
    ~Slot() { release(); }

private:
    void release() {
        if (count_ != nullptr) --*count_;
        count_ = nullptr;
    }
    unsigned* count_ = nullptr;
};

class Connection final : public Disposable {
public:
    Connection(Server& server, int fd);

    // The request, until its answer is complete.
    const http::RequestHead& head() const { return head_; }
    // Makes it another one: GET `target`, which outlives it.
    void retarget(std::string_view target);
    // Holds `slot` as long as the call is at work.
    void hold(Slot slot) { slot_ = std::move(slot); }
    // Of the body of the answer, so far.
    std::uint64_t sent_bytes() const { return sent_bytes_; }

    // What a call answers with: a whole response,
    void answer(int status, std::initializer_list<http::Header> fields, std::string_view body);
    void answer(http::ResponseHead head, std::string_view body);
    // or one piece by piece. Each write is on its way at once, as far as the client takes it.
    void begin(http::ResponseHead head);
    void write(std::string_view bytes);
    void finish(const http::Headers& trailers = {});
    // The answer breaks off: the client must see that it is not whole.
    void abort();

    bool has_begun() const { return has_begun_; }
    // Enough is waiting to be sent; write more after on_drained().
    bool is_full() const { return out_.size() >= kFull; }
    bool is_client_gone() const { return !channel_.is_open(); }
    // The call wants more of the body again.
    void resume();

    // For the server: whether the client must do something by some time, and whether it is past.
    bool has_deadline() const { return has_deadline_ && channel_.wanted() != 0; }
    bool is_late(Clock::Monotonic now) const { return has_deadline() && deadline_ <= now; }
    void expire();
    // Closes it if it is between requests, else after the current answer.
    void retire();
    std::size_t place = 0;  // in the server's list

private:
    enum class Phase : unsigned char { head, body, answer, lingering };
    static constexpr std::size_t kFull = 64 * 1024;

    void on_ready(std::uint32_t events);
    void receive();
    void on_end_of_input();
    void pump();
    bool read_head();
    bool read_body();
    bool read_fixed();
    bool read_chunks();
    void take_piece(std::string_view piece);
    void end_body();
    void break_body(http::Refusal refusal);
    void refuse(http::Refusal refusal);
    http::BodyLength append_head(http::ResponseHead& head);
    void end_answer();
    void end_call();
    void end_exchange();
    void send(std::string_view head, std::string_view body = {}, std::string_view tail = {});
    void flush();
    void finish_closing();
    void lose_client();
    void close();
    void want();
    void set_deadline(Duration from_now);
    bool is_reading() const;

    Server& server_;
    Channel channel_;
    std::unique_ptr<Call> call_;
    Slot slot_;
    Phase phase_ = Phase::head;

    std::string in_;        // head_ views into it; complete while a request is at work
    std::string rest_;      // what came after the head and is not used yet
    std::size_t used_ = 0;  // of rest_
    http::HeadScan scan_;
    http::RequestHead head_;
    std::uint64_t body_left_ = 0;
    http::ChunkedDecoder chunks_;

    ByteQueue out_;  // not taken by the client yet
    http::BodyLength answer_length_;
    std::uint64_t sent_bytes_ = 0;       // of the body of this answer
    std::uint64_t discarded_bytes_ = 0;  // of a body nobody wanted
    std::string head_text_;              // of the answer; kept for its memory
    bool has_begun_ = false;             // the head of the answer is on its way
    bool has_answered_ = false;          // all of the answer is
    bool keeps_alive_ = true;
    bool is_input_ended_ = false;
    bool is_pumping_ = false;
    bool is_retired_ = false;
    bool is_closing_ = false;  // after what is in out_
    bool has_deadline_ = false;
    Clock::Monotonic deadline_{};
};

}  // namespace fathom::watchdog
