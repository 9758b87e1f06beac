#pragma once

#include "sim/config/value.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// The shipped config files: one folder a kind (clusters, gpus, models ...), one file a name.
class Library {
public:
    explicit Library(std::string folder) : folder_(std::move(folder)) {}

    /// `$NVL72SIM_CONFIGS`, else `configs` beside or above the program, else the build's own.
    static Library standard(std::string const& program_path, std::string const& build_folder);

    [[nodiscard]] std::string const& folder() const { return folder_; }
    /// Sorted names of one kind.
    [[nodiscard]] std::vector<std::string> names(std::string const& kind) const;
    /// The file of `name`, or of a path that ends in .yaml or .json; `asked` is where the name was
    /// written. Throws ConfigError with the nearest name.
    [[nodiscard]] std::string path(std::string const& kind,
                                   std::string const& name,
                                   Place const& asked) const;

private:
    std::string folder_;
};

}  // namespace nvl72
