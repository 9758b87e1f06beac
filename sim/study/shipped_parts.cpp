#include "sim/study/shipped_parts.hpp"

#include "sim/config/write.hpp"
#include "topology/gpu.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

namespace nvl72 {

namespace {

std::string shipped_path(Library const& library, std::string const& gpu) {
    return library.folder() + "/calibration/" + gpu + ".yaml";
}

/// Null where no profile of the GPU is shipped.
Value shipped_profile(Library const& library, std::string const& gpu) {
    auto const path = shipped_path(library, gpu);
    return std::filesystem::exists(path) ? load_yaml(path) : Value{};
}

}  // namespace

KeptSections kept_sections(Library const& library,
                           std::string const& gpu,
                           std::set<std::string> const& fitted) {
    static std::set<std::string> const sections{
        "gemm", "attention", "memory", "generation", "collectives", "moe", "microkernels"};
    KeptSections kept;
    Value const shipped = shipped_profile(library, gpu);
    std::ifstream in(shipped_path(library, gpu), std::ios::binary);
    std::string line, name;
    for (int number = 1; std::getline(in, line); ++number) {
        for (auto const& entry : shipped.entries) {
            if (entry.value.place.line == number) name = entry.name;
        }
        if (!sections.contains(name) || fitted.contains(name)) continue;
        kept.names.insert(name);
        kept.text += line + "\n";
    }
    return kept;
}

Value shipped_collectives(Library const& library, std::string gpu) {
    while (true) {
        Value const shipped = shipped_profile(library, gpu);
        if (Value const* section = shipped.find("collectives")) return *section;
        GpuSpec const spec = load_gpu(library, gpu, {"--gpu", 0, ""});
        if (!spec.sister) return {};
        gpu = *spec.sister;
    }
}

Value sustained_without_runs(Library const& library, std::string const& gpu, Value const& own) {
    std::string name = gpu;
    while (true) {
        Value const shipped = shipped_profile(library, name);
        Value const* factor = shipped.find("sustained");
        if (factor != nullptr && factor->source.starts_with("fitted:")) {
            if (name == gpu) return *factor;
            return leaf(factor->scalar,
                        fmt::format("assumed: as the {}; no published run of the {} to fit it to",
                                    name, gpu));
        }
        GpuSpec const spec = load_gpu(library, name, {"--gpu", 0, ""});
        Value const* given = name == gpu ? own.find("scaled_from") : nullptr;
        if (given != nullptr) {
            name = given->scalar;
        } else if (spec.sister) {
            name = *spec.sister;
        } else {
            return leaf("1", "assumed: no published runs of this GPU or of a sister");
        }
    }
}

void keep_spread(Value& spread,
                 std::set<std::string> const& sections,
                 std::vector<std::string> const& branches,
                 Library const& library,
                 std::string const& gpu) {
    Value const shipped = shipped_profile(library, gpu);
    Value const* rows = shipped.find("spread");
    if (rows == nullptr) return;
    for (auto const& row : rows->entries) {
        if (spread.find(row.name) != nullptr) continue;
        auto const space = row.name.find(' ');
        bool const of_section = sections.contains(row.name.substr(0, space));
        bool const of_branch =
            row.name.starts_with("collectives ") &&
            std::ranges::find(branches, row.name.substr(space + 1)) != branches.end();
        if (of_section || of_branch) put(spread, row.name, row.value);
    }
}

void keep_draws(Value& draws,
                std::set<std::string> const& sections,
                Library const& library,
                std::string const& gpu) {
    Value const profile = shipped_profile(library, gpu);
    Value const* fits = profile.find("draws");
    if (fits == nullptr) return;
    for (auto const& fit : fits->entries) {
        if (draws.find(fit.name) != nullptr) continue;
        bool const kept = std::ranges::all_of(fit.value.entries, [&](auto const& constant) {
            return sections.contains(constant.name.substr(0, constant.name.find('.')));
        });
        if (kept) put(draws, fit.name, fit.value);
    }
}

}  // namespace nvl72
