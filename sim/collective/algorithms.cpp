#include "sim/collective/algorithms.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/collective/tuner.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <vector>

namespace nvl72 {

namespace {

std::string not_for(CollectiveOp op, std::string_view name) {
    return fmt::format("{} does no {}", name, name_of(op));
}

/// "" when the fabric between the domains runs the protocol.
std::string protocol_obstacle(Choice const& choice, std::string_view protocol) {
    auto const& network = choice.section().network;
    if (choice.shape.domains == 1 || network.protocols.empty()) return "";
    if (std::ranges::find(network.protocols, protocol) != network.protocols.end()) return "";
    return fmt::format("fabric {} runs only {}", network.fabric, join(network.protocols));
}

constexpr char ll[] = "ll";
constexpr char ll128[] = "ll128";
constexpr char simple[] = "simple";

template <char const* protocol>
std::string ring_obstacle(Choice const& choice) {
    bool const rings = choice.op != CollectiveOp::alltoall && choice.op != CollectiveOp::sendrecv;
    return rings ? protocol_obstacle(choice, protocol) : not_for(choice.op, "a ring");
}

template <char const* protocol>
std::string tree_obstacle(Choice const& choice) {
    if (choice.op != CollectiveOp::all_reduce) return not_for(choice.op, "a tree");
    if (choice.shape.domains == 1) return "a tree needs more than one NVLink domain";
    return protocol_obstacle(choice, protocol);
}

std::string pat_obstacle(Choice const& choice) {
    if (choice.op != CollectiveOp::all_gather && choice.op != CollectiveOp::reduce_scatter) {
        return not_for(choice.op, "pat");
    }
    if (choice.shape.domains == 1) return "pat needs more than one NVLink domain";
    if (choice.shape.ranks_per_domain > 1) return "pat needs one rank in every NVLink domain";
    return protocol_obstacle(choice, simple);
}

std::string nvls_obstacle(Choice const& choice) {
    if (choice.op != CollectiveOp::all_reduce && choice.op != CollectiveOp::all_gather &&
        choice.op != CollectiveOp::reduce_scatter) {
        return not_for(choice.op, "nvls");
    }
    if (!choice.section().nvls) return "this GPU's NVLink switches reduce nothing";
    if (choice.shape.planes == 0)
        return "nvls needs NVLink switches, and the GPUs are wired directly";
    if (choice.bytes_per_element == 1 && choice.op != CollectiveOp::all_gather) {
        return "the NVLink switches reduce no 1-byte type";
    }
    if (choice.shape.domains > 1) {
        return fmt::format("nvls stays inside one NVLink domain, and the group spans {}",
                           choice.shape.domains);
    }
    return "";
}

/// NVLS in each domain, something else between them.
std::string switched_obstacle(Choice const& choice, std::string_view name) {
    if (choice.op != CollectiveOp::all_reduce) return not_for(choice.op, name);
    if (choice.shape.domains == 1) {
        return fmt::format("{} needs more than one NVLink domain", name);
    }
    if (choice.shape.ranks_per_domain == 1) {
        return fmt::format("{} needs several ranks in an NVLink domain", name);
    }
    if (!choice.section().nvls) return "this GPU's NVLink switches reduce nothing";
    if (choice.shape.planes == 0) {
        return fmt::format("{} needs NVLink switches, and the GPUs are wired directly", name);
    }
    if (choice.bytes_per_element == 1) return "the NVLink switches reduce no 1-byte type";
    if (!choice.section().network.nvls) {
        return fmt::format("fabric {} runs without NVLS", choice.section().network.fabric);
    }
    return protocol_obstacle(choice, simple);
}
std::string hierarchical_obstacle(Choice const& choice) {
    return switched_obstacle(choice, "hierarchical");
}
std::string collnet_obstacle(Choice const& choice) { return switched_obstacle(choice, "collnet"); }

std::string symmetric_obstacle(Choice const& choice) {
    if (choice.launch.mode != LaunchMode::symmetric) {
        return "symmetric needs symmetric buffers (--launch symmetric)";
    }
    if (choice.op != CollectiveOp::all_reduce) return not_for(choice.op, "symmetric");
    if (!choice.section().symmetric) return "symmetric was not measured on this GPU";
    return nvls_obstacle(choice);
}

std::string alltoall_obstacle(Choice const& choice) {
    return choice.op == CollectiveOp::alltoall ? "" : not_for(choice.op, "alltoall");
}

std::string sendrecv_obstacle(Choice const& choice) {
    return choice.op == CollectiveOp::sendrecv ? "" : not_for(choice.op, "sendrecv");
}

template <CollectiveAlgorithm algorithm>
std::string microkernel_obstacle(Choice const& choice) {
    auto const name = name_of(algorithm);
    if (!microkernel_does(algorithm, choice.op)) return not_for(choice.op, name);
    if (find_branch(*choice.profile.microkernels, choice.op, algorithm) == nullptr) {
        return fmt::format("{} was not measured for {}", name, name_of(choice.op));
    }
    if (choice.shape.domains > 1) {
        return fmt::format("{} stays inside one domain, and the group spans {}", name,
                           choice.shape.domains);
    }
    return "";
}

bool always(Choice const&) { return true; }
/// Our own kernels stand in where the profile has none of NCCL's branches.
bool without_nccl(Choice const& choice) { return !choice.profile.collectives; }
/// all_gather and reduce_scatter take NVLS only with registered buffers.
bool for_all_reduce(Choice const& choice) { return choice.op == CollectiveOp::all_reduce; }
/// NCCL takes the network's switches where they sum.
bool where_sharp(Choice const& choice) { return choice.section().network.sharp; }
/// What it takes for symmetric buffers it takes before all others.
double symmetric_first(Choice const&) { return 0; }

template <CollectiveAlgorithm algorithm>
constexpr AlgorithmRow microkernel(std::string_view summary) {
    return {EnumNames<CollectiveAlgorithm>::words[static_cast<std::size_t>(algorithm)],
            "microkernel",
            summary,
            algorithm,
            microkernel_obstacle<algorithm>,
            nullptr,
            without_nccl};
}

using A = CollectiveAlgorithm;
constexpr std::array rows{
    AlgorithmRow{"ring-ll", "ring", "ring, low-latency protocol", CollectiveAlgorithm::ring_ll,
                 ring_obstacle<ll>, tuner_ring_ll, always},
    AlgorithmRow{"ring-ll128", "ring", "ring, 120 payload bytes in 128",
                 CollectiveAlgorithm::ring_ll128, ring_obstacle<ll128>, tuner_ring_ll128, always},
    AlgorithmRow{"ring-simple", "ring", "ring, large chunks", CollectiveAlgorithm::ring_simple,
                 ring_obstacle<simple>, tuner_ring_simple, always},
    AlgorithmRow{"nvls", "nvls", "multicast and reduction in the NVLink switches",
                 CollectiveAlgorithm::nvls, nvls_obstacle, tuner_nvls, for_all_reduce},
    AlgorithmRow{"hierarchical", "hierarchical",
                 "NVLS in each domain, a double binary tree over the rails (NCCL's NVLSTree)",
                 CollectiveAlgorithm::hierarchical, hierarchical_obstacle, tuner_hierarchical,
                 always},
    AlgorithmRow{"alltoall-ll", "alltoall", "a send to each peer, low-latency protocol",
                 CollectiveAlgorithm::alltoall_ll, alltoall_obstacle, nullptr, always},
    AlgorithmRow{"alltoall-simple", "alltoall", "a send to each peer, large chunks",
                 CollectiveAlgorithm::alltoall_simple, alltoall_obstacle, nullptr, always},
    AlgorithmRow{"sendrecv", "sendrecv", "each rank sends to the next",
                 CollectiveAlgorithm::sendrecv, sendrecv_obstacle, nullptr, always},
    AlgorithmRow{"tree-ll", "tree", "double binary tree over domains, low-latency protocol",
                 CollectiveAlgorithm::tree_ll, tree_obstacle<ll>, tuner_tree_ll, always},
    AlgorithmRow{"tree-ll128", "tree", "double binary tree, 120 payload bytes in 128",
                 CollectiveAlgorithm::tree_ll128, tree_obstacle<ll128>, tuner_tree_ll128, always},
    AlgorithmRow{"tree-simple", "tree", "double binary tree, large chunks",
                 CollectiveAlgorithm::tree_simple, tree_obstacle<simple>, tuner_tree_simple,
                 always},
    AlgorithmRow{"pat", "pat", "parallel trees of all_gather, one rank a domain",
                 CollectiveAlgorithm::pat, pat_obstacle, tuner_pat, always},
    AlgorithmRow{"collnet", "collnet", "NVLS in each domain, the network's switches sum (SHARP)",
                 CollectiveAlgorithm::collnet, collnet_obstacle, tuner_collnet, where_sharp},
    AlgorithmRow{"symmetric", "symmetric", "NCCL's kernels for symmetric buffers",
                 CollectiveAlgorithm::symmetric, symmetric_obstacle, symmetric_first, always},
    microkernel<A::micro_ring_ll>("our ring, words of data and flag"),
    microkernel<A::ring_bulk>("our ring, messages then a flag"),
    microkernel<A::one_shot_ll>("everyone sends all to everyone, words of data and flag"),
    microkernel<A::one_shot_bulk>("everyone sends all to everyone, messages then a flag"),
    microkernel<A::two_shot_ll>("reduce-scatter, then all-gather, words of data and flag"),
    microkernel<A::two_shot_bulk>("reduce-scatter, then all-gather, messages then a flag"),
    microkernel<A::direct_ll>("a part to each peer, words of data and flag"),
    microkernel<A::direct_bulk>("a part to each peer, messages then a flag"),
    microkernel<A::chain_ll>("from rank to rank, words of data and flag"),
    microkernel<A::chain_bulk>("from rank to rank, messages then a flag"),
    microkernel<A::pingpong_ll>("to the next rank, words of data and flag"),
    microkernel<A::pingpong_bulk>("to the next rank, messages then a flag"),
    microkernel<A::nvls_multicast>("our sum in the NVLink switches (multimem)"),
};

constexpr bool rows_follow_the_enum() {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i].branch != static_cast<CollectiveAlgorithm>(i)) return false;
        if (rows[i].name != EnumNames<CollectiveAlgorithm>::words[i]) return false;
    }
    return rows.size() == EnumNames<CollectiveAlgorithm>::words.size();
}
static_assert(rows_follow_the_enum(), "Collective::algorithm is both row and branch");

Collective query_of(Choice const& choice, CollectiveAlgorithm branch) {
    return {choice.op,    static_cast<std::uint8_t>(branch),
            choice.size,  choice.bytes_per_element,
            choice.shape, choice.launch};
}

/// The quickest of the candidates: by the tuner's estimate where all have one, as NCCL chooses,
/// else by their calibrated time.
AlgorithmRow const& quickest(Choice const& choice, std::vector<AlgorithmRow const*> const& rows) {
    bool const estimated =
        std::ranges::all_of(rows, [](auto const* row) { return row->estimate != nullptr; });
    AlgorithmRow const* best = nullptr;
    double best_time = std::numeric_limits<double>::infinity();
    for (AlgorithmRow const* row : rows) {
        double const time =
            estimated
                ? row->estimate(choice)
                : to_seconds(cost(choice.profile, query_of(choice, row->branch), Load::burst).time);
        if (time < best_time) {
            best = row;
            best_time = time;
        }
    }
    if (best == nullptr) {
        throw ConfigError(
            fmt::format("the calibration of {} prices no {} on this wiring (expected "
                        "the calibration of the cluster's own GPU)",
                        choice.profile.gpu, name_of(choice.op)));
    }
    return *best;
}

/// "" when the profile can price the row and the row can run, else why not.
std::string obstacle_of(AlgorithmRow const& row, Choice const& choice) {
    auto const& profile = choice.profile;
    bool const ours = is_microkernel(row.branch);
    if (ours ? !profile.microkernels : !profile.collectives) {
        return fmt::format("the calibration of {} has no {}", profile.gpu,
                           ours ? "microkernels" : "NCCL branches");
    }
    return row.obstacle(choice);
}

[[noreturn]] void fail_unknown_algorithm(std::string_view text) {
    std::vector<std::string> names;
    for (auto const& row : rows) {
        names.emplace_back(row.name);
        if (std::ranges::find(names, row.family) == names.end()) {
            names.emplace_back(row.family);
        }
    }
    auto const near = nearest_name(text, names);
    throw ConfigError(fmt::format("--algorithm: unknown '{}' ({}expected {})", text,
                                  near.empty() ? "" : fmt::format("did you mean {}? ", near),
                                  join(names, " | ")));
}

AlgorithmRow const& choose(Choice const& choice, std::string_view forced) {
    std::vector<AlgorithmRow const*> candidates;
    std::string obstacle;
    bool known = false;
    for (auto const& row : rows) {
        if (!forced.empty() && forced != row.name && forced != row.family) continue;
        known = true;
        std::string const why = obstacle_of(row, choice);
        if (!why.empty()) {
            obstacle = why;
        } else if (!forced.empty() || row.by_default(choice)) {
            candidates.push_back(&row);
        }
    }
    if (!known) fail_unknown_algorithm(forced);
    if (candidates.empty()) {
        std::vector<std::string> possible;
        for (auto const& row : rows) {
            if (obstacle_of(row, choice).empty()) possible.emplace_back(row.name);
        }
        auto const expected = possible.empty() ? "another operation" : join(possible, " | ");
        if (forced.empty()) {
            throw ConfigError(fmt::format("the calibration of {} prices no {} here (expected {})",
                                          choice.profile.gpu, name_of(choice.op), expected));
        }
        throw ConfigError(fmt::format("algorithm {} cannot run {} here: {} (expected {})", forced,
                                      name_of(choice.op), obstacle, expected));
    }
    return quickest(choice, candidates);
}

}  // namespace

std::span<AlgorithmRow const> collective_algorithms() { return rows; }

CollectivePlan plan_collective(Profile const& profile,
                               CollectiveOp op,
                               Bytes size,
                               GroupShape const& shape,
                               int bytes_per_element,
                               std::string_view forced,
                               Launch launch) {
    if (!profile.collectives && !profile.microkernels) {
        throw ConfigError("the calibration of " + profile.gpu +
                          " has no collectives (expected a section collectives or microkernels)");
    }
    NVL72_EXPECT(shape.ranks >= 2 && size.count > 0, "a collective has ranks and bytes");
    Choice const choice{profile, op, size, shape, bytes_per_element, launch};
    AlgorithmRow const& row = choose(choice, forced);
    return {query_of(choice, row.branch), link_load(row.branch, op, size, shape),
            is_microkernel(row.branch) ? 0 : collective_sms(*profile.collectives, row.branch)};
}

std::vector<CollectiveCandidate> collective_candidates(Profile const& profile,
                                                       CollectivePlan const& plan) {
    auto const& query = plan.query;
    Choice const choice{profile,     query.op, query.size, query.shape, query.bytes_per_element,
                        query.launch};
    std::vector<CollectiveCandidate> candidates;
    for (auto const& row : rows) {
        if (is_microkernel(row.branch) && !profile.microkernels) continue;
        CollectiveCandidate candidate;
        candidate.row = &row;
        candidate.chosen = row.branch == algorithm_of(query);
        candidate.obstacle = obstacle_of(row, choice);
        if (candidate.obstacle.empty()) {
            if (row.estimate != nullptr) candidate.estimate = row.estimate(choice);
            candidate.cost = cost(profile, query_of(choice, row.branch), Load::burst);
            if (!row.by_default(choice)) candidate.obstacle = "only when asked for";
        }
        candidates.push_back(std::move(candidate));
    }
    return candidates;
}

CollectiveOp parse_collective_op(std::string_view text) {
    std::string word;
    for (char const c : text) {
        if (c == '-' || c == '_' || c == ' ') continue;
        word += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    if (word.ends_with("perf")) word.resize(word.size() - 4);
    auto const names = ValueType<CollectiveOp>::words();
    for (std::size_t i = 0; i < names.size(); ++i) {
        std::string plain = names[i];
        std::erase(plain, '_');
        if (word == plain) return static_cast<CollectiveOp>(i);
    }
    if (word == "a2a") return CollectiveOp::alltoall;
    auto const near = nearest_name(text, names);
    throw ConfigError(fmt::format("--op: unknown collective '{}' ({}expected {})", text,
                                  near.empty() ? "" : fmt::format("did you mean {}? ", near),
                                  join(names, " | ")));
}

double bus_factor(CollectiveOp op, std::int64_t ranks) {
    double const once = static_cast<double>(ranks - 1) / static_cast<double>(ranks);
    switch (op) {
        case CollectiveOp::all_reduce: return 2 * once;
        case CollectiveOp::all_gather:
        case CollectiveOp::reduce_scatter:
        case CollectiveOp::alltoall: return once;
        case CollectiveOp::broadcast:
        case CollectiveOp::sendrecv: return 1;
    }
    NVL72_EXPECT(false, "every operation has a bus factor");
    return 0;
}

}  // namespace nvl72
