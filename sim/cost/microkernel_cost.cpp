#include "sim/cost/microkernel_cost.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72 {

std::vector<Field<MicrokernelBranch>> const& fields_of(MicrokernelBranch const*) {
    using B = MicrokernelBranch;
    static std::vector<Field<B>> const fields{
        optional("base", &B::base, "0 s", "of every call; 0 where one rank count was measured"),
        required("step", &B::step, "one message"),
        required("bandwidth", &B::bandwidth, "a rank's writes into the others' memory"),
        optional("copies", &B::copies, "0", "bytes moved inside a rank, in buffers"),
        optional("small_bandwidth", &B::small_bandwidth, "", "of small buffers; absent: the same"),
        optional("knee", &B::knee, "1 MB", "buffer halfway between the two bandwidths"),
        required("measured", &B::measured, "ranks and sizes"),
    };
    return fields;
}

namespace {

/// "all_reduce one-shot-ll" names a branch.
void name_branch(MicrokernelBranch& branch, std::string const& name, Place const& place) {
    for (std::size_t op = 0; op < EnumNames<CollectiveOp>::words.size(); ++op) {
        for (std::size_t row = 0; row < EnumNames<CollectiveAlgorithm>::words.size(); ++row) {
            branch.op = static_cast<CollectiveOp>(op);
            branch.algorithm = static_cast<CollectiveAlgorithm>(row);
            if (!is_microkernel(branch.algorithm)) continue;
            if (!microkernel_does(branch.algorithm, branch.op)) continue;
            if (branch_name(branch.op, branch.algorithm) == name) return;
        }
    }
    fail(place, fmt::format("'{}'", name),
         "an operation and a microkernel that does it, such as all_reduce one-shot-ll; see "
         "nvl72sim list collectives");
}

void read_branches(MicrokernelSection& section, Value const& value, Trail* trail) {
    if (!value.is_map()) fail(value.place, "no map", "branches such as all_reduce one-shot-ll");
    for (auto const& [name, entry] : value.entries) {
        section.branches.push_back(read_spec<MicrokernelBranch>(entry, trail));
        name_branch(section.branches.back(), name, entry.place);
    }
}

}  // namespace

std::string branch_name(CollectiveOp op, CollectiveAlgorithm algorithm) {
    return name_of(op) + " " + name_of(algorithm);
}

std::vector<Field<MicrokernelSection>> const& fields_of(MicrokernelSection const*) {
    using S = MicrokernelSection;
    static std::vector<Field<S>> const fields{
        required("wiring", &S::wiring, "where they ran"),
        optional("nvlink", &S::nvlink, "", "wiring peer: a GPU into NVLink, one direction"),
        {"branches", "a map, such as all_reduce one-shot-ll: {step: ...}", std::nullopt,
         "one per operation and algorithm", read_branches},
    };
    return fields;
}

void check(MicrokernelSection const& section) {
    if (section.branches.empty()) {
        fail(section.place, "branches: an empty list", "at least one measured branch");
    }
    for (auto const& branch : section.branches) {
        auto const& place = branch.place;
        section::check_positive(place, "bandwidth", branch.bandwidth.count);
        section::check_positive(place, "step", branch.step.count);
        section::check_positive(place, "knee", branch.knee.count);
        if (branch.small_bandwidth) {
            section::check_positive(place, "small_bandwidth", branch.small_bandwidth->count);
        }
        if (!(branch.copies >= 0)) fail(place, "copies below 0", "0 or more");
        if (branch.measured.empty()) fail(place, "measured: an empty list", "at least one region");
        for (auto const& region : branch.measured) {
            section::check_grid(place, "measured.ranks", region.ranks);
            section::check_grid(place, "measured.sizes", region.sizes);
        }
    }
}

MicrokernelBranch const* find_branch(MicrokernelSection const& section,
                                     CollectiveOp op,
                                     CollectiveAlgorithm algorithm) {
    auto const found = std::ranges::find_if(section.branches, [&](auto const& branch) {
        return branch.op == op && branch.algorithm == algorithm;
    });
    return found == section.branches.end() ? nullptr : &*found;
}

MicrokernelTerms microkernel_terms(MicrokernelBranch const& branch,
                                   std::int64_t ranks,
                                   double bytes) {
    auto const steps = static_cast<double>(microkernel_steps(branch.algorithm, ranks));
    double const moved = (microkernel_wire(branch.algorithm, ranks) + branch.copies) * bytes;
    double const large = 1 / branch.bandwidth.count;
    double const small = branch.small_bandwidth ? 1 / branch.small_bandwidth->count : large;
    double const per_byte = large + (small - large) / (1 + bytes / branch.knee.count);
    return {branch.base.count + steps * branch.step.count, moved * per_byte};
}

namespace {

Basis basis_of(MicrokernelSection const& section,
               MicrokernelBranch const& branch,
               Collective const& query) {
    auto const name = name_of(branch.algorithm);
    auto const& shape = query.shape;
    if (section.wiring == MicrokernelWiring::one_gpu) {
        return {BasisKind::extrapolated, name + " measured inside one GPU"};
    }
    if (section.wiring == MicrokernelWiring::peer && section.nvlink &&
        shape.in_domain != *section.nvlink) {
        return {BasisKind::extrapolated,
                fmt::format("{} measured on {} of NVLink, here {}", name,
                            ValueType<BytesPerSecond>::write(*section.nvlink),
                            ValueType<BytesPerSecond>::write(shape.in_domain))};
    }
    return region_basis(name, branch.measured, shape.ranks, query.size.count);
}

}  // namespace

Cost microkernel_cost(MicrokernelSection const& section, Collective const& query) {
    auto const algorithm = algorithm_of(query);
    auto const* branch = find_branch(section, query.op, algorithm);
    if (branch == nullptr) {
        throw ConfigError(
            fmt::format("this calibration has no {} by {} (expected one of its "
                        "measured branches)",
                        name_of(query.op), name_of(algorithm)));
    }
    NVL72_EXPECT(query.shape.ranks >= 2 && query.shape.domains == 1,
                 "microkernels join ranks of one domain");
    auto terms =
        microkernel_terms(*branch, query.shape.ranks, static_cast<double>(query.size.count));
    bool const links = query.shape.in_domain.count > 0;
    if (links && section.nvlink) terms.transfer *= *section.nvlink / query.shape.in_domain;
    Picoseconds moving = from_seconds(terms.transfer);
    if (links) moving = std::max(moving, full_rate_time(query));
    Picoseconds const whole = from_seconds(terms.latency) + moving;
    NVL72_EXPECT(whole.count > 0, "a collective takes time");
    return {whole, moving, basis_of(section, *branch, query)};
}

}  // namespace nvl72
