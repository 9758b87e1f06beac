#include "sim/study/compare_profile.hpp"

#include "sim/base/error.hpp"
#include "sim/collective/collective.hpp"
#include "sim/cost/profile.hpp"
#include "sim/study/fit_microkernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <tuple>

namespace nvl72 {

namespace {

/// A profile that states no spread is judged by this.
///   source  assumed: two quiet runs of one machine differ by less; a spread in the profile
///   replaces
///           it
constexpr Spread spread_assumed{0.9, 1.1};

enum class SizeRange : std::uint8_t { none, small, middle, large };
constexpr std::array range_words{"", "below 1 MiB", "1 to 8 MiB", "8 MiB and up"};

SizeRange range_of(Bytes size) {
    if (size.count < (std::int64_t{1} << 20)) return SizeRange::small;
    return size.count < (std::int64_t{8} << 20) ? SizeRange::middle : SizeRange::large;
}

/// Rows judged together.
struct PartKey {
    std::string part, op;
    SizeRange range = SizeRange::none;
    friend auto operator<=>(PartKey const&, PartKey const&) = default;
};

/// What the rows of a part say.
struct Judged {
    std::vector<double> ratios;     ///< measured over predicted
    std::vector<double> over_ring;  ///< measured over the time of the large ring, all_reduce only
    Spread expected;
    std::size_t inside = 0;  ///< of the ratios

    void add(double ratio, Spread const& interval) {
        ratios.push_back(ratio);
        expected = interval;
        inside += interval.low <= ratio && ratio <= interval.high ? 1 : 0;
    }
};

/// What a difference may mean: the first rule that holds of a part that differs.
struct Rule {
    bool (*holds)(PartKey const&, Judged const&, double ratio);
    std::string_view meaning;
};

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::ranges::sort(values);
    return values[(values.size() - 1) / 2];
}

bool collective(PartKey const& key) { return !key.op.empty(); }

constexpr std::array rules{
    Rule{[](PartKey const& key, Judged const&, double ratio) {
             return key.part.starts_with("microkernels ") && ratio > 1;
         },
         "other work on the machine, or lower clocks; measure again when it is quiet"},
    Rule{[](PartKey const& key, Judged const&, double) {
             return key.part.starts_with("microkernels ");
         },
         "the profile was measured on a busier machine, or at lower clocks"},
    Rule{[](PartKey const& key, Judged const&, double) { return key.range == SizeRange::small; },
         "launch mode: eager, graph and one process a GPU differ below 1 MiB; compare equal with "
         "equal"},
    Rule{[](PartKey const& key, Judged const& judged, double ratio) {
             double const over_ring = median(judged.over_ring);
             return key.op == "all_reduce" && key.range == SizeRange::large && ratio > 1.15 &&
                    over_ring > 0.7 && over_ring < 1.3;
         },
         "NVLS is off: it runs at the ring's rate (NCCL_NVLS_ENABLE, fabric manager, IMEX)"},
    Rule{[](PartKey const& key, Judged const&, double ratio) {
             return collective(key) && key.part.ends_with(" across") && ratio > 1;
         },
         "between domains: fewer or slower NICs than the cluster's, or a fabric without adaptive "
         "routing"},
    Rule{[](PartKey const& key, Judged const&, double ratio) {
             return collective(key) && key.range == SizeRange::large && ratio > 1;
         },
         "a degraded link (nvidia-smi nvlink -s), fewer channels, or GPUs of another power limit"},
    Rule{[](PartKey const& key, Judged const&, double ratio) {
             return collective(key) && key.range == SizeRange::middle && ratio > 1;
         },
         "another branch: NCCL's tuner chose otherwise (NCCL_ALGO, NCCL_PROTO, a tuner plugin)"},
    Rule{[](PartKey const& key, Judged const&, double) { return collective(key); },
         "another release of NCCL, or symmetric memory"},
    Rule{[](PartKey const& key, Judged const&, double ratio) {
             return !collective(key) && ratio > 1;
         },
         "lower clocks: a power or heat limit, or an older library"},
    Rule{[](PartKey const&, Judged const&, double) { return true; },
         "higher clocks or a newer library than the profile's"},
};

using Parts = std::map<PartKey, Judged>;

void add_kernels(Parts& parts, MeasuredData const& data, Profile const& profile) {
    for (auto const& sample : data.samples) {
        Cost const predicted = cost(profile, sample.query, Load::burst);
        auto& judged = parts[{part_of(sample.query), "", SizeRange::none}];
        judged.add(sample.seconds / to_seconds(predicted.time),
                   spread_of(profile, sample.query, BasisKind::interpolated));
    }
}

/// Returns the rows of algorithms that the profile has not.
std::size_t add_collectives(Parts& parts, MeasuredData const& data, Profile const& profile) {
    std::size_t unpriced = 0;
    for (auto const& sample : data.collectives) {
        if (sample.gpu != data.gpu) continue;
        if (sample.algorithm == "nvls" && profile.collectives && !profile.collectives->nvls) {
            ++unpriced;
            continue;
        }
        auto shape = sample.query.shape;
        if (profile.collectives) shape.in_domain = profile.collectives->nvlink;
        auto const plan = [&](std::string_view forced) {
            return plan_collective(profile, sample.query.op, sample.query.size, shape,
                                   sample.query.bytes_per_element, forced)
                .query;
        };
        auto const query = plan(sample.algorithm);
        PartKey const key{part_of(query), name_of(query.op), range_of(query.size)};
        auto& judged = parts[key];
        judged.add(sample.seconds / to_seconds(cost(profile, query, Load::burst).time),
                   spread_of(profile, query, BasisKind::interpolated));
        if (query.op == CollectiveOp::all_reduce && sample.algorithm.empty()) {
            judged.over_ring.push_back(
                sample.seconds / to_seconds(cost(profile, plan("ring-simple"), Load::burst).time));
        }
    }
    return unpriced;
}

/// Thrust's copy, fill and reduction.
void add_memory(Parts& parts, MeasuredData const& data, Profile const& profile) {
    if (!profile.memory) return;
    for (auto const& sample : data.memory) {
        MemoryTraffic const query{Bytes{sample.traffic_bytes}, 1};
        auto& judged = parts[{"memory", "", SizeRange::none}];
        judged.add(sample.seconds / to_seconds(cost(profile, query, Load::burst).time),
                   spread_of(profile, query, BasisKind::interpolated));
    }
}

/// Our own kernels, where the profile has some.
void add_microkernels(Parts& parts, MeasuredData const& data, Profile const& profile) {
    if (!profile.microkernels) return;
    for (auto const& row : microkernel_rows(data.microkernels)) {
        auto const& query = row.query;
        if (find_branch(*profile.microkernels, query.op, algorithm_of(query)) == nullptr) continue;
        auto& judged = parts[{part_of(query), name_of(query.op), range_of(query.size)}];
        judged.add(row.seconds / to_seconds(cost(profile, query, Load::burst).time),
                   spread_of(profile, query, BasisKind::interpolated));
    }
}

ComparedPart judge(PartKey const& key, Judged const& judged) {
    auto sorted = judged.ratios;
    std::ranges::sort(sorted);
    auto const at = [&](std::size_t percent) {
        return sorted[(sorted.size() - 1) * percent / 100];
    };
    ComparedPart part{key.part,
                      key.op,
                      range_words.at(static_cast<std::size_t>(key.range)),
                      sorted.size(),
                      median(judged.ratios),
                      at(10),
                      at(90),
                      judged.expected,
                      false,
                      ""};
    Spread const expected = judged.expected.known() ? judged.expected : spread_assumed;
    part.differs = part.ratio < expected.low || part.ratio > expected.high;
    if (!part.differs) return part;
    auto const rule = std::ranges::find_if(
        rules, [&](Rule const& candidate) { return candidate.holds(key, judged, part.ratio); });
    part.reason = rule->meaning;
    return part;
}

/// Operations all of whose larger parts are slow by about the same share.
std::vector<std::string> constant_shares(std::vector<ComparedPart> const& parts) {
    constexpr double alike = 1.1;  // assumed: slowest over quickest part of a constant share
    std::map<std::string, std::vector<double>> by_op;
    for (auto const& part : parts) {
        if (part.op.empty() || part.sizes == range_words[1]) continue;
        if (part.part.starts_with("microkernels ")) continue;  // threads have no links
        by_op[part.op].push_back(part.differs ? part.ratio : 1);
    }
    std::vector<std::string> findings;
    for (auto const& [op, ratios] : by_op) {
        auto const [least, most] = std::ranges::minmax_element(ratios);
        if (ratios.size() < 2 || *least <= 1.05 || *most / *least > alike) continue;
        findings.push_back(
            fmt::format("{}: every part from 1 MiB takes {:.2f} to {:.2f} times as "
                        "long: a degraded link, or fewer NICs than the cluster's",
                        op, *least, *most));
    }
    return findings;
}

}  // namespace

ProfileComparison compare_profile(MeasuredData const& data,
                                  Library const& library,
                                  std::string const& name) {
    Profile const profile = load_profile(library, name, {"--compare", 0, ""});
    if (profile.gpu != data.gpu) {
        throw ConfigError(
            fmt::format("--compare: {} is written for {} (expected a profile of {}, "
                        "which was measured)",
                        name, profile.gpu, data.gpu));
    }
    Parts parts;
    add_kernels(parts, data, profile);
    add_memory(parts, data, profile);
    std::size_t const unpriced = add_collectives(parts, data, profile);
    add_microkernels(parts, data, profile);
    if (parts.empty()) {
        throw ConfigError(
            fmt::format("--compare: the measurements hold nothing that {} prices "
                        "(expected kernels, or collectives)",
                        name));
    }
    ProfileComparison comparison{name, {}, 0, 0, {}};
    std::vector<double> differences;
    std::size_t with_interval = 0, inside = 0;
    for (auto const& entry : parts) {
        if (entry.second.expected.known()) {
            with_interval += entry.second.ratios.size();
            inside += entry.second.inside;
        }
        for (double const ratio : entry.second.ratios)
            differences.push_back(std::abs(1 / ratio - 1));
        comparison.parts.push_back(judge(entry.first, entry.second));
    }
    comparison.rows = differences.size();
    comparison.difference = median(differences);
    comparison.findings = constant_shares(comparison.parts);
    if (unpriced > 0) {
        comparison.findings.push_back(
            fmt::format("{} rows by NVLS left aside: {} has none", unpriced, name));
    }
    if (with_interval > 0) {
        comparison.findings.push_back(fmt::format(
            "{:.0f} % of {} rows lie in the profile's 80 % intervals",
            100 * static_cast<double>(inside) / static_cast<double>(with_interval), with_interval));
    }
    auto const differing = std::ranges::count_if(comparison.parts, &ComparedPart::differs);
    comparison.findings.push_back(fmt::format(
        "{} of {} parts differ from {} by more than its spread; median difference of "
        "{} rows {:.1f} %",
        differing, comparison.parts.size(), name, comparison.rows, 100 * comparison.difference));
    return comparison;
}

Table table_of(ProfileComparison const& comparison) {
    Table table({{"part", "part"},
                 {"op", "operation"},
                 {"sizes", "sizes"},
                 {"rows", "rows"},
                 {"error_percent", "(predicted-measured)/measured", 1, "%"},
                 {"p10_percent", "p10", 1, "%"},
                 {"p90_percent", "p90", 1, "%"},
                 {"expected_low_percent", "expected from", 1, "%"},
                 {"expected_high_percent", "to", 1, "%"},
                 {"verdict", "verdict"},
                 {"reason", "may mean"}});
    for (auto const& part : comparison.parts) {
        Spread const expected = part.expected.known() ? part.expected : spread_assumed;
        std::string const verdict = !part.differs    ? "as the profile"
                                    : part.ratio > 1 ? "slower"
                                                     : "quicker";
        auto const error = [](double ratio) { return 100 * (1 / ratio - 1); };
        table.add({part.part, part.op, part.sizes, static_cast<std::int64_t>(part.rows),
                   error(part.ratio), error(part.high), error(part.low), error(expected.high),
                   error(expected.low), verdict, part.reason});
    }
    return table;
}

}  // namespace nvl72
