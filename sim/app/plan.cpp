#include "sim/app/command.hpp"
#include "sim/app/progress.hpp"
#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/study/plan_answer.hpp"

#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iostream>

namespace nvl72 {
namespace {

namespace po = boost::program_options;

void describe(po::options_description& options) {
    options.add_options()                                                                   //
        ("model", po::value<std::string>(), "in place of CONFIG: name or file of a model")  //
        ("cluster", po::value<std::string>(), "a cluster of nvl72sim list clusters")        //
        ("gpus", po::value<std::string>(),
         "how many of its GPUs; several, as 128,256,512, are searched each")               //
        ("global-batch", po::value<std::int64_t>(), "sequences of a step")                 //
        ("precision", po::value<std::string>(), "a precision of the recipe, such as fp8")  //
        ("sequence", po::value<std::int64_t>(),
         "tokens of a sequence; default: 4096, or the model's positions where they are fewer")  //
        ("recipe", po::value<std::string>(),
         "training software; default: the newest for the cluster's GPUs")  //
        ("goal", po::value<std::string>(),
         "fastest | fewest gpus | least energy | least cost | least memory [under LIMIT [and "
         "LIMIT]...] [for N tokens]; a LIMIT is N hours, days, weeks, gpus, usd, MWh or GiB. All "
         "but the first and last look at fewer GPUs, too")  //
        ("fix", po::value<std::vector<std::string>>()->composing(),
         "KEY=VALUE[,VALUE]...: keeps a choice to these values, such as tp=8 or recompute=none")  //
        ("scope", po::value<std::string>()->default_value("layouts"),
         "layouts | software: the latter crosses TP overlap, offload and no sequence parallelism, "
         "too")  //
        ("output,o", po::value<std::string>(),
         "an experiment config with the best layout, and a recipe beside it where one is needed");
}

std::int64_t whole(std::string const& option, std::string const& text) {
    std::int64_t number = 0;
    auto const* const end = text.data() + text.size();
    auto const [next, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || next != end || number < 1)
        fail({option, 0, ""}, fmt::format("'{}'", text), "whole numbers above 0");
    return number;
}

std::vector<std::int64_t> sizes_of(po::variables_map const& options) {
    std::vector<std::int64_t> sizes;
    for (auto const& text : split(option<std::string>(options, "gpus").value_or(""), ',')) {
        if (!trimmed(text).empty()) sizes.push_back(whole("--gpus", std::string(trimmed(text))));
    }
    return sizes;
}

PlanJobWords words_of(po::variables_map const& options, std::vector<std::int64_t> const& sizes) {
    for (char const* needed : {"cluster", "gpus", "global-batch", "precision"}) {
        if (options.count(needed) == 0)
            throw ConfigError(
                fmt::format("plan: no --{} (expected --model M --cluster C --gpus N "
                            "--global-batch B --precision P, or a CONFIG)",
                            needed));
    }
    PlanJobWords words;
    words.model = options["model"].as<std::string>();
    words.cluster = options["cluster"].as<std::string>();
    words.precision = options["precision"].as<std::string>();
    words.recipe = option<std::string>(options, "recipe").value_or("");
    if (sizes.empty()) fail({"--gpus", 0, ""}, "nothing", "a number of GPUs");
    words.gpus = *std::ranges::max_element(sizes);
    words.global_batch = options["global-batch"].as<std::int64_t>();
    words.sequence = option<std::int64_t>(options, "sequence").value_or(0);
    return words;
}

void write(PlanFile const& file) {
    std::ofstream out(file.path, std::ios::binary);
    out << file.text;
    out.close();
    if (!out)
        throw ConfigError(fmt::format("-o: {} (expected a file that can be written)", file.path));
}

int run(Context const& context,
        po::variables_map const& options,
        std::vector<std::string> const& words) {
    bool const described = options.count("model") > 0;
    if (described == !words.empty())
        throw ConfigError(described ? "plan: both CONFIG and --model (expected one of them)"
                                    : "plan: no job (expected nvl72sim plan CONFIG, or --model M "
                                      "--cluster C --gpus N --global-batch B --precision P)");
    PlanOptions plan_options;
    plan_options.gpus = sizes_of(options);
    if (auto const goal = option<std::string>(options, "goal"))
        plan_options.goal = parse_goal(*goal);
    plan_options.fixed = parse_fixed(
        option<std::vector<std::string>>(options, "fix").value_or(std::vector<std::string>{}));
    plan_options.scope = choice<PlanScope>(options, "scope");
    plan_options.threads = context.threads;

    LoadedConfigs configs(context.library, context.calibrations);
    Value root;
    std::string file = "nvl72sim plan";
    if (described) {
        root = experiment_of(words_of(options, plan_options.gpus), configs);
    } else {
        file = context.library.path("experiments", words[0], {"command line", 0, "CONFIG"});
        root = load_yaml(file);
        for (std::size_t i = 1; i < words.size(); ++i) apply_override(root, words[i]);
    }
    auto const own_layouts = complete_layouts(root);
    auto const experiment = read_experiment(root, file, "", {});
    std::vector<SystemPlan> plans;
    for (Point const& point : experiment.points) {
        if (point.kind != PointKind::system) continue;
        Progress progress(context.quiet, fmt::format("layouts of {}", point.system.name));
        plan_options.progress = [&](double share) { progress.show(share); };
        bool const own = !described && own_layouts.at(plans.size());
        plans.push_back(plan_system(point, own, configs, plan_options));
        progress.finish();
        if (!context.quiet) std::cerr << plan_counts_text(plans.back()) << "\n";
    }
    if (plans.empty())
        throw ConfigError(
            fmt::format("{}: sweep: no system (expected a config without a sweep)", file));
    if (context.format == TableFormat::text) {
        for (std::size_t i = 0; i < plans.size(); ++i)
            std::cout << (i > 0 ? "\n" : "") << plan_text(plans[i], plan_options.goal);
    } else {
        std::cout << plan_table(plans, plan_options.goal).print(context.format);
    }
    auto const output = option<std::string>(options, "output");
    if (output) {
        std::string names;
        for (PlanFile const& one : plan_files(root, plans, *output)) {
            write(one);
            names += (names.empty() ? "" : ", ") + one.path;
        }
        if (!context.quiet)
            std::cerr << fmt::format("wrote {}   next: nvl72sim run {}\n", names, *output);
        return 0;
    }
    if (context.quiet || context.format != TableFormat::text) return 0;
    std::string overrides;
    for (std::size_t i = 0; i < plans.size(); ++i) {
        auto const own = plan_overrides(plans[i], i);
        if (own.empty() || described) {
            std::cerr << "next: the same with -o plan.yaml, then nvl72sim run plan.yaml\n";
            return 0;
        }
        overrides += " " + own;
    }
    std::cerr << fmt::format("next: nvl72sim run {}{}\n", words[0], overrides);
    return 0;
}

}  // namespace

Command const plan_command{
    "plan",
    "CONFIG [KEY=VALUE]... | --model M --cluster C --gpus N --global-batch B --precision P",
    "searches layouts: the fastest, the Pareto front of time, memory and GPUs, why others lose",
    "nvl72sim plan --model llama-3.1-8b --cluster hgx-h100-superpod --gpus 16 --global-batch 64 "
    "--precision bf16 --sequence 8192",
    describe,
    run};

}  // namespace nvl72
