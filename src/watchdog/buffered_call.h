// A call whose request and response are held whole: classic and serializing mode.
#pragma once

#include <string>

#include "watchdog/forking.h"

namespace fathom::watchdog {

class BufferedCall final : public Call, private Run::Listener {
public:
    BufferedCall(ForkingParts& parts, Connection& connection);

    void on_body(std::string_view piece) override;
    void on_body_end() override;

private:
    void on_output(std::string_view bytes) override;
    void on_end(int wait_status) override;
    void on_timeout();

    bool is_classic() const { return parts_.config.mode == Mode::classic; }
    std::string take_input();
    void succeed();
    void fail_with(std::string_view sentence);
    void refuse(int status, std::string_view sentence);
    void answer(int status, std::string_view content_type, std::string_view body);
    void log_success();
    void log_headers();
    Duration took() const { return parts_.loop.clock().now() - started_; }

    ForkingParts& parts_;
    Connection& connection_;
    Run run_;
    Timer timeout_;
    std::string input_;
    std::string output_;
    Clock::Monotonic started_{};
    bool is_answered_ = false;
};

}  // namespace fathom::watchdog
