// The commands, one function each. An error is printed by run() and ends with exit code 1.
#pragma once

#include "cli/cli.h"
#include "cli/options.h"

namespace fathom::cli {

Result<> deploy(Ports& ports, const DeployOptions& options);
Result<> remove(Ports& ports, const RemoveOptions& options);
Result<> list(Ports& ports, const ListOptions& options);
Result<> describe(Ports& ports, const DescribeOptions& options);
Result<> invoke(Ports& ports, const InvokeOptions& options);
Result<> logs(Ports& ports, const LogsOptions& options);
Result<> login(Ports& ports, const LoginOptions& options);
Result<> logout(Ports& ports, const LogoutOptions& options);
Result<> version(Ports& ports, const VersionOptions& options);
Result<> doctor(Ports& ports, const DoctorOptions& options);

// Reads the command line and calls the one it names.
int parse_and_run(const std::vector<std::string>& arguments, Ports& ports);

}  // namespace fathom::cli
