#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// Bytes before the HDF5 superblock of a sealed file (HDF5's user block, at its smallest). They
/// hold one line of ASCII and newlines to the end:
///   WORDS VERSION crc32 HHHHHHHH LENGTH
/// CRC-32 as zlib and PNG compute it, over the bytes behind the block, and how many those are.
/// libhdf5 1.10 can read past its buffers in a damaged file, so damage is found before it parses.
constexpr std::size_t seal_size = 512;

/// Whose seal.
struct SealKind {
    std::string_view words;    ///< "nvl72sim result"
    int version;               ///< of the format: another is refused
    std::string_view what;     ///< for errors: "a result file of nvl72sim"
    std::string_view program;  ///< that writes them, and once wrote them without a seal
    std::string_view remedy;
};
inline constexpr SealKind result_seal{"nvl72sim result", 1, "a result file of nvl72sim", "nvl72sim",
                                      "run the experiment again: nvl72sim run CONFIG -o FILE.h5"};

/// Writes the block over the first `seal_size` bytes of a whole file.
void seal(std::vector<char>& file, SealKind const& kind = result_seal);

/// True when `begin`, some first bytes of a file, could be such a file's (or of an HDF5 file that
/// has no seal).
bool begins_like(std::string_view begin, SealKind const& kind = result_seal);

/// Throws ConfigError of one line, naming `path` and the remedy, unless the file is as it was
/// sealed: every change of up to 32 neighbouring bits is found, others but for one in 4e9.
void check_seal(std::vector<char> const& file,
                std::string const& path,
                SealKind const& kind = result_seal);

}  // namespace nvl72
