// A call whose bytes pass as they come: streaming mode.
#pragma once

#include "watchdog/forking.h"

namespace fathom::watchdog {

class StreamedCall final : public Call, private Run::Listener {
public:
    // Starts the process before the body has come. May answer at once and return nothing.
    static std::unique_ptr<Call> start(ForkingParts& parts, Connection& connection);

    StreamedCall(ForkingParts& parts, Connection& connection);
    void on_body(std::string_view piece) override { run_.feed(piece); }
    void on_body_end() override { run_.end_input(); }
    void on_body_broken() override { run_.kill(); }
    bool wants_body() const override { return !run_.is_full(); }
    void on_drained() override { run_.resume_output(); }
    void on_client_gone() override { run_.resume_output(); }

private:
    void on_output(std::string_view bytes) override;
    void on_hungry() override { connection_.resume(); }
    void on_end(int wait_status) override;
    void begin();

    ForkingParts& parts_;
    Connection& connection_;
    Run run_;
    Timer timeout_;
    Clock::Monotonic started_;
};

}  // namespace fathom::watchdog
