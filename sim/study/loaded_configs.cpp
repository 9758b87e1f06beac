#include "sim/study/loaded_configs.hpp"

#include "sim/cost/fabric_profile.hpp"
#include "sim/study/point.hpp"

namespace nvl72 {

Architecture const& LoadedConfigs::architecture(std::string const& path) {
    auto const found = architectures_.find(path);
    if (found != architectures_.end()) return found->second;
    return architectures_.emplace(path, load_architecture(path)).first->second;
}

Recipe const& LoadedConfigs::recipe(std::string const& path) {
    auto const found = recipes_.find(path);
    if (found != recipes_.end()) return found->second;
    return recipes_.emplace(path, load_recipe(path, nullptr, &library_)).first->second;
}

std::pair<Profile, std::string> const& LoadedConfigs::profile(Fabric const& fabric,
                                                              Place const& asked) {
    bool const joined = fabric.domains() > 1;
    auto const key =
        fabric.gpu().name + (joined ? " " + name_of(fabric.cluster().network.kind) : "");
    auto const found = profiles_.find(key);
    if (found != profiles_.end()) return found->second;
    auto named = profile_of(fabric, asked, library_, given_);
    named.first = with_network(std::move(named.first), fabric, library_);
    return profiles_.emplace(key, std::move(named)).first->second;
}

std::vector<std::pair<std::string, ClusterSpec>> const& LoadedConfigs::clusters() {
    if (!all_clusters_.empty()) return all_clusters_;
    for (auto const& name : library_.names("clusters")) {
        all_clusters_.emplace_back(name, load_cluster(library_, name, {}));
    }
    return all_clusters_;
}

std::vector<std::pair<std::string, Recipe>> const& LoadedConfigs::recipes() {
    if (!all_recipes_.empty()) return all_recipes_;
    for (auto const& name : library_.names("recipes")) {
        all_recipes_.emplace_back(name, recipe(library_.path("recipes", name, {})));
    }
    return all_recipes_;
}

}  // namespace nvl72
