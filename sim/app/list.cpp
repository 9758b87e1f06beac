#include "sim/app/command.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/collective/algorithms.hpp"
#include "sim/parallel/schedule.hpp"
#include "sim/study/calibrations.hpp"
#include "topology/cluster.hpp"

#include <array>
#include <cstdio>
#include <fmt/format.h>

namespace nvl72 {
namespace {

namespace po = boost::program_options;

Place const here{"command line", 0, ""};

Cell tflops(std::optional<FlopsPerSecond> rate) { return rate ? Cell{rate->count / 1e12} : Cell{}; }

Table list_gpus(Library const& library) {
    Table table({{"name", "name"},
                 {"title", "GPU"},
                 {"sms", "SMs"},
                 {"bf16", "BF16", 0, "TFLOP/s"},
                 {"fp8", "FP8", 0, "TFLOP/s"},
                 {"nvfp4", "NVFP4", 0, "TFLOP/s"},
                 {"hbm", "HBM", 1, "GB"},
                 {"hbm_bandwidth", "HBM", 2, "TB/s"},
                 {"tdp", "TDP", 0, "W"},
                 {"sister", "scales from"},
                 {"source", "source"}});
    for (auto const& name : library.names("gpus")) {
        GpuSpec const gpu = load_gpu(library, name, here);
        table.add({gpu.name, gpu.title, std::int64_t{gpu.sms}, gpu.peak.bf16.count / 1e12,
                   tflops(gpu.peak.fp8), tflops(gpu.peak.nvfp4),
                   static_cast<double>(gpu.hbm_capacity.count) / 1e9,
                   gpu.hbm_bandwidth.count / 1e12, gpu.tdp.count,
                   gpu.sister ? Cell{*gpu.sister} : Cell{}, gpu.source});
    }
    return table;
}

Table list_clusters(Library const& library) {
    Table table({{"name", "name"},
                 {"title", "cluster"},
                 {"gpu", "GPU"},
                 {"gpus_max", "GPUs"},
                 {"nvlink_domain", "a domain"},
                 {"nvlink", "NVLink", 0, "GB/s"},
                 {"nic", "NIC", 0, "Gb/s"},
                 {"network", "network"},
                 {"source", "source"}});
    for (auto const& name : library.names("clusters")) {
        ClusterSpec const cluster = load_cluster(library, name, here);
        table.add({cluster.name, cluster.title, cluster.gpu, cluster.gpus_max(),
                   std::int64_t{cluster.gpus_per_unit},
                   cluster.nvlink.links * cluster.nvlink.link_bandwidth.count / 1e9,
                   cluster.nics.per_gpu * cluster.nics.line_rate.count * 8 / 1e9,
                   name_of(cluster.network.kind), cluster.source});
    }
    return table;
}

/// What a config says of itself: the first of the keys people write for that.
std::string description_of(Library const& library,
                           std::string const& kind,
                           std::string const& name) {
    Value const file = load_yaml(library.path(kind, name, here));
    for (char const* key : {"summary", "title", "description", "_source"}) {
        Value const* found = file.find(key);
        if (found != nullptr && found->is_scalar()) return found->scalar;
    }
    std::string text = file.find("gemm") == nullptr ? "" : "fitted to measured kernels";
    if (Value const* base = file.find("scaled_from"); base != nullptr && base->is_scalar()) {
        text += (text.empty() ? "scaled from " : "; the rest scaled from ") + base->scalar;
    }
    if (!text.empty()) return text;
    return file.source;
}

template <char const* kind>
Table list_files(Library const& library) {
    Table table({{"name", "name"}, {"summary", "what it says of itself"}});
    for (auto const& name : library.names(kind))
        table.add({name, description_of(library, kind, name)});
    return table;
}

Table list_experiments(Library const& library) {
    Table table({{"name", "name"}, {"question", "question"}, {"article", "asked by"}});
    for (auto const& name : library.names("experiments")) {
        Value const file = load_yaml(library.path("experiments", name, here));
        auto const text = [&](char const* key) {
            Value const* found = file.find(key);
            return found != nullptr && found->is_scalar() ? found->scalar : std::string();
        };
        table.add({name, text("question"), text("article")});
    }
    return table;
}

Table list_collectives(Library const&) {
    Table table({{"name", "name"}, {"family", "family"}, {"summary", "summary"}});
    for (auto const& row : collective_algorithms()) {
        table.add({std::string(row.name), std::string(row.family), std::string(row.summary)});
    }
    return table;
}

Table list_schedules(Library const&) {
    Table table({{"name", "name"}, {"summary", "summary"}});
    for (auto const& row : pipeline_schedules) {
        table.add({std::string(row.name), std::string(row.summary)});
    }
    return table;
}

constexpr char models[] = "models";
constexpr char recipes[] = "recipes";
constexpr char engines[] = "engines";
constexpr char fabrics[] = "fabrics";
constexpr char power[] = "power";
constexpr char facilities[] = "facilities";
constexpr char reliability[] = "reliability";

struct Listing {
    std::string_view word;
    Table (*table)(Library const&);
};

constexpr std::array listings{
    Listing{"clusters", list_clusters},
    Listing{"gpus", list_gpus},
    Listing{"models", list_files<models>},
    Listing{"recipes", list_files<recipes>},
    Listing{"engines", list_files<engines>},
    Listing{"experiments", list_experiments},
    Listing{"calibrations", calibrations_table},
    Listing{"fabrics", list_files<fabrics>},
    Listing{"power", list_files<power>},
    Listing{"facilities", list_files<facilities>},
    Listing{"reliability", list_files<reliability>},
    Listing{"collectives", list_collectives},
    Listing{"schedules", list_schedules},
};

Listing const& listing_of(std::vector<std::string> const& words) {
    std::vector<std::string> names;
    for (auto const& listing : listings) {
        // One of them will do: messages name the folder, `list calibration`.
        bool const named = words.size() == 1 &&
                           (words.front() == listing.word || words.front() + "s" == listing.word);
        if (named) return listing;
        names.emplace_back(listing.word);
    }
    if (words.size() != 1) {
        throw ConfigError(
            fmt::format("list: {} words (expected one of {})", words.size(), join(names)));
    }
    auto const near = nearest_name(words.front(), names);
    throw ConfigError(fmt::format("list: unknown '{}' ({}expected {})", words.front(),
                                  near.empty() ? "" : fmt::format("did you mean {}? ", near),
                                  join(names)));
}

void describe(po::options_description&) {}

int run(Context const& context, po::variables_map const&, std::vector<std::string> const& words) {
    Listing const& listing = listing_of(words);
    Table const table = listing.table(context.library);
    if (table.rows() == 0) {
        throw ConfigError(fmt::format("list: no {} in {}", listing.word, context.library.folder()));
    }
    fmt::print("{}", table.print(context.format));
    return static_cast<int>(ExitCode::ok);
}

}  // namespace

Command const list_command{
    "list",
    "clusters | gpus | models | recipes | engines | experiments | calibrations | collectives | "
    "schedules",
    "the shipped configs of one kind, or the built-in algorithms",
    "nvl72sim list clusters",
    describe,
    run,
};

}  // namespace nvl72
