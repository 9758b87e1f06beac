#include "sim/base/names.hpp"

#include <cctype>

namespace nvl72 {

std::string letters_and_digits(std::string_view text) {
    std::string kept;
    for (char const c : text) {
        auto const raw = static_cast<unsigned char>(c);
        if (std::isalnum(raw) != 0) kept += static_cast<char>(std::tolower(raw));
    }
    return kept;
}

}  // namespace nvl72
