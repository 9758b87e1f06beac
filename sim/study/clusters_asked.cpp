#include "sim/study/clusters_asked.hpp"

#include "sim/cost/fabric_profile.hpp"
#include "sim/cost/moe_cost.hpp"
#include "sim/study/point.hpp"

#include <fmt/format.h>

namespace nvl72 {

std::vector<Field<ClusterAsked>> const& fields_of(ClusterAsked const*) {
    static std::vector<Field<ClusterAsked>> const fields{
        optional("name", &ClusterAsked::label, "", "label; the cluster's name when not given"),
        required("cluster", &ClusterAsked::cluster, "which cluster, how many of its GPUs, faults"),
    };
    return fields;
}

std::vector<Field<CollectiveAsked>> const& fields_of(CollectiveAsked const*) {
    using C = CollectiveAsked;
    static std::vector<Field<C>> const fields{
        optional("name", &C::label, "", "label; the cluster's name when not given"),
        required("cluster", &C::cluster, "which cluster, how many of its GPUs, faults"),
        optional("fabric", &C::fabric, "", "between NVLink domains; as the cluster's network"),
        required("op", &C::op, "the collective"),
        optional("algorithm", &C::algorithm, "", "as --algorithm; NCCL's tuner when not given"),
        required("sizes", &C::sizes, "buffers; of one GPU's tokens where experts are given"),
        optional("experts", &C::experts, "", "of an alltoall that takes tokens to experts"),
        optional("top_k", &C::top_k, "", "experts of a token"),
        optional("zipf", &C::zipf, "0", "how uneven; 0: balanced"),
        optional("dedup", &C::dedup, "gpu", "a token goes once to each expert, GPU or domain"),
        optional("kernel", &C::kernel, "",
                 "of a serving software that dispatches tokens inside an NVLink domain"),
        optional("hidden", &C::hidden, "", "values of a token, in BF16; goes with kernel"),
    };
    return fields;
}

namespace {

using Integers = std::vector<std::int64_t>;
using Reals = std::vector<double>;
using Texts = std::vector<std::string>;

CollectiveSweep sweep_of(CollectiveAsked const& asked) {
    CollectiveSweep sweep;
    sweep.op = asked.op;
    sweep.algorithm = asked.algorithm.value_or("");
    if (asked.experts) sweep.moe = MoeRouting{*asked.experts, *asked.top_k, asked.zipf};
    sweep.dedup = asked.dedup;
    return sweep;
}

/// One size of a collective: what becomes a row.
struct Timed {
    std::int64_t bytes = 0;
    Picoseconds time;
    double algbw = 0, busbw = 0;  ///< GB/s
    Spread spread;
    std::string algorithm, bound_by;
    BasisKind basis{};
};

Timed timed_by_nccl(CollectiveAsked const& asked,
                    Bytes size,
                    Profile const& profile,
                    Fabric const& fabric) {
    CollectiveSweep sweep = sweep_of(asked);
    sweep.begin = sweep.end = size;
    auto const rows = run_sweep(sweep, profile, fabric).rows;
    if (rows.empty()) {
        fail(asked.place, fmt::format("{} bytes", size.count), "16 bytes or more for each rank");
    }
    auto const& row = rows.front();
    return {row.size.count, row.time,      row.algbw,    row.busbw,
            row.spread,     row.algorithm, row.bound_by, row.basis.kind};
}

/// The same exchange by a serving software's own kernel.
Timed timed_by_kernel(CollectiveAsked const& asked,
                      Bytes size,
                      Profile const& profile,
                      Fabric const& fabric) {
    if (!profile.moe) {
        fail(asked.place, fmt::format("no such kernel of {}", fabric.gpu().name),
             "a GPU whose calibration has a section moe, or no kernel");
    }
    std::int64_t const bytes_per_token = 2 * *asked.hidden;
    MoeExchange const exchange{
        MoeStep::dispatch, *asked.kernel, Precision::bf16, size.count / bytes_per_token,
        *asked.hidden,     *asked.top_k,  *asked.experts,  fabric.shape_of(0, 1, fabric.gpus())};
    Cost const cost = moe_cost(*profile.moe, exchange);
    double const rate = static_cast<double>(size.count) / to_seconds(cost.time) / 1e9;
    return {size.count, cost.time, rate, rate, {}, name_of(*asked.kernel), "", cost.basis.kind};
}

Profile profile_for(CollectiveAsked const& asked,
                    Fabric const& fabric,
                    Library const& library,
                    GivenProfiles const& given) {
    Profile profile = profile_of(fabric, asked.cluster.name_place, library, given).first;
    if (!asked.fabric) return with_network(std::move(profile), fabric, library);
    return with_fabric(std::move(profile),
                       load_fabric_profile(library, asked.fabric->value, asked.fabric->place));
}

}  // namespace

void check(CollectiveAsked const& asked) {
    if (asked.experts.has_value() != asked.top_k.has_value()) {
        fail(asked.place, "one of experts and top_k", "both or neither");
    }
    if (asked.experts &&
        (*asked.experts < 1 || *asked.top_k < 1 || *asked.top_k > *asked.experts)) {
        fail(asked.place, fmt::format("top_k {} of {} experts", *asked.top_k, *asked.experts),
             "1 to all of them");
    }
    if (asked.kernel.has_value() != asked.hidden.has_value() || (asked.kernel && !asked.experts)) {
        fail(asked.place, "kernel, hidden and experts not all there", "all three, or no kernel");
    }
    if (asked.hidden && *asked.hidden < 1) fail(asked.place, "hidden below 1", "1 or more");
}

ResultTable facts_table(std::vector<ClusterAsked> const& asked, Library const& library) {
    Texts systems, facts, units;
    Reals values;
    for (ClusterAsked const& each : asked) {
        for (Fact const& fact : build_fabric(each.cluster, library).facts()) {
            auto const* real = std::get_if<double>(&fact.value);
            auto const* whole = std::get_if<std::int64_t>(&fact.value);
            if (real == nullptr && whole == nullptr) continue;
            systems.push_back(each.name());
            facts.push_back(fact.name);
            units.push_back(fact.unit);
            values.push_back(real != nullptr ? *real : static_cast<double>(*whole));
        }
    }
    return {"facts",
            {{"system", "", "label of the cluster", std::move(systems)},
             {"fact", "", "derived from the wiring", std::move(facts)},
             {"value", "", "in its unit", std::move(values)},
             {"unit", "", "of the value", std::move(units)}}};
}

ResultTable collectives_table(std::vector<CollectiveAsked> const& asked,
                              Library const& library,
                              GivenProfiles const& given) {
    Texts systems, ops, algorithms, bases, bounds;
    Integers gpus, domains, sizes;
    Reals times, algbw, busbw, low, high;
    for (CollectiveAsked const& each : asked) {
        Fabric const fabric = build_fabric(each.cluster, library);
        Profile const profile = profile_for(each, fabric, library, given);
        for (Bytes const size : each.sizes) {
            Timed const timed = each.kernel ? timed_by_kernel(each, size, profile, fabric)
                                            : timed_by_nccl(each, size, profile, fabric);
            double const us = static_cast<double>(timed.time.count) / 1e6;
            systems.push_back(each.name());
            ops.emplace_back(name_of(each.op));
            gpus.push_back(fabric.gpus());
            domains.push_back(fabric.gpus_per_domain());
            sizes.push_back(timed.bytes);
            times.push_back(us);
            algbw.push_back(timed.algbw);
            busbw.push_back(timed.busbw);
            low.push_back(timed.spread.known() ? us * timed.spread.low : us);
            high.push_back(timed.spread.known() ? us * timed.spread.high : us);
            algorithms.push_back(timed.algorithm);
            bases.emplace_back(name_of(timed.basis));
            bounds.push_back(timed.bound_by);
        }
    }
    return {"collectives",
            {{"system", "", "label of the collective", std::move(systems)},
             {"op", "", "as nccl-tests names it", std::move(ops)},
             {"gpus", "", "that take part", std::move(gpus)},
             {"nvlink_domain", "", "GPUs of an NVLink domain", std::move(domains)},
             {"size_bytes", "B", "the buffer, or one GPU's tokens", std::move(sizes)},
             {"time_us", "us", "predicted", std::move(times)},
             {"time_p10_us", "us", "90 % of measurements take longer", std::move(low)},
             {"time_p90_us", "us", "90 % of measurements take less", std::move(high)},
             {"algbw", "GB/s", "as nccl-tests counts it", std::move(algbw)},
             {"busbw", "GB/s", "as nccl-tests counts it", std::move(busbw)},
             {"algorithm", "", "that was taken", std::move(algorithms)},
             {"basis", "", "what the calibration supports it with", std::move(bases)},
             {"bound_by", "", "of the calibrated branch; empty: not told", std::move(bounds)}}};
}

}  // namespace nvl72
