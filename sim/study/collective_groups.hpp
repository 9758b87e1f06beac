#pragma once

#include "sim/cost/collective_cost.hpp"
#include "sim/study/section_fit.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// A constant of the collective section; its key is its path there: "ring_ll.base".
using CollectiveKnob = section_fit::Knob<CollectiveSection>;

/// Constants that the same rows determine.
struct CollectiveGroup {
    std::string name;
    bool (*informs)(Collective const&);  ///< of a query on its branch
    std::vector<CollectiveKnob> knobs;
};

/// True for ranks of several NVLink domains.
bool across(Collective const& query);

/// `nvlink`: bytes per second of one GPU into NVLink, one direction.
std::vector<CollectiveGroup> groups_of_one_domain(double nvlink);
std::vector<CollectiveGroup> groups_across_domains(double nvlink);
CollectiveKnob overlap_knob();

}  // namespace nvl72
