#pragma once

#include "sim/config/library.hpp"
#include "sim/cost/fabric_profile.hpp"
#include "sim/cost/profile.hpp"

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace nvl72 {

/// Profiles by GPU and by the fabric between its domains, each loaded once.
class Profiles {
public:
    /// `calibrations`: files that replace the shipped profiles of their GPUs.
    Profiles(Library const& library, std::vector<std::string> const& calibrations);

    /// None where there is no calibration of a GPU.
    struct Named {
        std::string name;
        std::optional<Profile> profile;
    };
    Named const& of(std::string const& gpu);

    /// Of a word that a log or a table states; see fabric_name.
    FabricProfile const& fabric(std::string const& word);

    /// The profile of a GPU that has one, over such a fabric; where its NICs are assumed, with the
    /// interval of a fabric of which nothing is known. `channels_min`: asked of NCCL, 0: nothing.
    Profile const& over(std::string const& gpu,
                        std::string const& word,
                        bool nics_assumed,
                        int channels_min = 0);

private:
    Library const& library_;
    std::map<std::string, Named> loaded_;
    std::map<std::string, FabricProfile> fabrics_;
    std::map<std::tuple<std::string, std::string, bool, int>, Profile> over_;
};

}  // namespace nvl72
