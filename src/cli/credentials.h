// Who we are at which gateway: ~/.openfaas/config.yml, shared with faas-cli.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "function/envsubst.h"

namespace fathom::cli {

// The folder of config.yml: $OPENFAAS_CONFIG; ./.openfaas where CI is set; else ~/.openfaas.
std::string config_folder(const function::EnvLookup& environment);

class Credentials {
public:
    explicit Credentials(std::string folder) : folder_(std::move(folder)) {}

    // The value of the Authorization field for a gateway ("Basic ..."), or nothing.
    // Errors: invalid    config.yml is damaged; names it
    Result<std::optional<std::string>> find(std::string_view gateway) const;
    // Replaces what there was for `gateway`. The file is for its owner only (0600).
    // Errors: forbidden    the folder or file cannot be written
    Result<> save(std::string_view gateway, std::string_view user, std::string_view password);
    // Errors: not_found    there was nothing for `gateway`
    Result<> erase(std::string_view gateway);

private:
    std::string path() const { return folder_ + "/config.yml"; }
    std::string folder_;
};

std::string to_base64(std::string_view bytes);  // RFC 4648 section 4

}  // namespace fathom::cli
