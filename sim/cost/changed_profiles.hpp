#pragma once

#include "sim/cost/profile.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace nvl72 {

/// Moves values of a profile's file, which is at `path`, once it is read.
using ProfileChange = std::function<void(std::string const& path, Value& file)>;

/// The profile with every file that it stands on changed; a changed constant may pass its limits.
/// Files are read once for all profiles that one `ChangedProfiles` gives.
class ChangedProfiles {
public:
    explicit ChangedProfiles(Library const& library);
    ~ChangedProfiles();
    ChangedProfiles(ChangedProfiles const&) = delete;
    ChangedProfiles& operator=(ChangedProfiles const&) = delete;

    [[nodiscard]] Profile of(std::string const& name, ProfileChange const& change);
    /// The files, in configs, that a profile stands on.
    [[nodiscard]] std::vector<std::string> files_of(std::string const& name);

private:
    std::unique_ptr<class ProfileFiles> files_;
};

}  // namespace nvl72
