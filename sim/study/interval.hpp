#pragma once

#include "sim/config/library.hpp"
#include "sim/cost/cost_book.hpp"
#include "sim/cost/profile.hpp"
#include "sim/training/step.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace nvl72 {

using ProfileDraws = std::shared_ptr<std::vector<Profile> const>;

/// Joint draws of the profiles of one run, made once each: points of one GPU share them, so that a
/// sweep's points err together.
class DrawnProfiles {
public:
    DrawnProfiles(Library const& library, std::uint64_t seed) : library_(library), seed_(seed) {}
    /// Of a profile by name or path. Not for several threads at once.
    ProfileDraws of(std::string const& profile);

private:
    Library const& library_;
    std::uint64_t seed_;
    std::map<std::string, ProfileDraws> drawn_;
};

/// 80 % of measured steps lie between these factors of the simulated one.
struct StepInterval {
    Spread all;    ///< what both of these leave
    Spread drawn;  ///< the errors of the calibration's constants alone: the step replayed with each
                   ///< joint draw; unknown where the profile has none
};

/// `spec` is that of `done`. Published runs that a fit had not seen show what the constants do not
/// explain ("training dense" and "training moe" of the profile's spread): less of models and
/// software whose other layouts it saw, more of others.
StepInterval step_interval(StepSpec const& spec,
                           StepResult const& done,
                           BasisVerdict const& verdict,
                           ProfileDraws const& draws,
                           bool known_software = true);

/// How the interval was made, for a reader.
std::string interval_note();

}  // namespace nvl72
