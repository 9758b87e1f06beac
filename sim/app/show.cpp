#include "sim/app/command.hpp"
#include "sim/base/error.hpp"
#include "sim/study/equal.hpp"
#include "sim/study/point.hpp"
#include "sim/study/serving_point.hpp"
#include "sim/study/workload_experiment.hpp"

#include <algorithm>
#include <functional>
#include <iostream>

namespace nvl72 {
namespace {

namespace po = boost::program_options;

void describe(po::options_description& /*options*/) {}

/// Requests served: the systems as read, and of each what it names.
void show_serving(Context const& context,
                  ServingExperiment const& experiment,
                  std::function<void(Trail const&)> const& add) {
    add(experiment.trail);
    std::vector<std::string> shown;
    for (ServingPoint const& point : experiment.points) {
        std::string const of = point.system.cluster.name + point.system.serving.engine.value;
        if (std::ranges::find(shown, of) != shown.end()) continue;
        shown.push_back(of);
        Trail trail;
        load_serving(point, context.library, context.calibrations, &trail);
        add(trail);
    }
}

int run(Context const& context,
        po::variables_map const& /*options*/,
        std::vector<std::string> const& words) {
    if (words.empty())
        throw ConfigError("show: no config (expected nvl72sim show CONFIG [KEY=VALUE]...)");
    std::string const file =
        context.library.path("experiments", words[0], {"command line", 0, "CONFIG"});
    std::vector<std::string> const overrides(words.begin() + 1, words.end());
    Table table({{"key", "key"}, {"value", "value"}, {"source", "source"}, {"from", "from"}});
    auto const add = [&table](Trail const& trail) {
        for (ResolvedValue const& value : trail) {
            table.add({value.key, value.value, value.source, value.from});
        }
    };
    auto const kind = experiment_kind(file);
    if (kind == ExperimentKind::workload) {
        add(load_workload_experiment(file, overrides).trail);
        std::cout << table.print(context.format);
        return 0;
    }
    if (kind == ExperimentKind::serving) {
        show_serving(context, load_serving_experiment(file, overrides), add);
        std::cout << table.print(context.format);
        return 0;
    }
    auto experiment = load_experiment(file, overrides);
    make_equal(experiment.points, context.library);
    add(experiment.trail);
    // Specs that several points share are shown once.
    std::vector<std::string> shown, gpus;
    for (Point const& point : experiment.points) {
        Trail trail;
        auto const loaded = load_point(point, context.library, context.calibrations, &trail);
        gpus.push_back(loaded.fabric.gpu().name);
        std::string const of = point.system.cluster.name + point.system.recipe.value;
        bool known = false;
        for (std::string const& name : shown) known = known || name == of;
        if (!known) add(trail);
        shown.push_back(of);
    }
    expect_used(context.calibrations, context.library, gpus);
    std::cout << table.print(context.format);
    return 0;
}

}  // namespace

Command const show_command{"show",
                           "CONFIG [KEY=VALUE]...",
                           "prints the resolved config: every value with its source",
                           "nvl72sim show llama405b-hopper-vs-nvl72 --format csv",
                           describe,
                           run};

}  // namespace nvl72
