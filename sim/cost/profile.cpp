#include "sim/cost/profile.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nvl72 {

namespace {

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
        if (std::find(words.begin(), words.end(), row.first) == words.end()) {
            fail(row.second.place, fmt::format("unknown precision '{}'", row.first), join(words, " | "));
        }
    }
}

void check(ProfileScale const& scale) {
    section::check_positive(scale.place, "hbm", scale.hbm);
    section::check_positive(scale.place, "l2", scale.l2);
    auto const words = ValueType<Precision>::words();
    for (auto const& ratio : scale.compute) {
        section::check_positive(scale.place, "compute." + ratio.first, ratio.second);
        if (std::find(words.begin(), words.end(), ratio.first) == words.end()) {
            fail(scale.place, fmt::format("compute.{}", ratio.first), join(words, " | "));
        }
    }
}

void check(Profile const& profile, Place const& place) {
    section::check_positive(place, "sms", profile.sms);
    section::check_positive(place, "sustained", profile.sustained);
    check_precisions(profile.gemm.precisions);
    check_precisions(profile.gemm.likened);
    check_precisions(profile.attention.precisions);
    check(profile.gemm);
    check(profile.attention);
    check(profile.memory);
}

template <class T>
void take(T& target, std::optional<T> const& given, bool has_base, Place const& place, char const* key) {
    if (given) {
        target = *given;
    } else if (!has_base) {
        fail(place, fmt::format("no {}", key), fmt::format("{}, or scaled_from another profile", key));
    }
}

}  // namespace

std::vector<Field<ProfileScale>> const& fields_of(ProfileScale const*) {
    static std::vector<Field<ProfileScale>> const fields{
        required("compute", &ProfileScale::compute, "ratio of peak rates, by precision"),
        required("hbm", &ProfileScale::hbm, "ratio of HBM bandwidths"),
        required("l2", &ProfileScale::l2, "ratio of L2 bandwidths"),
    };
    return fields;
}

std::vector<Field<ProfileFile>> const& fields_of(ProfileFile const*) {
    static std::vector<Field<ProfileFile>> const fields{
        required("gpu", &ProfileFile::gpu, "name in configs/gpus"),
        optional("sms", &ProfileFile::sms, "", "multiprocessors"),
        optional("sustained", &ProfileFile::sustained, "", "tensor-core time under load over burst"),
        optional("scaled_from", &ProfileFile::scaled_from, "", "profile that fills the sections left out"),
        optional("scale", &ProfileFile::scale, "", "ratios to that profile"),
        optional("gemm", &ProfileFile::gemm, "", "matrix products"),
        optional("attention", &ProfileFile::attention, "", "context attention"),
        optional("memory", &ProfileFile::memory, "", "elementwise and copy kernels"),
    };
    return fields;
}

Profile derive_profile(Profile base, ProfileScale const& scale) {
    scale_peaks(base.gemm.precisions, scale.compute);
    scale_peaks(base.attention.precisions, scale.compute);
    auto& likened = base.gemm.likened;
    likened.erase(std::remove_if(likened.begin(), likened.end(),
                                 [&](auto const& entry) {
                                     return std::none_of(scale.compute.begin(), scale.compute.end(),
                                                         [&](auto const& r) { return r.first == entry.first; });
                                 }),
                  likened.end());
    auto const scale_hbm = [&](BytesPerSecond& rate) { rate = rate * scale.hbm; };
    scale_hbm(base.gemm.hbm);
    scale_hbm(base.memory.rate);
    base.gemm.l2 = base.gemm.l2 * scale.l2;
    for (auto& entry : base.gemm.precisions) {
        if (entry.second.quantise) scale_hbm(*entry.second.quantise);
    }
    for (auto& entry : base.attention.precisions) {
        scale_hbm(entry.second.query_io);
        scale_hbm(entry.second.kv_io);
    }
    base.gemm.scaled = base.attention.scaled = base.memory.scaled = base.gpu;
    return base;
}

Profile load_profile(Library const& library, std::string const& name, Place const& asked, Trail* trail) {
    auto const file = load_spec<ProfileFile>(library.path("calibration", name, asked), trail);
    Profile profile;
    bool const has_base = file.scaled_from.has_value();
    if (has_base) {
        if (!file.scale) fail(file.place, "scaled_from without scale", "scale: {compute, hbm, l2}");
        check(*file.scale);
        Place place = file.place;
        place.key = "scaled_from";
        auto const path = library.path("calibration", *file.scaled_from, place);
        if (load_spec<ProfileFile>(path).scaled_from) {
            fail(place, *file.scaled_from + " is scaled itself", "a profile with every section of its own");
        }
        profile = derive_profile(load_profile(library, *file.scaled_from, place), *file.scale);
    }
    profile.gpu = file.gpu;
    take(profile.sms, file.sms, has_base, file.place, "sms");
    take(profile.sustained, file.sustained, has_base, file.place, "sustained");
    take(profile.gemm, file.gemm, has_base, file.place, "gemm");
    take(profile.attention, file.attention, has_base, file.place, "attention");
    take(profile.memory, file.memory, has_base, file.place, "memory");
    check(profile, file.place);
    return profile;
}

Cost cost(Profile const& profile, Query const& query, Load load) {
    double const slowdown = load == Load::sustained ? profile.sustained : 1;
    struct Pricing {
        Profile const& profile;
        double slowdown;
        Cost operator()(Gemm const& gemm) const {
            return gemm_cost(profile.gemm, gemm, profile.sms, slowdown);
        }
        Cost operator()(Attention const& attention) const {
            return attention_cost(profile.attention, attention, profile.sms, slowdown);
        }
        Cost operator()(MemoryTraffic const& traffic) const {
            return memory_cost(profile.memory, traffic);
        }
        Cost operator()(Collective const&) const {
            NVL72_EXPECT(false, "the profile of " + profile.gpu + " prices no collectives");
        }
    };
    return std::visit(Pricing{profile, slowdown}, query);
}

}  // namespace nvl72
