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

std::string ring_obstacle(Choice const& choice) {
    bool const rings = choice.op != CollectiveOp::alltoall && choice.op != CollectiveOp::sendrecv;
    return rings ? "" : not_for(choice.op, "a ring");
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

std::string hierarchical_obstacle(Choice const& choice) {
    if (choice.op != CollectiveOp::all_reduce) return not_for(choice.op, "hierarchical");
    if (choice.shape.domains == 1) return "hierarchical needs more than one NVLink domain";
    if (choice.shape.ranks_per_domain == 1) {
        return "hierarchical needs several ranks in an NVLink domain";
    }
    if (!choice.section().nvls) return "this GPU's NVLink switches reduce nothing";
    if (choice.shape.planes == 0) {
        return "hierarchical needs NVLink switches, and the GPUs are wired directly";
    }
    if (choice.bytes_per_element == 1) return "the NVLink switches reduce no 1-byte type";
    return "";
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
                 ring_obstacle, tuner_ring_ll, always},
    AlgorithmRow{"ring-ll128", "ring", "ring, 120 payload bytes in 128",
                 CollectiveAlgorithm::ring_ll128, ring_obstacle, tuner_ring_ll128, always},
    AlgorithmRow{"ring-simple", "ring", "ring, large chunks", CollectiveAlgorithm::ring_simple,
                 ring_obstacle, tuner_ring_simple, always},
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
    return {choice.op, static_cast<std::uint8_t>(branch), choice.size, choice.bytes_per_element,
            choice.shape};
}

/// The quickest of the candidates: by the tuner's estimate where all have one, as NCCL chooses,
/// else by their calibrated time. Below what the constants across domains were fitted to, the
/// estimate would take the tree, whose fitted start-up is a large buffer's, where it loses to a
/// ring.
AlgorithmRow const& quickest(Choice const& choice, std::vector<AlgorithmRow const*> const& rows) {
    bool const fitted = choice.shape.domains == 1 || choice.size >= network_fitted_from;
    bool const estimated =
        fitted && std::ranges::all_of(rows, [](auto const* row) { return row->estimate; });
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
                               std::string_view forced) {
    if (!profile.collectives && !profile.microkernels) {
        throw ConfigError("the calibration of " + profile.gpu +
                          " has no collectives (expected a section collectives or microkernels)");
    }
    NVL72_EXPECT(shape.ranks >= 2 && size.count > 0, "a collective has ranks and bytes");
    Choice const choice{profile, op, size, shape, bytes_per_element};
    AlgorithmRow const& row = choose(choice, forced);
    return {query_of(choice, row.branch), link_load(row.branch, op, size, shape),
            is_microkernel(row.branch) ? 0 : collective_sms(*profile.collectives, row.branch)};
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
