#include "sim/trace/seal.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <boost/crc.hpp>
#include <fmt/format.h>

namespace nvl72 {

namespace {

constexpr std::string_view hdf5_signature = "\x89HDF\r\n\x1a\n";

/// "nvl72sim result " begins such a file of any version, "nvl72sim result 1 " one that we read.
std::string any_version(SealKind const& kind) { return fmt::format("{} ", kind.words); }
std::string our_version(SealKind const& kind) {
    return fmt::format("{} {} ", kind.words, kind.version);
}

bool begins_with(std::vector<char> const& file, std::string_view words) {
    return std::string_view(file.data(), file.size()).starts_with(words);
}

/// The block of a file whose other bytes are right.
std::string seal_of(std::vector<char> const& file, SealKind const& kind) {
    std::size_t const length = file.size() - seal_size;
    boost::crc_32_type crc;
    crc.process_bytes(file.data() + seal_size, length);
    std::string block =
        fmt::format("{}crc32 {:08x} {}\n", our_version(kind), crc.checksum(), length);
    block.resize(seal_size, '\n');
    return block;
}

}  // namespace

void seal(std::vector<char>& file, SealKind const& kind) {
    NVL72_EXPECT(file.size() > seal_size, "a file leaves room for its seal");
    std::ranges::copy(seal_of(file, kind), file.begin());
}

bool begins_like(std::string_view begin, SealKind const& kind) {
    return begin.starts_with(any_version(kind)) || begin.starts_with(hdf5_signature);
}

void check_seal(std::vector<char> const& file, std::string const& path, SealKind const& kind) {
    auto const ours = our_version(kind);
    if (begins_with(file, hdf5_signature)) {
        throw ConfigError(
            fmt::format("{}: an HDF5 file of another program, or of an {} before checksums "
                        "(expected '{}...' at its front; {})",
                        path, kind.program, ours, kind.remedy));
    }
    if (!begins_with(file, any_version(kind))) {
        throw ConfigError(fmt::format("{}: not {}, or damaged (expected '{}...' at its front; {})",
                                      path, kind.what, ours, kind.remedy));
    }
    if (!begins_with(file, ours)) {
        throw ConfigError(
            fmt::format("{}: of another format version, or damaged (this program reads version {}; "
                        "{})",
                        path, kind.version, kind.remedy));
    }
    if (file.size() <= seal_size || !begins_with(file, seal_of(file, kind))) {
        throw ConfigError(
            fmt::format("{}: damaged or truncated: its bytes do not match the checksum at its "
                        "front ({})",
                        path, kind.remedy));
    }
}

}  // namespace nvl72
