#include "sim/cost/profile.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/cost/changed_profiles.hpp"
#include "sim/cost/draws.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace nvl72 {

namespace {

double* ratio_of(ProfileScale& scale, std::string const& precision) {
    for (auto& ratio : scale.compute) {
        if (ratio.first == precision) return &ratio.second;
    }
    return nullptr;
}

/// Keeps the precisions that `compute` names, at its rate.
template <class Row>
void scale_peaks(std::vector<std::pair<std::string, Row>>& rows,
                 std::vector<std::pair<std::string, double>> const& compute) {
    std::vector<std::pair<std::string, Row>> kept;
    for (auto const& ratio : compute) {
        for (auto& row : rows) {
            if (row.first != ratio.first) continue;
            row.second.peak = row.second.peak * ratio.second;
            kept.push_back(row);
        }
    }
    rows = std::move(kept);
}

template <class Row>
void check_precisions(std::vector<std::pair<std::string, Row>> const& rows) {
    auto const words = ValueType<Precision>::words();
    for (auto const& row : rows) {
        if (std::ranges::find(words, row.first) == words.end()) {
            fail(row.second.place, fmt::format("unknown precision '{}'", row.first),
                 join(words, " | "));
        }
    }
}

void check(Profile const& profile, Place const& place) {
    section::check_positive(place, "sustained", profile.sustained);
    if (profile.gemm) {
        check_precisions(profile.gemm->precisions);
        check_precisions(profile.gemm->likened);
        check(*profile.gemm);
    }
    if (profile.attention) {
        check_precisions(profile.attention->precisions);
        check(*profile.attention);
    }
    if (profile.memory) check(*profile.memory);
    if (profile.generation) check(*profile.generation);
    if (profile.collectives) check(*profile.collectives);
    if (profile.moe) check(*profile.moe);
    if (profile.microkernels) check(*profile.microkernels);
    check(profile.spread);
}

/// A section as given, else as the base has it; `needed` where neither may be missing.
template <class T>
void take(std::optional<T>& target,
          std::optional<T> const& given,
          bool needed,
          Place const& place,
          char const* key) {
    if (given) target = given;
    if (!target && needed) {
        fail(place, fmt::format("no {}", key),
             fmt::format("{}, or scaled_from another profile", key));
    }
}

}  // namespace

std::vector<Field<ProfileFile>> const& fields_of(ProfileFile const*) {
    static std::vector<Field<ProfileFile>> const fields{
        required("gpu", &ProfileFile::gpu, "name in configs/gpus"),
        optional("date", &ProfileFile::date, "", "day of the measurement"),
        optional("device", &ProfileFile::device, "", "what was measured"),
        optional("logs", &ProfileFile::logs, "", "nccl-tests logs of its user"),
        optional("sustained", &ProfileFile::sustained, "",
                 "tensor-core time under load over burst"),
        optional("scaled_from", &ProfileFile::scaled_from, "",
                 "profile that fills the sections left out"),
        optional("compute", &ProfileFile::compute, "",
                 "ratios to its peaks where the datasheets' do not hold"),
        optional("gemm", &ProfileFile::gemm, "", "matrix products"),
        optional("attention", &ProfileFile::attention, "", "context attention"),
        optional("memory", &ProfileFile::memory, "", "elementwise and copy kernels"),
        optional("generation", &ProfileFile::generation, "", "generation"),
        optional("collectives", &ProfileFile::collectives, "", "collectives"),
        optional("microkernels", &ProfileFile::microkernels, "", "our own collectives"),
        optional("moe", &ProfileFile::moe, "", "MoE dispatch and combine"),
        optional("spread", &ProfileFile::spread, "", "how far measurements lie from the costs"),
        optional("draws", &ProfileFile::draws, "", "how the fitted constants err together"),
    };
    return fields;
}

std::optional<FlopsPerSecond> datasheet_peak(GpuSpec const& gpu, Precision precision) {
    PeakRates const& peak = gpu.peak;
    switch (precision) {
        case Precision::bf16: return peak.bf16;
        case Precision::fp8:
        case Precision::fp8_block: return peak.fp8;
        case Precision::mxfp8:
            return peak.nvfp4 ? peak.fp8 : std::nullopt;  // both came with Blackwell
        case Precision::nvfp4: return peak.nvfp4;
    }
    return std::nullopt;
}

ProfileScale scale_between(GpuSpec const& from, GpuSpec const& to) {
    ProfileScale scale;
    for (std::size_t i = 0; i < EnumNames<Precision>::words.size(); ++i) {
        auto const precision = static_cast<Precision>(i);
        auto const before = datasheet_peak(from, precision);
        auto const after = datasheet_peak(to, precision);
        if (before && after) scale.compute.emplace_back(name_of(precision), *after / *before);
    }
    scale.hbm = to.hbm_bandwidth / from.hbm_bandwidth;
    scale.l2 = static_cast<double>(to.sms) / from.sms;
    return scale;
}

namespace {

/// Mixed attention reads at the new rate, where its kernel's precision was kept.
void scale_mixed(AttentionSection& attention, double hbm) {
    auto const kept = [&](std::string const& kernel) {
        return std::ranges::any_of(attention.precisions,
                                   [&](auto const& row) { return row.first == kernel; });
    };
    std::erase_if(attention.mixed, [&](auto const& mixed) { return !kept(mixed.second.like); });
    for (auto& entry : attention.mixed) {
        auto& multi_query = entry.second.multi_query;
        if (multi_query && !kept(*multi_query)) multi_query.reset();
    }
    for (auto& entry : attention.mixed) entry.second.query_io = entry.second.query_io * hbm;
}

/// Generation computes in BF16 whatever the cache holds. A GPU without FP8 keeps no FP8 cache.
void scale_generation(GenerationSection& generation, ProfileScale& scale) {
    double const* bf16 = ratio_of(scale, name_of(Precision::bf16));
    NVL72_EXPECT(bf16 != nullptr, "every GPU computes in BF16");
    bool const fp8 = ratio_of(scale, name_of(Precision::fp8)) != nullptr;
    std::erase_if(generation.precisions, [&](auto const& row) {
        return !fp8 && row.first.find(name_of(Precision::fp8)) != std::string::npos;
    });
    for (auto& entry : generation.precisions) {
        for (auto* kernel : {&entry.second.grouped, &entry.second.per_head}) {
            if (!*kernel) continue;
            (*kernel)->rate = (*kernel)->rate * *bf16;
            (*kernel)->hbm = (*kernel)->hbm * scale.hbm;
        }
    }
}

}  // namespace

Profile derive_profile(Profile base, ProfileScale scale) {
    auto& gemm = base.gemm.value();
    auto& attention = base.attention.value();
    auto& memory = base.memory.value();
    scale_peaks(gemm.precisions, scale.compute);
    scale_peaks(attention.precisions, scale.compute);
    auto& likened = gemm.likened;
    std::erase_if(likened, [&](auto const& entry) { return !ratio_of(scale, entry.first); });
    auto const scale_hbm = [&](BytesPerSecond& rate) { rate = rate * scale.hbm; };
    scale_hbm(gemm.hbm);
    scale_hbm(memory.rate);
    gemm.l2 = gemm.l2 * scale.l2;
    for (auto& entry : gemm.precisions) {
        if (entry.second.quantise) scale_hbm(*entry.second.quantise);
    }
    for (auto& entry : attention.precisions) {
        scale_hbm(entry.second.query_io);
        scale_hbm(entry.second.kv_io);
    }
    scale_mixed(attention, scale.hbm);
    if (base.generation) {
        scale_generation(*base.generation, scale);
        base.generation->scaled = base.gpu;
    }
    gemm.scaled = attention.scaled = memory.scaled = base.gpu;
    for (auto& entry : base.spread) {
        if (!entry.first.starts_with("training ")) continue;
        // Its own runs are not among those that the row is of.
        entry.second.inherited = true;
        if (!entry.second.outside.empty()) entry.second.inside = entry.second.outside;
    }
    // NVLink and NICs are the cluster's: collectives follow its wiring, not these ratios.
    if (base.collectives) base.collectives->scaled = base.gpu;
    if (base.moe) {
        base.moe->scaled = base.gpu;
        for (auto* kernels : {&base.moe->two_sided, &base.moe->one_sided}) {
            if (!*kernels) continue;
            for (auto& entry : (*kernels)->rows) {
                if (entry.second.local) scale_hbm(*entry.second.local);
            }
        }
    }
    base.microkernels.reset();
    return base;
}

/// Profile files, each read once; a change moves their constants.
class ProfileFiles {
public:
    explicit ProfileFiles(Library const& library) : library_(library) {}

    Profile load(std::string const& name,
                 Place const& asked,
                 Trail* trail,
                 ProfileChange const& change) {
        constexpr int longest_chain = 4;
        return load(name, asked, trail, change, longest_chain);
    }
    /// True when one of the files read holds `draws`.
    [[nodiscard]] bool any_draws() const {
        return std::ranges::any_of(
            trees_, [](auto const& entry) { return entry.second.find("draws") != nullptr; });
    }

private:
    Profile load(std::string const& name,
                 Place const& asked,
                 Trail* trail,
                 ProfileChange const& change,
                 int depth);
    ProfileFile read(std::string const& path, Trail* trail, ProfileChange const& change) {
        auto found = trees_.find(path);
        if (found == trees_.end()) {
            found = trees_.emplace(path, load_yaml(path)).first;
        }
        if (!change) return read_spec<ProfileFile>(found->second, trail);
        Value moved = found->second;
        change(path, moved);
        return read_spec<ProfileFile>(moved, trail);
    }

    Library const& library_;
    std::map<std::string, Value> trees_;
};

Profile ProfileFiles::load(std::string const& name,
                           Place const& asked,
                           Trail* trail,
                           ProfileChange const& change,
                           int depth) {
    auto const path = library_.path("calibration", name, asked);
    auto const file = read(path, trail, change);
    Place place = file.place;
    place.key = "scaled_from";
    if (depth == 0) fail(place, "a chain of scaled profiles", "a profile with sections of its own");
    place.key = "gpu";
    GpuSpec const gpu = load_gpu(library_, file.gpu, place);

    Profile profile;
    if (file.scaled_from) {
        place.key = "scaled_from";
        Profile const base = load(*file.scaled_from, place, nullptr, change, depth - 1);
        if (!base.gemm) {
            fail(place, *file.scaled_from + ", which prices no kernels", "the profile of a GPU");
        }
        auto scale = scale_between(load_gpu(library_, base.gpu, place), gpu);
        for (auto const& replaced : file.compute) {
            place.key = "compute";
            section::check_positive(place, replaced.first, replaced.second);
            auto* ratio = ratio_of(scale, replaced.first);
            if (ratio == nullptr) fail(place, replaced.first, "a precision of " + file.gpu);
            *ratio = replaced.second;
        }
        profile = derive_profile(base, scale);
    }
    profile.place = file.place;
    profile.gpu = gpu.name;
    profile.sms = gpu.sms;
    profile.l2 = gpu.l2;
    bool const is_gpu = gpu.architecture != GpuArchitecture::cpu;
    auto sustained = file.scaled_from ? std::optional(profile.sustained) : std::nullopt;
    take(sustained, file.sustained, is_gpu, file.place, "sustained");
    profile.sustained = sustained.value_or(1);
    take(profile.gemm, file.gemm, is_gpu, file.place, "gemm");
    take(profile.attention, file.attention, is_gpu, file.place, "attention");
    take(profile.memory, file.memory, is_gpu, file.place, "memory");
    take(profile.generation, file.generation, false, file.place, "generation");
    take(profile.collectives, file.collectives, false, file.place, "collectives");
    take(profile.moe, file.moe, false, file.place, "moe");
    take(profile.microkernels, file.microkernels, !is_gpu, file.place, "microkernels");
    for (auto const& row : file.spread) {
        auto const same = std::ranges::find_if(
            profile.spread, [&](auto const& known) { return known.first == row.first; });
        if (same == profile.spread.end()) {
            profile.spread.push_back(row);
        } else {
            same->second = row.second;
        }
    }
    if (!change) {  // a drawn efficiency may pass 1
        check(profile, file.place);
        check_draws(trees_.at(path));
    }
    return profile;
}

namespace {

/// The section that prices a query.
template <class Section>
Section const& need(Profile const& profile,
                    std::optional<Section> const& section,
                    char const* name) {
    if (section) return *section;
    Place place = profile.place;
    place.key = name;
    fail(place, fmt::format("the {} has no such section", profile.gpu),
         "a fit: calibrate --from TABLES");
}

}  // namespace

Profile load_profile(Library const& library,
                     std::string const& name,
                     Place const& asked,
                     Trail* trail) {
    return ProfileFiles(library).load(name, asked, trail, {});
}

std::vector<Profile> drawn_profiles(Library const& library,
                                    std::string const& name,
                                    std::uint64_t seed,
                                    int count) {
    ProfileFiles files(library);
    files.load(name, {}, nullptr, {});
    if (!files.any_draws()) return {};
    std::vector<Profile> drawn;
    for (int i = 0; i < count; ++i) {
        Draw const draw{seed, static_cast<std::uint32_t>(i)};
        drawn.push_back(files.load(name, {}, nullptr, [&draw](std::string const&, Value& file) {
            apply_draw(file, draw);
        }));
    }
    return drawn;
}

ChangedProfiles::ChangedProfiles(Library const& library)
    : files_(std::make_unique<ProfileFiles>(library)) {}
ChangedProfiles::~ChangedProfiles() = default;

Profile ChangedProfiles::of(std::string const& name, ProfileChange const& change) {
    return files_->load(name, {}, nullptr, change);
}

std::vector<std::string> ChangedProfiles::files_of(std::string const& name) {
    std::vector<std::string> files;
    files_->load(name, {}, nullptr,
                 [&files](std::string const& path, Value const&) { files.push_back(path); });
    return files;
}

Cost cost(Profile const& profile, Query const& query, Load load) {
    bool const sustained = load == Load::sustained;
    double const l2 = sustained ? 0 : static_cast<double>(profile.l2.count);
    struct Pricing {
        Profile const& profile;
        double slowdown = 1;
        GenerationGpu gpu;
        Cost operator()(Gemm const& gemm) const {
            return gemm_cost(need(profile, profile.gemm, "gemm"), gemm, profile.sms, slowdown);
        }
        Cost operator()(Attention const& attention) const {
            if (is_generation(attention)) {
                return generation_cost(need(profile, profile.generation, "generation"), attention,
                                       gpu, slowdown);
            }
            return attention_cost(need(profile, profile.attention, "attention"), attention,
                                  profile.sms, slowdown);
        }
        Cost operator()(MemoryTraffic const& traffic) const {
            return memory_cost(need(profile, profile.memory, "memory"), traffic);
        }
        Cost operator()(Collective const& collective) const {
            if (is_microkernel(algorithm_of(collective))) {
                return microkernel_cost(need(profile, profile.microkernels, "microkernels"),
                                        collective);
            }
            return collective_cost(need(profile, profile.collectives, "collectives"), collective);
        }
        Cost operator()(MoeExchange const& exchange) const {
            return moe_cost(need(profile, profile.moe, "moe"), exchange);
        }
    };
    return std::visit(Pricing{profile, sustained ? profile.sustained : 1, {profile.sms, l2}},
                      query);
}

Spread spread_of(Profile const& profile, Query const& query, BasisKind basis) {
    return spread_at(profile.spread, part_of(query), basis);
}

}  // namespace nvl72
