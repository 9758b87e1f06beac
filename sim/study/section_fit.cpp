#include "sim/study/section_fit.hpp"

#include <cstdlib>

namespace nvl72::section_fit {

double to_four_digits(double value) {
    return std::strtod(fmt::format("{:.3e}", value).c_str(), nullptr);
}

void expect_enough(std::string const& section,
                   std::string const& origin,
                   std::size_t rows,
                   std::size_t parameters) {
    constexpr std::size_t rows_per_parameter = 3;
    if (rows >= rows_per_parameter * parameters) return;
    throw ConfigError(fmt::format("{}: {} {} rows for {} constants (expected at least {})", origin,
                                  rows, section, parameters, rows_per_parameter * parameters));
}

std::string source_text(SectionFit const& fit, std::string const& origin) {
    return fmt::format("fitted: {} {} rows of {}, median error {:.1f} %, worst {:.0f} % at {}",
                       fit.rows, fit.precision, origin, 100 * fit.in_sample.median,
                       100 * fit.in_sample.worst, fit.worst_at);
}

}  // namespace nvl72::section_fit
