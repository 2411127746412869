// One connection to the function of http mode.
#pragma once

#include <string>
#include <string_view>

#include "watchdog/byte_queue.h"
#include "watchdog/config.h"
#include "watchdog/loop.h"

namespace fathom::watchdog {

class UpstreamLink final : public Disposable {
public:
    struct Listener {
        virtual ~Listener() = default;
        // More was received; see received().
        virtual void on_received() = 0;
        // It is connected, and what was sent is on its way.
        virtual void on_sent() = 0;
        // The function closed it, or it never came to be.
        virtual void on_closed() = 0;
    };

    // Begins to connect. It may be sent to at once.
    UpstreamLink(Loop& loop, const Upstream& upstream);

    // Who hears of it; nobody: it is idle, and closes itself when the function does.
    void listen(Listener* listener);
    bool is_open() const { return channel_.is_open(); }
    // The function has accepted it, or its kernel has on its behalf.
    bool is_connected() const { return is_open() && is_connected_; }
    bool is_idle() const { return listener_ == nullptr; }
    bool was_used() const { return was_used_; }
    void mark_used() { was_used_ = true; }

    void send(std::string_view bytes);
    bool is_full() const { return out_.size() >= kFull; }
    bool has_unsent() const { return !out_.empty(); }

    // What has come and was not taken yet, contiguous.
    std::string_view received() const { return std::string_view(in_).substr(taken_); }
    void take(std::size_t count) { taken_ += count; }
    // Without a word to the listener.
    void close() { listener_ = nullptr, channel_.close(); }
    void pause() { is_paused_ = true, want(); }
    void resume() { is_paused_ = false, want(); }

private:
    static constexpr std::size_t kFull = 64 * 1024;

    void on_ready(std::uint32_t events);
    void receive();
    void flush();
    void lose();
    void want();

    Loop& loop_;
    Channel channel_;
    Listener* listener_ = nullptr;
    std::string in_;
    std::size_t taken_ = 0;
    ByteQueue out_;
    bool is_connected_ = false;
    bool is_paused_ = false;
    bool was_used_ = false;  // a whole exchange has gone over it
};

}  // namespace fathom::watchdog
