#pragma once

#include "sim/config/library.hpp"
#include "sim/cost/profile.hpp"
#include "sim/model/architecture.hpp"
#include "sim/training/recipe.hpp"
#include "topology/cluster.hpp"
#include "topology/fabric.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// Configs that many points name, each read once. Not for several threads at once.
class LoadedConfigs {
public:
    LoadedConfigs(Library const& library, GivenProfiles given)
        : library_(library), given_(std::move(given)) {}

    [[nodiscard]] Library const& library() const { return library_; }
    [[nodiscard]] GivenProfiles const& given() const { return given_; }

    Architecture const& architecture(std::string const& path);
    Recipe const& recipe(std::string const& path);
    /// The profile of a cluster's GPU over the cluster's network, and its name or file; `asked` is
    /// where the cluster was named.
    std::pair<Profile, std::string> const& profile(Fabric const& fabric, Place const& asked);
    /// All that are shipped, by name.
    std::vector<std::pair<std::string, ClusterSpec>> const& clusters();
    std::vector<std::pair<std::string, Recipe>> const& recipes();

private:
    Library const& library_;
    GivenProfiles given_;
    std::map<std::string, Architecture> architectures_;
    std::map<std::string, Recipe> recipes_;
    std::map<std::string, std::pair<Profile, std::string>> profiles_;
    std::vector<std::pair<std::string, ClusterSpec>> all_clusters_;
    std::vector<std::pair<std::string, Recipe>> all_recipes_;
};

}  // namespace nvl72
