#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// Bytes before the HDF5 superblock of a result file (HDF5's user block, at its smallest). They
/// hold one line of ASCII and newlines to the end:
///   nvl72sim result VERSION crc32 HHHHHHHH LENGTH
/// CRC-32 as zlib and PNG compute it, over the bytes behind the block, and how many those are.
/// libhdf5 1.10 can read past its buffers in a damaged file, so damage is found before it parses.
constexpr std::size_t seal_size = 512;

/// Writes the block over the first `seal_size` bytes of a whole file.
void seal(std::vector<char>& file);

/// True when `begin`, some first bytes of a file, could be a result's (or another HDF5 file's).
bool begins_like_a_result(std::string_view begin);

/// Throws ConfigError of one line, naming `path` and the remedy, unless the file is as it was
/// sealed: every change of up to 32 neighbouring bits is found, others but for one in 4e9.
void check_seal(std::vector<char> const& file, std::string const& path);

}  // namespace nvl72
