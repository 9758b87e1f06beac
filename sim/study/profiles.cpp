#include "sim/study/profiles.hpp"

#include <algorithm>

namespace nvl72 {

Profiles::Profiles(Library const& library, std::vector<std::string> const& calibrations)
    : library_(library) {
    for (auto const& file : calibrations) {
        Profile profile = load_profile(library, file, {"--calibration", 0, ""});
        std::string const gpu = profile.gpu;
        loaded_[gpu] = {file, std::move(profile)};
    }
}

Profiles::Named const& Profiles::of(std::string const& gpu) {
    auto const found = loaded_.find(gpu);
    if (found != loaded_.end()) return found->second;
    auto const shipped = library_.names("calibration");
    bool const known = std::ranges::find(shipped, gpu) != shipped.end();
    Named named{gpu, std::nullopt};
    if (known) named.profile = load_profile(library_, gpu);
    return loaded_.emplace(gpu, std::move(named)).first->second;
}

FabricProfile const& Profiles::fabric(std::string const& word) {
    auto const name = fabric_name(library_, word);
    auto const found = fabrics_.find(name);
    if (found != fabrics_.end()) return found->second;
    return fabrics_.emplace(name, load_fabric_profile(library_, name)).first->second;
}

Profile const& Profiles::over(std::string const& gpu,
                              std::string const& word,
                              bool nics_assumed,
                              int channels_min) {
    auto own = fabric(word);
    auto const key = std::tuple(gpu, own.name, nics_assumed, channels_min);
    auto const found = over_.find(key);
    if (found != over_.end()) return found->second;
    if (nics_assumed) own.spread = fabric("").spread;
    auto profile = with_channels(with_fabric(*of(gpu).profile, own), channels_min);
    return over_.emplace(key, std::move(profile)).first->second;
}

}  // namespace nvl72
