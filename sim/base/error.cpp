#include "sim/base/error.hpp"

#include <string_view>

namespace nvl72 {

void broken_invariant(char const* condition, char const* file, int line, std::string const& why) {
    std::string_view place = file;
    if (auto const room = place.rfind("sim/"); room != std::string_view::npos) {
        place.remove_prefix(room);
    }
    throw Error(ExitCode::internal_error, "internal error: " + why + " (" + condition + " at " +
                                              std::string(place) + ":" + std::to_string(line) +
                                              ")");
}

}  // namespace nvl72
