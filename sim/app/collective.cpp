#include "sim/app/command.hpp"
#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/collective/sweep.hpp"
#include "sim/cost/fabric_profile.hpp"
#include "sim/study/point.hpp"
#include "topology/fabric.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>

namespace nvl72 {
namespace {

namespace po = boost::program_options;

void describe(po::options_description& options) {
    options.add_options()  //
        ("cluster", po::value<std::string>(),
         "configs/clusters, or a path; KEY=VALUE words change it as under `cluster:` of an "
         "experiment: nvlink_domain=16, routing=ecmp, oversubscription=2, 'nic_line_rate=200 "
         "Gb/s', "
         "'faults.switch_trays=[rack 0 tray 1]'")(
            "op", po::value<std::string>(),
            "all_reduce | all_gather | reduce_scatter | alltoall | broadcast | sendrecv")(
            "gpus", po::value<std::int64_t>(), "the first N GPUs; default: all of one rack or box")(
            "algorithm", po::value<std::string>()->default_value(""),
            "ring | nvls | hierarchical ..., or one of its protocols; of alltoall also pairwise | "
            "hierarchical; default: as NCCL's tuner")(
            "begin,b", po::value<std::string>()->default_value("1M"), "smallest buffer")(
            "end,e", po::value<std::string>()->default_value("1G"), "largest buffer")(
            "factor,f", po::value<std::int64_t>(), "each buffer is this times the last; default 2")(
            "step,i", po::value<std::string>(), "or so many bytes more")(
            "datatype,d", po::value<std::string>()->default_value("float"),
            "as nccl-tests names it")("fidelity",
                                      po::value<std::string>()->default_value("activity"),
                                      "activity | steps (rings, as single sends)")(
            "launch", po::value<std::string>()->default_value("threads"),
            "threads (a thread or process a GPU) | eager (one thread for all GPUs of a box) | "
            "graph "
            "(the same, CUDA graphs) | symmetric (NCCL's kernels for symmetric buffers)")(
            "fabric", po::value<std::string>(),
            "between NVLink domains: configs/fabrics, or a path; default: as the cluster says")(
            "experts", po::value<std::int64_t>(),
            "of an alltoall that takes tokens to experts; sizes are then one GPU's tokens")(
            "top-k", po::value<std::int64_t>(), "experts of a token")(
            "zipf", po::value<double>(),
            "how uneven: expert i is asked for as 1/(i+1)^ZIPF; default 0, balanced")(
            "dedup", po::value<std::string>(),
            "none | gpu | domain: a token goes once to each expert, GPU (default), or NVLink "
            "domain")("explain", po::bool_switch(), "every algorithm as the tuner and we see it");
}

/// The choice behind --cluster, --gpus and KEY=VALUE words, keys as under `cluster:`.
ClusterChoice choice_of(po::variables_map const& options, std::vector<std::string> const& words) {
    auto const cluster = option<std::string>(options, "cluster");
    if (!cluster) {
        throw ConfigError("--cluster: missing (expected a name; see nvl72sim list clusters)");
    }
    Value root = named("--cluster", *cluster);
    for (std::string word : words) {
        if (word.starts_with("cluster.")) word.erase(0, 8);
        apply_override(root, word);
    }
    if (auto const gpus = option<std::int64_t>(options, "gpus")) {
        apply_override(root, fmt::format("gpus={}", *gpus));
    }
    return read_spec<ClusterChoice>(root, nullptr);
}

/// One thread launches for the GPUs of its box or tray.
Launch launch_of(po::variables_map const& options, Fabric const& fabric) {
    auto const mode = choice<LaunchMode>(options, "launch");
    if (mode == LaunchMode::unknown) {
        throw ConfigError("--launch: 'unknown' (expected threads | eager | graph | symmetric)");
    }
    bool const one_thread = mode == LaunchMode::eager || mode == LaunchMode::graph;
    auto const together = std::min<std::int64_t>(fabric.cluster().gpus_per_tray, fabric.gpus());
    return {mode, one_thread ? static_cast<int>(std::max<std::int64_t>(1, together)) : 1};
}

/// The routing behind --experts and --top-k; none where neither is given.
std::optional<MoeRouting> moe_of(po::variables_map const& options, CollectiveOp op) {
    auto const experts = option<std::int64_t>(options, "experts");
    auto const top_k = option<std::int64_t>(options, "top-k");
    if (!experts && !top_k) {
        for (char const* name : {"zipf", "dedup"}) {
            if (options.count(name) == 0) continue;
            throw ConfigError(
                fmt::format("--{}: without --experts (expected --experts and --top-k)", name));
        }
        return std::nullopt;
    }
    if (!experts || !top_k) throw ConfigError("--experts and --top-k: one missing (expected both)");
    if (op != CollectiveOp::alltoall) {
        throw ConfigError(fmt::format("--experts: of {} (expected --op alltoall)", name_of(op)));
    }
    constexpr std::int64_t most = 2048, most_of_a_token = 64;
    if (*experts < 1 || *experts > most) {
        throw ConfigError(fmt::format("--experts: {} (expected 1 to {})", *experts, most));
    }
    std::int64_t const top_most = std::min(*experts, most_of_a_token);
    if (*top_k < 1 || *top_k > top_most) {
        throw ConfigError(fmt::format("--top-k: {} (expected 1 to {})", *top_k, top_most));
    }
    return MoeRouting{static_cast<int>(*experts), static_cast<int>(*top_k),
                      option<double>(options, "zipf").value_or(0)};
}

CollectiveSweep sweep_of(po::variables_map const& options, Fabric const& fabric) {
    CollectiveSweep sweep;
    auto const op = option<std::string>(options, "op");
    if (!op) {
        throw ConfigError(fmt::format("--op: missing (expected {})",
                                      join(ValueType<CollectiveOp>::words(), " | ")));
    }
    sweep.op = parse_collective_op(*op);
    sweep.moe = moe_of(options, sweep.op);
    if (options.count("dedup") > 0) sweep.dedup = choice<MoeDedup>(options, "dedup");
    sweep.algorithm = options["algorithm"].as<std::string>();
    if (sweep.moe && !sweep.algorithm.empty()) {
        throw ConfigError(fmt::format(
            "--algorithm: {} with --experts (expected --dedup none | gpu | domain, which says how "
            "tokens travel)",
            sweep.algorithm));
    }
    sweep.begin = parse_test_size("-b", options["begin"].as<std::string>());
    sweep.end = parse_test_size("-e", options["end"].as<std::string>());
    sweep.factor = option<std::int64_t>(options, "factor").value_or(2);
    if (auto const step = option<std::string>(options, "step")) {
        if (options.count("factor") > 0) {
            throw ConfigError("-i and -f: both given (expected one of them)");
        }
        sweep.step = parse_test_size("-i", *step);
        if (sweep.step.count < 1) throw ConfigError("-i: 0 (expected at least 1 byte)");
    }
    sweep.type = parse_test_type(options["datatype"].as<std::string>());
    auto const fidelity = options["fidelity"].as<std::string>();
    if (fidelity != "activity" && fidelity != "steps") {
        throw ConfigError(fmt::format("--fidelity: '{}' (expected activity | steps)", fidelity));
    }
    sweep.steps = fidelity == "steps";
    sweep.launch = launch_of(options, fabric);
    sweep.explain = options["explain"].as<bool>();
    return sweep;
}

int run(Context const& context,
        po::variables_map const& options,
        std::vector<std::string> const& words) {
    Fabric const fabric = build_fabric(choice_of(options, words), context.library);
    auto const& given = context.calibrations;
    expect_used(given, context.library, {fabric.gpu().name});
    Profile profile = profile_of(fabric, fabric.cluster().place, context.library, given).first;
    if (auto const name = option<std::string>(options, "fabric")) {
        auto const over = load_fabric_profile(context.library, *name, {"--fabric", 0, ""});
        profile = with_fabric(std::move(profile), over);
    } else {
        profile = with_network(std::move(profile), fabric, context.library);
    }
    auto sweep = sweep_of(options, fabric);
    sweep.seed = context.seed.value_or(sweep.seed);
    auto answer = run_sweep(sweep, profile, fabric);
    // Two saved answers of one cluster, healthy and not, tell themselves apart.
    if (!words.empty()) answer.notes.insert(answer.notes.begin(), "with " + join(words, " "));
    fmt::print("{}", context.format == TableFormat::text ? nccl_tests_text(answer)
                                                         : table_of(answer).print(context.format));
    // Of a table of numbers, those that a person must know before reading it are told apart, too.
    for (auto const& note : answer.notes) {
        bool const told = context.format == TableFormat::text && !note.starts_with("fidelity");
        if (!context.quiet && !told) fmt::print(stderr, "{}\n", note);
    }
    return static_cast<int>(ExitCode::ok);
}

}  // namespace

Command const collective_command{
    "collective",
    "--cluster C --op OP [--gpus N] [-b MIN -e MAX -f FACTOR] [KEY=VALUE]...",
    "times of one collective by size, in nccl-tests' own columns",
    "nvl72sim collective --cluster gb200-nvl72 --op all_reduce --gpus 72 -b 512M -e 8G -f 2",
    describe,
    run,
};

}  // namespace nvl72
