#pragma once

#include "kernels/measure/method.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72::measure {

/// The sizes of collectives, as nccl-tests' -b, -e, -f say them.
struct Sizes {
    std::int64_t begin = 4 << 10;
    std::int64_t end = 64 << 20;
    std::int64_t factor = 4;
};

/// What the command line asks for.
struct Settings {
    std::string device = "auto";    ///< auto, cuda, host
    std::vector<std::string> only;  ///< suites; empty: all
    std::vector<int> ranks;         ///< empty: chosen for the device
    std::optional<std::int64_t> begin, end, factor;
    bool graph = false;
    bool quick = false;
    bool list = false, help = false, version = false;
    std::string output;
    std::string command;  ///< as typed
    Method method;
};

/// The settings of a command line. Throws InputError, one line, for what it does not take.
Settings parse_settings(int argc, char const* const* argv);

/// The text of --help.
std::string help_text();

/// `1K` is 1024, `8G` 8 x 2^30, `512` itself. Throws InputError naming `option`.
std::int64_t parse_size(std::string const& text, std::string const& option);

/// begin, begin x factor, ... up to end.
std::vector<std::int64_t> sizes_of(Sizes const& sizes);

/// The device's defaults with what the command line says laid over them.
Sizes sizes_asked(Settings const& settings, Sizes defaults);

}  // namespace nvl72::measure
