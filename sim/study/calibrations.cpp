#include "sim/study/calibrations.hpp"

#include "sim/cost/profile.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>
#include <vector>

namespace nvl72 {

namespace {

/// The profile's fits, put together.
struct FitsTogether {
    std::int64_t rows = 0, constants = 0;
    std::vector<std::pair<double, std::int64_t>> medians;  ///< of a part, and its rows
    double worst = 0;
    std::string worst_part;

    /// The median of a part of which half of the rows have no larger one.
    [[nodiscard]] double median() const {
        auto sorted = medians;
        std::ranges::sort(sorted);
        std::int64_t seen = 0;
        for (auto const& [value, count] : sorted) {
            seen += count;
            if (2 * seen >= rows) return value;
        }
        return 0;
    }
};

FitsTogether fits_of(ProfileFile const& file) {
    FitsTogether fits;
    for (auto const& [part, row] : file.spread) {
        if (!row.fit) continue;
        fits.rows += row.fit->rows;
        fits.constants += row.fit->constants;
        fits.medians.emplace_back(row.fit->median, row.fit->rows);
        if (row.fit->worst <= fits.worst) continue;
        fits.worst = row.fit->worst;
        fits.worst_part = part;
    }
    return fits;
}

std::string kind_of(ProfileFile const& file, bool fitted) {
    std::string const rest =
        file.scaled_from ? fmt::format("scaled from {}", *file.scaled_from) : std::string();
    if (!fitted) return rest.empty() ? "assumed" : rest;
    std::string const own = file.date   ? "measured"
                            : file.logs ? "measured: user's logs"
                                        : "fitted from published";
    return rest.empty() ? own : fmt::format("{}; the rest {}", own, rest);
}

}  // namespace

Table calibrations_table(Library const& library) {
    Table table({{"name", "name"},
                 {"gpu", "GPU"},
                 {"kind", "numbers"},
                 {"date", "date"},
                 {"rows", "rows"},
                 {"constants", "constants"},
                 {"median", "median error", 1, "%"},
                 {"worst", "worst", 0, "%"},
                 {"worst_part", "worst of"}});
    for (auto const& name : library.names("calibration")) {
        auto const file = load_spec<ProfileFile>(library.path("calibration", name, {}));
        auto const fits = fits_of(file);
        std::vector<Cell> line(9);
        line[0] = name;
        line[1] = file.gpu;
        line[2] = kind_of(file, fits.rows > 0);
        if (file.date) line[3] = *file.date;
        if (fits.rows > 0) {
            line[4] = fits.rows;
            line[5] = fits.constants;
            line[6] = 100 * fits.median();
            line[7] = 100 * fits.worst;
            line[8] = fits.worst_part;
        }
        table.add(line);
    }
    return table;
}

}  // namespace nvl72
