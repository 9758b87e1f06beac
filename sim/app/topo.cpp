#include "sim/app/command.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/interchange/nccl_topology.hpp"
#include "topology/fabric.hpp"

#include <algorithm>
#include <cstdio>
#include <fmt/format.h>

namespace nvl72 {
namespace {

namespace po = boost::program_options;

void describe(po::options_description& options) {
    options.add_options()  //
        ("gpus", po::value<std::int64_t>(),
         "the first N GPUs; default: all the cluster can have")  //
        ("graph", po::value<std::string>(),
         "dot: the wiring of one unit for Graphviz, instead of facts")  //
        ("cluster", po::value<std::string>(),
         "with FILE.xml: the cluster to compare it with; default: the one it resembles");
}

/// The choice that `topo CLUSTER --gpus N KEY=VALUE...` stands for; keys as under `cluster:`.
ClusterChoice choice_of(Context const& context,
                        po::variables_map const& options,
                        std::vector<std::string> const& words) {
    if (words.empty())
        throw ConfigError("topo: no cluster (expected a name; see nvl72sim list clusters)");
    Value root = named("topo", words.front());
    bool sized = false;
    for (std::size_t i = 1; i < words.size(); ++i) {
        std::string word = words[i];
        if (word.starts_with("cluster.")) word.erase(0, 8);
        sized = sized || word.starts_with("gpus=");
        apply_override(root, word);
    }
    if (auto const gpus = option<std::int64_t>(options, "gpus")) {
        apply_override(root, fmt::format("gpus={}", *gpus));
        sized = true;
    }
    auto choice = read_spec<ClusterChoice>(root, nullptr);
    if (!sized) {
        auto const cluster = load_cluster(context.library, choice.name, choice.name_place);
        std::int64_t const domain = choice.nvlink_domain;
        bool const cut = domain > 0 && domain <= cluster.gpus_per_unit;
        choice.gpus = cluster.units_max *
                      (cut ? cluster.gpus_per_unit / domain * domain : cluster.gpus_per_unit);
    }
    return choice;
}

Table table_of(Fabric const& fabric, bool text) {
    std::vector<Column> columns{
        {"fact", "fact"}, {"value", "value"}, {"unit", "unit"}, {"how", "how"}, {"title", "title"}};
    if (text) {
        columns.pop_back();
        columns.front().name = "title";
        columns.back().title = "follows from";
    }
    Table table(std::move(columns));
    for (auto const& fact : fabric.facts()) {
        if (text) {
            table.add({fact.title, fact.value, fact.unit, fact.how});
        } else {
            table.add({fact.name, fact.value, fact.unit, fact.how, fact.title});
        }
    }
    for (auto const& check : fabric.checks()) {
        std::string const held = check.holds ? "holds" : "broken";
        if (text) {
            table.add({"check " + check.name, held, std::string(), check.how});
        } else {
            table.add({"check_" + check.name, held, std::string(), check.how, check.name});
        }
    }
    return table;
}

bool wants_nccl_xml(po::variables_map const& options) {
    return options["format"].as<std::string>() == "nccl-xml";
}

/// A topology that NCCL wrote, beside a cluster.
int run_file(Context const& context,
             po::variables_map const& options,
             std::vector<std::string> const& words) {
    if (words.size() > 1 || options.count("gpus") > 0 || options.count("graph") > 0) {
        throw ConfigError(
            fmt::format("topo {}: more than the file (expected --cluster alone)", words.front()));
    }
    auto const topology = load_nccl_xml(words.front());
    if (wants_nccl_xml(options)) {
        fmt::print("{}", nccl_xml(topology));
        return static_cast<int>(ExitCode::ok);
    }
    auto const comparison = compare_nccl_topology(
        topology, context.library, option<std::string>(options, "cluster").value_or(""));
    bool const text = context.format == TableFormat::text;
    auto const& beside = comparison.cluster;
    Table const table = table_of(comparison, text);
    if (text) {
        fmt::print("{}: beside one machine of {}{}\n\n", words.front(), beside,
                   comparison.alike.empty()
                       ? ""
                       : fmt::format(" (no nearer to {})", join(comparison.alike)));
    }
    fmt::print("{}", table.print(context.format));
    if (text) {
        int const different = comparison.disagreements();
        fmt::print("\n{}\n", different == 0 ? fmt::format("agrees with {}", beside)
                                            : fmt::format("disagrees with {} in {} of {} facts",
                                                          beside, different, table.rows()));
    }
    return static_cast<int>(ExitCode::ok);
}

int run(Context const& context,
        po::variables_map const& options,
        std::vector<std::string> const& words) {
    if (!words.empty() && words.front().ends_with(".xml")) {
        return run_file(context, options, words);
    }
    if (options.count("cluster") > 0) {
        throw ConfigError("--cluster: no FILE.xml to compare with it (expected topo FILE.xml)");
    }
    Fabric const fabric = build_fabric(choice_of(context, options, words), context.library);
    if (wants_nccl_xml(options)) {
        fmt::print("{}", nccl_xml(nccl_topology(fabric)));
        return static_cast<int>(ExitCode::ok);
    }
    if (auto const graph = option<std::string>(options, "graph")) {
        if (*graph != "dot") throw ConfigError(fmt::format("--graph: '{}' (expected dot)", *graph));
        fmt::print("{}", fabric.dot());
        return static_cast<int>(ExitCode::ok);
    }
    bool const text = context.format == TableFormat::text;
    if (text) {
        fmt::print("{}: {}\nsource of the wiring: {}\n\n", fabric.cluster().name,
                   fabric.cluster().title, fabric.cluster().source);
    }
    fmt::print("{}", table_of(fabric, text).print(context.format));
    return static_cast<int>(ExitCode::ok);
}

}  // namespace

Command const topo_command{
    "topo",
    "CLUSTER [KEY=VALUE]... [--format nccl-xml] | FILE.xml [--cluster C]",
    "the derived facts of a topology, each with how it follows; checks it",
    "nvl72sim topo gb200-nvl72 'faults.switch_chips=[rack 0 chip 3]'",
    describe,
    run,
    "nccl-xml",
};

}  // namespace nvl72
