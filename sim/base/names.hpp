#pragma once

#include <string>
#include <string_view>

namespace nvl72 {

/// Of `text`, in lower case: how names that tables write differently are compared.
std::string letters_and_digits(std::string_view text);

}  // namespace nvl72
