#include "sim/collective/sweep.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/collective/exchange.hpp"
#include "sim/collective/steps.hpp"
#include "sim/cost/bound.hpp"
#include "topology/hashing.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <set>

namespace nvl72 {

namespace {

/// nccl-tests' types, with their bytes.
struct TypeRow {
    std::string_view name, alias;
    int bytes;
};
constexpr std::array types{
    TypeRow{"int8", "char", 1},       TypeRow{"uint8", "", 1},
    TypeRow{"int32", "int", 4},       TypeRow{"uint32", "", 4},
    TypeRow{"int64", "", 8},          TypeRow{"uint64", "", 8},
    TypeRow{"half", "float16", 2},    TypeRow{"float", "float32", 4},
    TypeRow{"double", "float64", 8},  TypeRow{"bfloat16", "bf16", 2},
    TypeRow{"fp8_e4m3", "f8e4m3", 1}, TypeRow{"fp8_e5m2", "f8e5m2", 1},
};

constexpr std::size_t rows_max = 100'000;

/// True where nccl-tests' count column is one rank's part of the buffer.
bool counts_parts(CollectiveOp op) {
    return op == CollectiveOp::all_gather || op == CollectiveOp::reduce_scatter ||
           op == CollectiveOp::alltoall;
}

/// nccl-tests keeps parts aligned to 16 bytes.
std::int64_t count_of(CollectiveSweep const& sweep, Bytes size, std::int64_t ranks) {
    std::int64_t const elements = size.count / sweep.type.bytes;
    if (!counts_parts(sweep.op) || sweep.moe) return elements;
    std::int64_t const aligned = 16 / sweep.type.bytes;
    return elements / ranks / aligned * aligned;
}

std::string_view reduction(CollectiveOp op) {
    return op == CollectiveOp::all_reduce || op == CollectiveOp::reduce_scatter ? "sum" : "none";
}
int root(CollectiveOp op) { return op == CollectiveOp::broadcast ? 0 : -1; }

/// True for an alltoall made of phases, which are no rows of the algorithms' table.
bool is_exchange(CollectiveSweep const& sweep) {
    return sweep.op == CollectiveOp::alltoall &&
           (sweep.moe || sweep.algorithm == "pairwise" || sweep.algorithm == "hierarchical");
}

CollectiveSweepRow exchange_row(CollectiveSweep const& sweep,
                                Profile const& profile,
                                GroupShape const& shape,
                                Bytes size,
                                std::int64_t count) {
    if (sweep.steps) {
        throw ConfigError(
            "--fidelity: steps of an all-to-all (expected activity; steps are of "
            "rings)");
    }
    auto const plan = sweep.moe ? moe_exchange(profile, *sweep.moe, sweep.dedup, size, shape)
                      : sweep.algorithm == "pairwise" ? pairwise_alltoall(profile, size, shape)
                                                      : hierarchical_alltoall(profile, size, shape);
    Cost const priced = exchange_cost(profile, plan);
    double const seconds = to_seconds(priced.time);
    double const algbw = static_cast<double>(size.count) / seconds / 1e9;
    double const busbw = sweep.moe ? (plan.load.nvlink + plan.load.nic) / seconds / 1e9
                                   : algbw * bus_factor(sweep.op, shape.ranks);
    return {size,         count,
            priced.time,  algbw,
            busbw,        plan.phases.size() > 1 ? "hierarchical" : "pairwise",
            priced.basis, spread_of(profile, plan.phases.front(), priced.basis.kind)};
}

/// Why the calibrated branch is not the sum of its links that single sends are.
std::string why_not_a_sum(CollectiveSection const& section, Collective const& query, bool hashed) {
    std::vector<std::string> reasons;
    double const p = std::max(section.overlap_norm, collective_terms(section, query).norm);
    if (p > 1) {
        reasons.push_back(
            fmt::format("its latency and its transfer overlap (a p-norm, p {:.2f})", p));
    }
    if (query.shape.domains > 1) {
        auto const crossings = ring_network_steps(query.op, query.shape.domains);
        bool const twice = query.op == CollectiveOp::all_reduce;
        reasons.push_back(fmt::format(
            "it counts {} crossings between domains as NCCL does, of which the longest chain of "
            "sends has up to {}, and all its bytes after them, where sends overlap others' hops",
            crossings, (twice ? 2 : 1) * query.shape.domains));
    }
    if (hashed) reasons.emplace_back("it folds the flows that are hashed here");
    return join(reasons, "; ");
}

CollectiveSweepRow row_of(CollectiveSweep const& sweep,
                          Profile const& profile,
                          GroupShape const& shape,
                          std::span<double const> nic_shares,
                          Bytes size,
                          std::int64_t count) {
    if (is_exchange(sweep)) return exchange_row(sweep, profile, shape, size, count);
    auto const plan = plan_collective(
        profile, sweep.op, size, shape, sweep.type.bytes,
        sweep.steps && sweep.algorithm.empty() ? "ring" : sweep.algorithm, sweep.launch);
    Cost const priced = cost(profile, plan.query, Load::burst);
    std::optional<CollectiveSweepRow::Beside> beside;
    Picoseconds time = priced.time;
    if (sweep.steps) {
        auto const ring = ring_times(*profile.collectives, plan.query, nic_shares);
        time = ring.steps;
        beside = {ring.activity, priced.time,
                  why_not_a_sum(*profile.collectives, plan.query, !nic_shares.empty())};
    }
    double const algbw = static_cast<double>(size.count) / to_seconds(time) / 1e9;
    auto const& row = collective_algorithms()[plan.query.algorithm];
    Basis basis = priced.basis;
    if (sweep.steps) basis = {BasisKind::extrapolated, "single sends built from the ring's branch"};
    return {size,
            count,
            time,
            algbw,
            algbw * bus_factor(sweep.op, shape.ranks),
            std::string(row.name),
            basis,
            spread_of(profile, plan.query, basis.kind),
            beside,
            profile.collectives && !is_microkernel(algorithm_of(plan.query))
                ? bound_by(*profile.collectives, plan.query)
                : ""};
}

std::vector<Bytes> sizes_of(CollectiveSweep const& sweep) {
    if (sweep.begin.count < 1) throw ConfigError("-b: 0 (expected at least 1 byte)");
    if (sweep.end < sweep.begin) throw ConfigError("-e: smaller than -b (expected at least -b)");
    if (sweep.factor < 2 && sweep.step.count < 1) {
        throw ConfigError(fmt::format("-f: {} (expected 2 or more)", sweep.factor));
    }
    std::vector<Bytes> sizes;
    for (Bytes size = sweep.begin; size <= sweep.end;) {
        sizes.push_back(size);
        if (sizes.size() > rows_max) {
            throw ConfigError(
                fmt::format("-i: more than {} rows (expected a larger step)", rows_max));
        }
        if (sweep.step.count > 0) {
            size += sweep.step;
        } else if (size.count > sweep.end.count / sweep.factor) {
            break;
        } else {
            size = size * sweep.factor;
        }
    }
    return sizes;
}

/// "; 80 % of measured times lie -6 to +9 % from it"
std::string interval_text(Spread const& spread) {
    if (!spread.known()) return "; no interval: the calibration states no spread";
    return fmt::format("; 80 % of measured times lie {:+.0f} to {:+.0f} % from it",
                       100 * (spread.low - 1), 100 * (spread.high - 1));
}

/// As NCCL's tuning log: what the tuner expects of each row, and what we do.
void note_candidates(SweepAnswer& answer, Profile const& profile) {
    auto const& sweep = answer.sweep;
    for (auto const& row : answer.rows) {
        auto const plan = plan_collective(profile, sweep.op, row.size, answer.shape,
                                          sweep.type.bytes, sweep.algorithm, sweep.launch);
        for (auto const& candidate : collective_candidates(profile, plan)) {
            std::string line =
                fmt::format("{}: {} Bytes -> {}{}", name_of(sweep.op), row.size.count,
                            candidate.row->name, candidate.chosen ? " (chosen)" : "");
            if (candidate.estimate) {
                line += fmt::format(", tuner {:.1f} us", *candidate.estimate * 1e6);
            }
            if (candidate.cost) {
                line +=
                    fmt::format(", calibrated {:.1f} us", to_microseconds(candidate.cost->time));
            }
            if (!candidate.obstacle.empty()) line += ", " + candidate.obstacle;
            answer.notes.push_back(std::move(line));
        }
    }
}

/// "1024 to 4096 bytes: "
std::string sizes_text(CollectiveSweepRow const& first, CollectiveSweepRow const& last) {
    return first.size == last.size
               ? fmt::format("{} bytes: ", first.size.count)
               : fmt::format("{} to {} bytes: ", first.size.count, last.size.count);
}

/// Where NCCL's choice, and not the wires, makes a row slow: what else would be quicker. One note a
/// run of rows with the same two algorithms.
void note_slow_choices(SweepAnswer& answer, Profile const& profile) {
    auto const& sweep = answer.sweep;
    if (!sweep.algorithm.empty() || sweep.steps || is_exchange(sweep)) return;
    constexpr double told_from = 1.05;  // of its time: less is within any branch's own error
    struct Run {
        CollectiveSweepRow const *first, *last;
        AlgorithmRow const *chosen, *quicker;
        double least, most;  // of the chosen time over the quicker's
    };
    std::vector<Run> runs;
    bool goes_on = false;
    for (auto const& row : answer.rows) {
        auto const plan = plan_collective(profile, sweep.op, row.size, answer.shape,
                                          sweep.type.bytes, "", sweep.launch);
        auto const candidates = collective_candidates(profile, plan);
        CollectiveCandidate const* chosen = nullptr;
        CollectiveCandidate const* best = nullptr;
        for (auto const& one : candidates) {
            if (one.chosen) chosen = &one;
            if (!one.cost || !one.obstacle.empty()) continue;
            if (best == nullptr || one.cost->time < best->cost->time) best = &one;
        }
        bool const estimated = chosen != nullptr && chosen->estimate.has_value();
        double const slower = estimated && best != nullptr
                                  ? to_seconds(chosen->cost->time) / to_seconds(best->cost->time)
                                  : 1;
        bool const told = slower >= told_from;
        if (told && goes_on && runs.back().chosen == chosen->row &&
            runs.back().quicker == best->row) {
            runs.back().last = &row;
            runs.back().least = std::min(runs.back().least, slower);
            runs.back().most = std::max(runs.back().most, slower);
        } else if (told) {
            runs.push_back({&row, &row, chosen->row, best->row, slower, slower});
        }
        goes_on = told;
    }
    for (auto const& run : runs) {
        auto const percent = [](double slower) { return fmt::format("{:.0f}", 100 / slower); };
        auto const most = percent(run.least), least = percent(run.most);
        answer.notes.push_back(
            fmt::format("{}NCCL's tuner takes {}; {} would take {} % of its time (--algorithm {})",
                        sizes_text(*run.first, *run.last), run.chosen->name, run.quicker->name,
                        least == most ? least : least + " to " + most, run.quicker->name));
    }
}

/// One note a run of rows with one algorithm and basis.
void note_rows(SweepAnswer& answer) {
    for (std::size_t i = 0; i < answer.rows.size();) {
        std::size_t end = i + 1;
        auto const& row = answer.rows[i];
        while (end < answer.rows.size() && answer.rows[end].algorithm == row.algorithm &&
               answer.rows[end].basis.kind == row.basis.kind &&
               answer.rows[end].bound_by == row.bound_by &&
               answer.rows[end].basis.why == row.basis.why) {
            ++end;
        }
        answer.notes.push_back(fmt::format(
            "{}{}{}, {}{}{}", sizes_text(row, answer.rows[end - 1]), row.algorithm,
            row.bound_by.empty() ? "" : ", bound by " + row.bound_by, name_of(row.basis.kind),
            row.basis.why.empty() ? "" : fmt::format(" ({})", row.basis.why),
            interval_text(row.spread)));
        i = end;
    }
}

/// What stands beside single sends, a line each, and why the calibrated time differs.
void note_steps(SweepAnswer& answer) {
    std::string why;
    for (auto const& row : answer.rows) {
        if (!row.beside) continue;
        double const steps = to_seconds(row.time);
        auto const against = [&](Picoseconds other) {
            return 100 * (steps / to_seconds(other) - 1);
        };
        answer.notes.push_back(fmt::format(
            "{} bytes: single sends {:.2f} us; an activity of the same link costs {:.2f} us "
            "({:+.1f} %); calibrated {:.2f} us ({:+.1f} %)",
            row.size.count, to_microseconds(row.time), to_microseconds(row.beside->activity),
            against(row.beside->activity), to_microseconds(row.beside->calibrated),
            against(row.beside->calibrated)));
        if (row.beside->why != why) {
            why = row.beside->why;
            answer.notes.push_back("the calibrated branch is no sum of its links: " + why);
        }
    }
}

/// How flows that cross several switches share them.
std::string routing_note(Fabric const& fabric,
                         CollectiveSweep const& sweep,
                         std::vector<double> const& nic_shares) {
    auto const routing = name_of(fabric.routing());
    if (nic_shares.empty()) {
        return fmt::format(
            "; routing {}, folded, at the stated {:.0f} % of line rate where "
            "several switches are crossed{}",
            routing, 100 * fabric.routing_factor(),
            fabric.routing() == Routing::ecmp ? ", the mean of a leaf's hashed flows (a ring waits "
                                                "for the slowest: --fidelity steps)"
                                              : "");
    }
    return fmt::format(
        "; routing {}, unfolded: flows hashed by seed {}, the slowest keeps {:.0f} % "
        "of its NIC",
        routing, sweep.seed, 100 * *std::ranges::min_element(nic_shares));
}

/// Whose software joins the domains; a cluster's Ethernet is taken for RDMA over it.
std::string software_note(Fabric const& fabric, Profile const& profile) {
    if (!profile.collectives || profile.collectives->network.fabric.empty()) return "";
    auto const& name = profile.collectives->network.fabric;
    bool const ethernet = fabric.cluster().network.kind == NetworkKind::ethernet && name == "roce";
    return fmt::format(", fabric {}{}", name,
                       ethernet ? " (RDMA over the cluster's Ethernet)" : "");
}

/// A bus bandwidth above what a GPU's links carry looks like a mistake, and is none.
void note_switch_sums(SweepAnswer& answer) {
    auto const& shape = answer.shape;
    double const links = shape.in_domain.count / 1e9;
    for (auto const& row : answer.rows) {
        if (!(links > 0) || row.busbw <= links || is_exchange(answer.sweep)) continue;
        auto const branch =
            std::ranges::find(collective_algorithms(), row.algorithm, &AlgorithmRow::name)->branch;
        double const carried =
            link_load(branch, answer.sweep.op, row.size, shape).nvlink / to_seconds(row.time) / 1e9;
        answer.notes.push_back(
            fmt::format("busbw above the {:.0f} GB/s of a GPU's links: busbw counts 2(n-1)/n "
                        "buffers, and a GPU sends 1 + 1/n where switches sum; its links carry "
                        "{:.0f} GB/s at {} bytes",
                        links, carried, row.size.count));
        return;
    }
}

std::string time_text(double us) {
    if (us >= 10000) return fmt::format("{:7.0f}", us);
    return us >= 100 ? fmt::format("{:7.1f}", us) : fmt::format("{:7.2f}", us);
}

}  // namespace

Bytes parse_test_size(std::string_view option, std::string const& text) {
    double value = 0;
    auto const read = std::from_chars(text.data(), text.data() + text.size(), value);
    std::string unit(read.ptr, text.data() + text.size());
    if (unit.size() == 2 && (unit[1] == 'B' || unit[1] == 'b')) unit.pop_back();
    double scale = 0;
    if (unit.empty()) scale = 1;
    if (unit == "K" || unit == "k") scale = 0x1p10;
    if (unit == "M" || unit == "m") scale = 0x1p20;
    if (unit == "G" || unit == "g") scale = 0x1p30;
    if (unit == "T" || unit == "t") scale = 0x1p40;
    if (read.ec != std::errc{} || !(scale > 0) || !(value >= 0) || !(value * scale < 0x1p60)) {
        throw ConfigError(
            fmt::format("{}: '{}' (expected bytes such as 8, 512M or 8G, binary)", option, text));
    }
    return Bytes{static_cast<std::int64_t>(value * scale)};
}

TestType parse_test_type(std::string const& text) {
    std::vector<std::string> names;
    for (auto const& type : types) {
        if (text == type.name || (!type.alias.empty() && text == type.alias)) {
            return {std::string(type.name), type.bytes};
        }
        names.emplace_back(type.name);
    }
    auto const near = nearest_name(text, names);
    throw ConfigError(fmt::format("--datatype: unknown '{}' ({}expected {})", text,
                                  near.empty() ? "" : fmt::format("did you mean {}? ", near),
                                  join(names, " | ")));
}

SweepAnswer run_sweep(CollectiveSweep const& sweep, Profile const& profile, Fabric const& fabric) {
    if (fabric.gpus() < 2) throw ConfigError("--gpus: 1 (expected at least 2 for a collective)");
    SweepAnswer answer{
        sweep, fabric.cluster().name, fabric.gpu().title, fabric.shape_of(0, 1, fabric.gpus()), {},
        {}};
    std::int64_t const ranks = answer.shape.ranks;
    bool const hashed =
        sweep.steps && answer.shape.network_tiers > 1 && fabric.routing() == Routing::ecmp;
    auto const nic_shares =
        hashed ? ring_ecmp_shares(fabric, answer.shape, sweep.seed) : std::vector<double>{};
    Bytes left_out;
    std::set<std::int64_t> seen;
    for (Bytes const asked : sizes_of(sweep)) {
        std::int64_t const count = count_of(sweep, asked, ranks);
        if (count == 0) {
            left_out = asked;
            continue;
        }
        bool const parts = counts_parts(sweep.op) && !sweep.moe;
        Bytes const size{count * sweep.type.bytes * (parts ? ranks : 1)};
        if (!seen.insert(size.count).second) continue;  // rounded down to one that is there
        answer.rows.push_back(row_of(sweep, profile, answer.shape, nic_shares, size, count));
    }
    if (answer.rows.empty()) {
        throw ConfigError(
            fmt::format("-e: {} bytes leave nothing for each of {} ranks (expected more)",
                        sweep.end.count, ranks));
    }
    if (left_out.count > 0) {
        answer.notes.push_back(fmt::format("sizes to {} left out: under {} bytes a rank",
                                           left_out.count,
                                           counts_parts(sweep.op) ? 16 : sweep.type.bytes));
    }
    if (sweep.steps && sweep.algorithm.empty()) {
        answer.notes.emplace_back(
            "fidelity steps: every size as a ring of single sends, the one algorithm that is "
            "unfolded, whatever the tuner would take (--fidelity activity shows its choice)");
    }
    note_rows(answer);
    note_slow_choices(answer, profile);
    note_steps(answer);
    note_switch_sums(answer);
    if (sweep.moe) {
        answer.notes.push_back(
            fmt::format("a token goes to {:.2f} GPUs of {} and {:.2f} NVLink domains of {}; sizes "
                        "are one GPU's "
                        "tokens, busbw the links of the busiest GPU",
                        distinct_parts(*sweep.moe, static_cast<int>(ranks)), ranks,
                        distinct_parts(*sweep.moe, static_cast<int>(answer.shape.domains)),
                        answer.shape.domains));
    }
    if (sweep.explain && !is_exchange(sweep)) note_candidates(answer, profile);
    auto const& unit = fabric.cluster().unit;
    if (fabric.cluster().threads()) {
        answer.notes.emplace_back("threads of this host, in its memory");
    } else if (answer.shape.domains == 1) {
        answer.notes.push_back(
            fmt::format("stays inside the {}: one NVLink domain of {} GPUs; NICs, routing, "
                        "oversubscription and more {} change nothing here",
                        unit, fabric.gpus_per_domain(), unit == "box" ? "boxes" : unit + "s"));
    } else {
        answer.notes.push_back(fmt::format("spans {} NVLink domains, {} GPUs of the fullest{}{}",
                                           answer.shape.domains, answer.shape.ranks_per_domain,
                                           software_note(fabric, profile),
                                           routing_note(fabric, sweep, nic_shares)));
    }
    return answer;
}

std::string nccl_tests_text(SweepAnswer const& answer) {
    auto const& sweep = answer.sweep;
    std::string text = fmt::format(
        "# nvl72sim: predicted, in the columns of nccl-tests; in-place is predicted as "
        "out-of-place\n"
        "# nThread 1 nGpus 1 minBytes {} maxBytes {} step: {} warmup iters: 0 iters: 1 agg iters: "
        "1 "
        "validation: 0 graph: 0\n#\n# Using devices\n#  Ranks 0 to {} on {}: {}\n#\n",
        sweep.begin.count, sweep.end.count,
        sweep.step.count > 0 ? fmt::format("{}(bytes)", sweep.step.count)
                             : fmt::format("{}(factor)", sweep.factor),
        answer.shape.ranks - 1, answer.cluster, answer.gpu);
    text +=
        "#                                                              out-of-place               "
        " "
        "       in-place          \n"
        "#       size         count      type   redop    root     time   algbw   busbw #wrong     "
        "time   algbw   busbw #wrong\n"
        "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            "
        "(us)  (GB/s)  (GB/s)       \n";
    double sum = 0;
    for (auto const& row : answer.rows) {
        std::string const set =
            fmt::format("  {}  {:6.2f}  {:6.2f}    N/A", time_text(to_microseconds(row.time)),
                        row.algbw, row.busbw);
        text += fmt::format("{:12}  {:12}  {:>8}  {:>6}  {:6}{}{}\n", row.size.count, row.count,
                            sweep.type.name, reduction(sweep.op), root(sweep.op), set, set);
        sum += row.busbw;
    }
    text += fmt::format("# Out of bounds values : 0 OK\n# Avg bus bandwidth    : {:g}\n#\n",
                        sum / static_cast<double>(answer.rows.size()));
    for (auto const& note : answer.notes) text += fmt::format("# {}\n", note);
    return text;
}

Table table_of(SweepAnswer const& answer) {
    std::vector<Column> columns{{"size_bytes", "size", 0, "B"},
                                {"count", "count", 0},
                                {"type", "type"},
                                {"redop", "redop"},
                                {"root", "root", 0},
                                {"time_us", "time", 2, "us"},
                                {"algbw_GBps", "algbw", 2, "GB/s"},
                                {"busbw_GBps", "busbw", 2, "GB/s"},
                                {"algorithm", "algorithm"},
                                {"basis", "basis"},
                                {"p10_us", "p10", 2, "us"},
                                {"p90_us", "p90", 2, "us"},
                                {"bound_by", "bound by"}};
    if (answer.sweep.steps) {
        columns.push_back({"activity_us", "activity of the same links", 2, "us"});
        columns.push_back({"calibrated_us", "calibrated", 2, "us"});
    }
    Table table(std::move(columns));
    for (auto const& row : answer.rows) {
        std::string basis = name_of(row.basis.kind);
        if (!row.basis.why.empty()) basis += fmt::format(" ({})", row.basis.why);
        double const us = to_microseconds(row.time);
        auto const at = [&](double factor) {
            return row.spread.known() ? Cell{us * factor} : Cell{};
        };
        std::vector<Cell> cells{row.size.count,
                                row.count,
                                answer.sweep.type.name,
                                std::string(reduction(answer.sweep.op)),
                                static_cast<std::int64_t>(root(answer.sweep.op)),
                                us,
                                row.algbw,
                                row.busbw,
                                row.algorithm,
                                basis,
                                at(row.spread.low),
                                at(row.spread.high),
                                row.bound_by};
        if (row.beside) {
            cells.emplace_back(to_microseconds(row.beside->activity));
            cells.emplace_back(to_microseconds(row.beside->calibrated));
        }
        table.add(std::move(cells));
    }
    return table;
}

}  // namespace nvl72
