#pragma once

#include "kernels/measure/settings.hpp"

#include <atomic>

namespace nvl72::measure {

/// Does what the command line asks for. Answers on stdout, progress on stderr. Throws InputError
/// (bad input, no such device), Interrupted once `stop` is set.
void run(Settings const& settings, std::atomic<bool> const& stop);

}  // namespace nvl72::measure
