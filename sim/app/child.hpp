#pragma once

#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// Where a child's stdout goes: to ours, or nowhere.
enum class ChildOutput { answer, none };

/// Runs another program to its end, with `environment` added to ours; the first argument is its
/// path. It ends when we are killed. While it runs, Ctrl-C, SIGINT and SIGTERM are the child's
/// to handle: what is sent to us alone is passed on. Returns its exit code; 130 when we were asked
/// to end, 127 when it could not be started, 128 + N when signal N ended it.
int run_program(std::vector<std::string> arguments,
                ChildOutput output,
                std::vector<std::pair<std::string, std::string>> const& environment = {});

}  // namespace nvl72
