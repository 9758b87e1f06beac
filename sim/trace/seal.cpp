#include "sim/trace/seal.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <boost/crc.hpp>
#include <fmt/format.h>

namespace nvl72 {

namespace {

constexpr std::string_view first_words = "nvl72sim result ";
constexpr std::string_view our_words = "nvl72sim result 1 ";
constexpr std::string_view hdf5_signature = "\x89HDF\r\n\x1a\n";
constexpr std::string_view remedy = "run the experiment again: nvl72sim run CONFIG -o FILE.h5";

bool begins_with(std::vector<char> const& file, std::string_view words) {
    return std::string_view(file.data(), file.size()).starts_with(words);
}

/// The block of a file whose other bytes are right.
std::string seal_of(std::vector<char> const& file) {
    std::size_t const length = file.size() - seal_size;
    boost::crc_32_type crc;
    crc.process_bytes(file.data() + seal_size, length);
    std::string block = fmt::format("{}crc32 {:08x} {}\n", our_words, crc.checksum(), length);
    block.resize(seal_size, '\n');
    return block;
}

}  // namespace

void seal(std::vector<char>& file) {
    NVL72_EXPECT(file.size() > seal_size, "a file leaves room for its seal");
    std::ranges::copy(seal_of(file), file.begin());
}

bool begins_like_a_result(std::string_view begin) {
    return begin.starts_with(first_words) || begin.starts_with(hdf5_signature);
}

void check_seal(std::vector<char> const& file, std::string const& path) {
    if (begins_with(file, hdf5_signature)) {
        throw ConfigError(fmt::format(
            "{}: an HDF5 file of another program, or of an nvl72sim before checksums (expected '{}"
            "...' at its front; {})",
            path, our_words, remedy));
    }
    if (!begins_with(file, first_words)) {
        throw ConfigError(fmt::format(
            "{}: not a result file of nvl72sim, or damaged (expected '{}...' at its front; {})",
            path, our_words, remedy));
    }
    if (!begins_with(file, our_words)) {
        throw ConfigError(fmt::format(
            "{}: of another format version, or damaged (this program reads version 1; {})", path,
            remedy));
    }
    if (file.size() <= seal_size || !begins_with(file, seal_of(file))) {
        throw ConfigError(fmt::format(
            "{}: damaged or truncated: its bytes do not match the checksum at its front ({})", path,
            remedy));
    }
}

}  // namespace nvl72
