#include "sim/study/refit.hpp"

#include "sim/study/calibrate.hpp"

#include <algorithm>

namespace nvl72 {

std::vector<Refit> refit_shipped(std::vector<ValidationKind> const& kinds, Library const& library) {
    auto const kind_of = [](std::string const& section) {
        if (section == "training") return ValidationKind::training;
        return section == "collectives" || section == "moe" ? ValidationKind::collectives
                                                            : ValidationKind::kernels;
    };
    std::vector<Refit> refits;
    for (auto const& gpu : fitted_gpus(library)) {
        auto data = read_measured_data({library.folder() + "/measurements"}, library, gpu);
        if (std::ranges::find(kinds, ValidationKind::training) == kinds.end()) {
            data.experiments.clear();
        }
        Refit refit{gpu, {}};
        for (auto& fit : calibrate_profile(data, library).fits) {
            if (std::ranges::find(kinds, kind_of(fit.section)) != kinds.end()) {
                refit.fits.push_back(std::move(fit));
            }
        }
        if (!refit.fits.empty()) refits.push_back(std::move(refit));
    }
    return refits;
}

}  // namespace nvl72
