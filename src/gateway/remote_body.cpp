#include "gateway/remote_body.h"

namespace fathom::gateway {

struct BodyLoan::Desk {
    rt::Core& home;  // of the request
    const http::BodyLength length;
    http::BodyReader* body = nullptr;  // touched at home only; null once the loan ended
    TaskGroup reads;                   // the same
};

namespace {

// A copy, because the request and its buffer may go while the other core still works on it.
Async<std::string> copy_next(http::BodyReader& body) {
    auto piece = co_await body.read();
    if (!piece) co_return fail(std::move(piece).error());
    co_return std::string(*piece);
}

class RemoteBody final : public http::BodyReader {
public:
    explicit RemoteBody(std::shared_ptr<BodyLoan::Desk> desk) : desk_(std::move(desk)) {}

    Async<std::string_view> read() override {
        auto answer = std::make_shared<Answer>(rt::this_core());
        desk_->home.post([desk = desk_, answer] {
            if (desk->body == nullptr) {
                rt::detail::hand_over<std::string>(answer,
                                                   fail(Errc::unavailable, "the request is gone"));
            } else {
                desk->reads.spawn(rt::detail::answer_to(answer, copy_next(*desk->body)));
            }
        });
        auto piece = co_await rt::detail::HandoverAwaiter<std::string>{std::move(answer)};
        if (!piece) co_return fail(std::move(piece).error());
        piece_ = std::move(*piece);
        is_done_ = piece_.empty();
        co_return std::string_view(piece_);
    }
    std::optional<std::string_view> try_read() override { return std::nullopt; }
    http::BodyLength length() const override { return desk_->length; }
    bool is_done() const override { return is_done_; }
    const http::Headers& trailers() const override { return no_trailers_; }
    void limit(std::uint64_t /*bytes_max*/) override {}  // set where the request lives

private:
    using Answer = rt::detail::Handover<std::string>;
    std::shared_ptr<BodyLoan::Desk> desk_;
    std::string piece_;  // handed out last
    http::Headers no_trailers_;
    bool is_done_ = false;
};

}  // namespace

BodyLoan::BodyLoan(http::BodyReader& body)
    : desk_(new Desk{rt::this_core(), body.length(), &body, {}}) {}

BodyLoan::~BodyLoan() {
    desk_->body = nullptr;
    desk_->reads.cancel();
}

std::unique_ptr<http::BodyReader> BodyLoan::reader() const {
    return std::make_unique<RemoteBody>(desk_);
}

}  // namespace fathom::gateway
