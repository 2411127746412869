// Private: a request's body, read from core 0 while the request lives on another core.
#pragma once

#include <memory>

#include "http/http.h"
#include "rt/rt.h"

namespace fathom::gateway {

// On the request's core: lends the body for as long as it lives.
class BodyLoan {
public:
    explicit BodyLoan(http::BodyReader& body);
    ~BodyLoan();
    BodyLoan(const BodyLoan&) = delete;
    BodyLoan& operator=(const BodyLoan&) = delete;

    // For the other core; usable there until the loan ends, and after that answers `unavailable`.
    std::unique_ptr<http::BodyReader> reader() const;

    struct Desk;  // what both ends know

private:
    std::shared_ptr<Desk> desk_;
};

}  // namespace fathom::gateway
