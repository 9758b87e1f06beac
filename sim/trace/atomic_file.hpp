#pragma once

#include <string>
#include <vector>

namespace nvl72 {

/// Throws ConfigError unless a file could be written at `path` (see check_result_path).
void check_writable(std::string const& path);

/// Replaces `path` by `bytes`, whole or not at all (temporary beside it, fsync, rename).
void write_whole(std::string const& path, std::vector<char> const& bytes);

/// All bytes of a regular file; ConfigError says why not.
std::vector<char> read_whole(std::string const& path);

}  // namespace nvl72
