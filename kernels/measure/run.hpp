#pragma once

#include "kernels/measure/settings.hpp"

#include <functional>

namespace nvl72::measure {

/// Does what the command line asks for. Answers on stdout, progress on stderr. Throws InputError
/// (bad input, no such device), Interrupted once `stopped` says true.
void run(Settings const& settings, std::function<bool()> const& stopped);

}  // namespace nvl72::measure
