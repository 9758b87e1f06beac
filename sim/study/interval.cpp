#include "sim/study/interval.hpp"

#include "sim/model/closed_form.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nvl72 {

namespace {

constexpr int draws_of_a_profile = 64;  // pairs that mirror each other

/// What runs that the fit had not seen leave unexplained, of such a model and software.
Spread unexplained(StepSpec const& spec, BasisVerdict const& verdict, bool known_software) {
    auto const part = spec.model.experts > 0 ? "training moe" : "training dense";
    auto const parameters = static_cast<double>(parameters_of(spec.model).total());
    return training_spread(spec.profile.spread, part, parameters, known_software,
                           verdict.basis.kind == BasisKind::datasheet);
}

/// The 10th and 90th percentile of the drawn steps over the simulated one.
Spread drawn_spread(StepSpec const& spec, StepResult const& done, std::vector<Profile> const& all) {
    std::vector<std::vector<TaskTime>> sets;
    for (Profile const& profile : all) {
        StepSpec const other{spec.model,  spec.parallel,  spec.fabric, profile,
                             spec.recipe, spec.precision, spec.grain};
        sets.push_back(reprice_step(other, done));
    }
    std::vector<double> ratios;
    for (Picoseconds const step : replay(done.replay, sets)) ratios.push_back(step / done.step);
    std::ranges::sort(ratios);
    auto const below = (ratios.size() + 1) / 10;
    return {std::min(ratios[below], 1.0), std::max(ratios[ratios.size() - 1 - below], 1.0)};
}

}  // namespace

ProfileDraws DrawnProfiles::of(std::string const& profile) {
    auto const found = drawn_.find(profile);
    if (found != drawn_.end()) return found->second;
    auto draws = std::make_shared<std::vector<Profile>>(
        drawn_profiles(library_, profile, seed_, draws_of_a_profile));
    return drawn_.emplace(profile, std::move(draws)).first->second;
}

std::string interval_note() {
    return fmt::format(
        "interval: replay of each step with {} joint draws of its calibration's constants, and "
        "what "
        "published runs leave unexplained",
        draws_of_a_profile);
}

StepInterval step_interval(StepSpec const& spec,
                           StepResult const& done,
                           BasisVerdict const& verdict,
                           ProfileDraws const& draws,
                           bool known_software) {
    StepInterval interval;
    Spread const rest = unexplained(spec, verdict, known_software);
    interval.all = rest;
    if (!draws || draws->empty()) return interval;
    interval.drawn = drawn_spread(spec, done, *draws);
    if (rest.known()) interval.all = together(rest, interval.drawn);
    return interval;
}

}  // namespace nvl72
