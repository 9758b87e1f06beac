#include "sim/study/fit_microkernels.hpp"

#include "sim/cost/microkernel_cost.hpp"
#include "sim/interchange/measured_collective.hpp"
#include "sim/study/section_fit.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

namespace nvl72 {

namespace {

using Branch = MicrokernelBranch;
using Knob = section_fit::Knob<Branch>;
using Row = section_fit::Row<Collective>;

/// A branch's rows. `part` names it: "all_reduce one-shot-ll".
struct BranchRows {
    std::string part;
    CollectiveOp op{};
    CollectiveAlgorithm algorithm{};
    std::vector<Row> rows;
    std::vector<double> over_quickest;  ///< blocks of all rows, of a CPU

    void add(Collective const& query, double seconds, std::vector<double> const& passes) {
        rows.push_back({query, seconds, 0, 0});
        over_quickest.insert(over_quickest.end(), passes.begin(), passes.end());
    }
};

constexpr std::size_t rows_per_constant = 3;
constexpr double step_least = 1e-10;  // seconds: no message is as quick

double seconds_of(Branch const& branch, Collective const& query) {
    auto const terms =
        microkernel_terms(branch, query.shape.ranks, static_cast<double>(query.size.count));
    return terms.latency + terms.transfer;
}

template <class Of>
std::size_t distinct(std::vector<Row> const& rows, Of of) {
    std::set<std::int64_t> values;
    for (auto const& row : rows) values.insert(of(row.kernel));
    return values.size();
}

std::int64_t ranks_of(Collective const& query) { return query.shape.ranks; }
std::int64_t size_of(Collective const& query) { return query.size.count; }

/// In place and out of place are one point.
std::size_t distinct_points(std::vector<Row> const& rows) {
    std::set<std::pair<std::int64_t, std::int64_t>> points;
    for (auto const& row : rows) points.emplace(ranks_of(row.kernel), size_of(row.kernel));
    return points.size();
}

/// The constants that these rows determine, starting at what the smallest and the largest say.
std::vector<Knob> knobs_of(Branch const& branch, std::vector<Row> const& rows) {
    auto const by_size = [](Row const& a, Row const& b) { return a.kernel.size < b.kernel.size; };
    auto const ends = std::ranges::minmax_element(rows, by_size);
    auto const steps = [&](Collective const& query) {
        return microkernel_steps(branch.algorithm, query.shape.ranks);
    };
    double const step = ends.min->seconds / static_cast<double>(steps(ends.min->kernel));
    double const bandwidth = microkernel_wire(branch.algorithm, ends.max->kernel.shape.ranks) *
                             static_cast<double>(ends.max->kernel.size.count) / ends.max->seconds;
    std::vector<Knob> knobs{{"step", Dimension::seconds, step, step_least, 1,
                             [](Branch& b) -> double& { return b.step.count; }},
                            {"bandwidth", Dimension::bytes_per_second, bandwidth, 1e6, 1e14,
                             [](Branch& b) -> double& { return b.bandwidth.count; }}};
    auto const points = distinct_points(rows);
    auto const room = [&](std::size_t more) {
        return points >= rows_per_constant * (knobs.size() + more);
    };
    if (distinct(rows, steps) > 1 && room(1)) {
        knobs.push_back({"base", Dimension::seconds, step / 2, 1e-10, 1,
                         [](Branch& b) -> double& { return b.base.count; }});
    }
    if (distinct(rows, size_of) >= 4 && room(2)) {
        knobs.push_back({"small_bandwidth", Dimension::bytes_per_second, bandwidth, 1e6, 1e14,
                         [](Branch& b) -> double& { return b.small_bandwidth->count; }});
        knobs.push_back({"knee", Dimension::bytes, 1e6, 1e3, 1e9,
                         [](Branch& b) -> double& { return b.knee.count; }});
    }
    if (distinct(rows, ranks_of) > 1 && room(1)) {
        knobs.push_back({"copies", Dimension::number, 0.1, 1e-3, 16,
                         [](Branch& b) -> double& { return b.copies; }});
    }
    return knobs;
}

bool has(std::vector<Knob> const& knobs, std::string_view key) {
    return std::ranges::any_of(knobs, [&](Knob const& knob) { return knob.key == key; });
}

/// Sizes by rank count, equal ones together.
Value regions(std::vector<Row> const& rows) {
    std::map<std::int64_t, std::set<std::int64_t>> sizes_of;
    for (auto const& row : rows) sizes_of[ranks_of(row.kernel)].insert(size_of(row.kernel));
    std::map<std::set<std::int64_t>, std::vector<std::string>> ranks;
    for (auto const& entry : sizes_of) ranks[entry.second].push_back(std::to_string(entry.first));
    Value list;
    list.kind = Value::Kind::list;
    list.source = "derived: the measured points";
    for (auto const& entry : ranks) {
        std::vector<std::string> sizes;
        sizes.reserve(entry.first.size());
        for (auto const size : entry.first) sizes.push_back(std::to_string(size));
        Value region;
        put(region, "ranks", leaf_list(entry.second));
        put(region, "sizes", leaf_list(sizes));
        list.items.push_back(std::move(region));
    }
    return list;
}

/// One branch, fitted and judged.
struct FittedBranch {
    Branch branch;
    Value yaml;
    SectionFit fit;
};

FittedBranch fit_branch(BranchRows const& measured, MicrokernelSetting const& setting) {
    auto const& rows = measured.rows;
    Branch branch;
    branch.op = measured.op;
    branch.algorithm = measured.algorithm;
    branch.knee = BufferSize{1e6};
    auto const knobs = knobs_of(branch, rows);
    if (has(knobs, "small_bandwidth")) branch.small_bandwidth = BytesPerSecond{};
    section_fit::SecondsOf<Branch, Collective> const seconds = seconds_of;
    SectionFit fit{"microkernels", measured.part, rows.size(), knobs.size(), {}, "", {}, {}, {},
                   setting.origin};
    auto const unseen = section_fit::predict_unseen(branch, knobs, rows, seconds);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        section_fit::add_unseen(fit, rows[i], unseen.inside[i], unseen.outside[i]);
    }
    if (!fit.inside.empty()) fit.left_out = section_fit::errors_inside(fit);
    fit.between = between_passes(measured.over_quickest);
    branch = section_fit::fit_section(branch, knobs, rows, seconds);
    fit.in_sample =
        errors_of(section_fit::measured(rows), section_fit::predict(branch, rows, seconds));
    auto const& worst = rows[fit.in_sample.worst_row].kernel;
    fit.worst_at =
        fmt::format("{} of {}, {} bytes", measured.part.substr(0, measured.part.find(' ')),
                    worst.shape.ranks, worst.size.count);
    FittedBranch done;
    section_fit::put_knobs(done.yaml, branch, knobs, section_fit::source_text(fit));
    put(done.yaml, "measured", regions(rows));
    done.fit = std::move(fit);
    done.branch = std::move(branch);
    return done;
}

/// Numbers the sizes in ascending order, and makes the largest an edge.
void number_sizes(std::vector<Row>& rows) {
    std::set<std::int64_t> sizes;
    for (auto const& row : rows) sizes.insert(size_of(row.kernel));
    for (auto& row : rows) {
        row.shape =
            static_cast<std::size_t>(std::distance(sizes.begin(), sizes.find(size_of(row.kernel))));
    }
    section_fit::mark_largest(rows,
                              [](Collective const& q) { return static_cast<double>(size_of(q)); });
}

/// The rows that can be fitted, by branch, in the order of operations and algorithms.
std::vector<BranchRows> rows_by_branch(std::vector<SampledCollective> const& samples,
                                       std::vector<std::string>& notes) {
    std::map<std::pair<CollectiveOp, CollectiveAlgorithm>, BranchRows> found;
    std::map<std::string, std::size_t> aside;
    for (auto const& [query, seconds, passes] : microkernel_rows(samples, &aside)) {
        found[{query.op, algorithm_of(query)}].add(query, seconds, passes);
    }
    for (auto const& entry : aside) {
        notes.push_back(fmt::format("microkernels: {} rows of {} left aside: no branch prices them",
                                    entry.second, entry.first));
    }
    std::vector<BranchRows> branches;
    for (auto& [key, branch] : found) {
        number_sizes(branch.rows);
        branch.part = branch_name(key.first, key.second);
        branch.op = key.first;
        branch.algorithm = key.second;
        branches.push_back(std::move(branch));
    }
    return branches;
}

bool is_moe(SampledCollective const& sample) {
    return sample.op == "moe_dispatch" || sample.op == "moe_combine";
}

/// Ranks that hold one of a token's experts, on average: nvl72-measure draws `top_k` different ones
/// of 32 a rank, evenly. A rank is missed with (E - 32 over k) / (E over k).
double ranks_hit(std::int64_t ranks, std::int64_t top_k) {
    constexpr std::int64_t experts_per_rank = 32;  // kernels/SAMPLES.md
    auto const experts = static_cast<double>(ranks * experts_per_rank);
    double missed = 1;
    for (std::int64_t i = 0; i < top_k; ++i) {
        auto const drawn = static_cast<double>(i);
        missed *= std::max(0.0, experts - experts_per_rank - drawn) / (experts - drawn);
    }
    return static_cast<double>(ranks) * (1 - missed);
}

/// Dispatch and combine by operation and protocol, as an all-to-all of the bytes that travel: a
/// token goes once to each of `ranks_hit`, so that (n-1)/n of tokens x ranks_hit x its row leave a
/// rank, in a message or more to each peer.
std::vector<BranchRows> moe_by_branch(std::vector<SampledCollective> const& samples) {
    std::map<std::pair<std::string, CollectiveAlgorithm>, BranchRows> found;
    for (auto const& sample : samples) {
        if (sample.suite != "microkernel" || !is_moe(sample)) continue;
        auto const algorithm = microkernel_named(sample.algorithm, sample.protocol);
        if (!algorithm || !microkernel_does(*algorithm, CollectiveOp::alltoall)) continue;
        if (sample.ranks < 2 || sample.top_k < 1) continue;
        double const bytes =
            static_cast<double>(sample.bytes) * ranks_hit(sample.ranks, sample.top_k);
        Collective query;
        query.op = CollectiveOp::alltoall;
        query.algorithm = static_cast<std::uint8_t>(*algorithm);
        query.size = Bytes{std::llround(bytes)};
        query.shape.ranks = query.shape.ranks_per_domain = sample.ranks;
        found[{sample.op, *algorithm}].add(query, sample.seconds, sample.over_quickest);
    }
    std::vector<BranchRows> branches;
    for (auto& [key, branch] : found) {
        number_sizes(branch.rows);
        branch.part = key.first + " " + name_of(key.second);
        branch.op = CollectiveOp::alltoall;
        branch.algorithm = key.second;
        branches.push_back(std::move(branch));
    }
    return branches;
}

/// "moe_dispatch direct-ll: 12 us a message, 3.1 GB/s"
std::string constants_text(std::string const& part, Branch const& branch) {
    std::string const step = branch.step.count > step_least * 1.001
                                 ? ValueType<Seconds>::write(branch.step) + " a message"
                                 : "a message too quick to tell";
    return fmt::format("microkernels: {}: {}, {} (no query asks for it yet)", part, step,
                       ValueType<BytesPerSecond>::write(branch.bandwidth));
}

std::string wiring_of(std::vector<SampledCollective> const& samples, std::string const& origin) {
    std::set<std::string> wirings;
    for (auto const& sample : samples) {
        if (sample.suite == "microkernel") wirings.insert(sample.wiring);
    }
    auto const words = ValueType<MicrokernelWiring>::words();
    if (wirings.size() != 1 || std::ranges::find(words, *wirings.begin()) == words.end()) {
        std::string found;
        for (auto const& word : wirings) found += (found.empty() ? "" : ", ") + word;
        throw ConfigError(
            fmt::format("{}: microkernels of wiring {} (expected one of {} in all files)", origin,
                        found, ValueType<MicrokernelWiring>::expects()));
    }
    return *wirings.begin();
}

}  // namespace

std::vector<MicrokernelRow> microkernel_rows(std::vector<SampledCollective> const& samples,
                                             std::map<std::string, std::size_t>* aside) {
    std::vector<MicrokernelRow> rows;
    for (auto const& sample : samples) {
        if (sample.suite != "microkernel" || is_moe(sample)) continue;
        auto const op = collective_op(sample.op);
        auto const algorithm = microkernel_named(sample.algorithm, sample.protocol);
        if (!op || !algorithm || !microkernel_does(*algorithm, *op) || sample.ranks < 2) {
            if (aside != nullptr) {
                ++(*aside)[fmt::format("{} {} {}", sample.op, sample.algorithm, sample.protocol)];
            }
            continue;
        }
        if (sample.in_place != 0 && *op != CollectiveOp::all_reduce) {
            if (aside != nullptr) ++(*aside)["operations in place other than all_reduce"];
            continue;
        }
        Collective query;
        query.op = *op;
        query.algorithm = static_cast<std::uint8_t>(*algorithm);
        query.size = Bytes{sample.bytes};
        query.bytes_per_element = 4;
        query.shape.ranks = query.shape.ranks_per_domain = sample.ranks;
        rows.push_back({query, sample.seconds, sample.over_quickest});
    }
    return rows;
}

std::optional<CollectiveAlgorithm> microkernel_named(std::string const& algorithm,
                                                     std::string const& protocol) {
    std::string name = algorithm + "-" + protocol;
    std::ranges::replace(name, '_', '-');
    if (name == "ring-ll") name = name_of(CollectiveAlgorithm::micro_ring_ll);
    auto const words = ValueType<CollectiveAlgorithm>::words();
    auto const found = std::ranges::find(words, name);
    if (found == words.end()) return std::nullopt;
    auto const row = static_cast<CollectiveAlgorithm>(found - words.begin());
    return is_microkernel(row) ? std::optional(row) : std::nullopt;
}

FittedMicrokernels fit_microkernels(std::vector<SampledCollective> const& samples,
                                    MicrokernelSetting const& setting) {
    FittedMicrokernels result;
    auto const fit_all = [&](std::vector<BranchRows> const& branches, auto const& take) {
        for (auto const& branch : branches) {
            if (distinct(branch.rows, size_of) < 2) {
                result.notes.push_back(
                    fmt::format("microkernels: {} has one size, which tells no bandwidth: left "
                                "aside",
                                branch.part));
                continue;
            }
            take(branch.part, fit_branch(branch, setting));
        }
    };
    Value branch_map;
    fit_all(rows_by_branch(samples, result.notes), [&](std::string const& part, FittedBranch done) {
        put(branch_map, part, std::move(done.yaml));
        result.section.fits.push_back(std::move(done.fit));
    });
    fit_all(moe_by_branch(samples), [&](std::string const& part, FittedBranch done) {
        result.notes.push_back(constants_text(part, done.branch));
        result.unpriced.push_back(std::move(done.fit));
    });
    if (!branch_map.is_map()) return result;
    auto& yaml = result.section.yaml;
    put(yaml, "wiring",
        leaf(wiring_of(samples, setting.origin), "measured: wiring of " + setting.origin));
    if (!setting.nvlink.empty()) {
        put(yaml, "nvlink", leaf(setting.nvlink, "published: the cluster measured on"));
    }
    put(yaml, "branches", branch_map);
    return result;
}

}  // namespace nvl72
