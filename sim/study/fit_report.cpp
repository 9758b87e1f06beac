#include "sim/study/fit_report.hpp"

#include <algorithm>

namespace nvl72 {

namespace {

Cell share_of(Coverage const& coverage) {
    return coverage.judged > 0 ? Cell{100 * coverage.share()} : Cell{};
}

Cell ratio_of(Coverage const& coverage) {
    return coverage.judged > 0 ? Cell{coverage.width_over_error()} : Cell{};
}

std::vector<Cell> line_of(SectionFit const& fit) {
    auto const known = [&](double percent) { return fit.rows > 0 ? Cell{percent} : Cell{}; };
    Coverage const inside = coverage_of(fit.inside);
    Coverage outside = coverage_of(fit.outside);
    outside.add(coverage_of(fit.elsewhere));
    return {fit.section,
            fit.precision,
            static_cast<std::int64_t>(fit.rows),
            static_cast<std::int64_t>(fit.parameters),
            known(100 * fit.in_sample.median),
            known(100 * fit.in_sample.p95),
            known(100 * fit.in_sample.worst),
            known(100 * fit.left_out.median),
            known(100 * fit.left_out.p95),
            share_of(inside),
            ratio_of(inside),
            outside.judged > 0 ? Cell{100 * outside.error_median()} : Cell{},
            share_of(outside),
            ratio_of(outside),
            fit.worst_at};
}

std::vector<Cell> section_line(std::string const& section, std::vector<SectionFit> const& fits) {
    std::int64_t rows = 0, constants = 0;
    for (auto const& fit : fits) {
        if (fit.section != section) continue;
        rows += static_cast<std::int64_t>(fit.rows);
        constants += static_cast<std::int64_t>(fit.parameters);
    }
    auto const coverage = coverage_of(section, fits);
    std::vector<Cell> line(15);
    line[0] = section;
    line[1] = std::string("all");
    line[2] = rows;
    line[3] = constants;
    line[9] = share_of(coverage);
    line[10] = ratio_of(coverage);
    return line;
}

}  // namespace

Coverage coverage_of(std::string const& section, std::vector<SectionFit> const& fits) {
    Coverage coverage;
    for (auto const& fit : fits) {
        if (fit.section != section) continue;
        coverage.add(coverage_of(fit.inside));
        coverage.add(coverage_of(fit.outside));
        coverage.add(coverage_of(fit.elsewhere));
    }
    return coverage;
}

Table fit_table(std::vector<SectionFit> const& fits) {
    Table table({{"section", "section"},
                 {"part", "part"},
                 {"rows", "rows"},
                 {"constants", "constants"},
                 {"median", "median", 1, "%"},
                 {"p95", "p95", 1, "%"},
                 {"worst", "worst", 0, "%"},
                 {"left_out_median", "left-out median", 1, "%"},
                 {"left_out_p95", "left-out p95", 1, "%"},
                 {"covered", "in 80 % interval", 0, "%"},
                 {"width_over_error", "width/error", 1},
                 {"outside_median", "beyond range: median", 1, "%"},
                 {"outside_covered", "covered", 0, "%"},
                 {"outside_width_over_error", "its width/error", 1},
                 {"worst_at", "worst at"}});
    std::vector<std::string> sections;
    for (auto const& fit : fits) {
        table.add(line_of(fit));
        if (std::ranges::find(sections, fit.section) == sections.end()) {
            sections.push_back(fit.section);
        }
    }
    for (auto const& section : sections) table.add(section_line(section, fits));
    return table;
}

}  // namespace nvl72
