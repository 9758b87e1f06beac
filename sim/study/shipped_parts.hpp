#pragma once

#include "sim/config/library.hpp"
#include "sim/config/value.hpp"

#include <set>
#include <string>
#include <vector>

namespace nvl72 {

/// Sections of the GPU's shipped profile as they stand there, comments included.
struct KeptSections {
    std::string text;
    std::set<std::string> names;
};

/// Those that were not `fitted` anew; none where no profile of the GPU is shipped.
KeptSections kept_sections(Library const& library,
                           std::string const& gpu,
                           std::set<std::string> const& fitted);

/// The collectives of the shipped profile of a GPU, or of the first sister that has some; or null.
Value shipped_collectives(Library const& library, std::string gpu);

/// The load factor without runs to fit it to: as fitted for the shipped profile, else for the first
/// sister that was fitted, else 1. `own`: what given.yaml says of the GPU.
Value sustained_without_runs(Library const& library, std::string const& gpu, Value const& own);

/// Adds the shipped spread of kept sections, and of kept branches of collectives, to a new
/// profile's.
void keep_spread(Value& spread,
                 std::set<std::string> const& sections,
                 std::vector<std::string> const& branches,
                 Library const& library,
                 std::string const& gpu);

/// Adds the shipped draws of fits whose constants all stand in kept sections.
void keep_draws(Value& draws,
                std::set<std::string> const& sections,
                Library const& library,
                std::string const& gpu);

}  // namespace nvl72
