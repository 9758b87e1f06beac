#include "sim/study/run.hpp"
#include "sim/app/command.hpp"
#include "sim/app/progress.hpp"
#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/study/answer.hpp"
#include "sim/study/serving_answer.hpp"
#include "sim/study/serving_run.hpp"
#include "sim/study/workload_answer.hpp"
#include "sim/trace/result_file.hpp"

#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <iostream>

namespace nvl72 {
namespace {

namespace po = boost::program_options;

void describe(po::options_description& options) {
    options.add_options()                                                                         //
        ("output,o", po::value<std::string>(), "result file; CONFIG's name with .h5 by default")  //
        ("quick",
         "less of it: of a training sweep the ends of each of more than three values and 10 runs "
         "of a campaign, of "
         "others what the config says under quick")                                             //
        ("sensitivity", "also what would help: 10 % more of each resource, a lost plane, ...")  //
        ("trace", po::value<std::string>()->default_value("ops"),
         "none | summary | ops: how much of the run the file keeps");
}

std::vector<SweepRow const*> systems_of(std::vector<SweepRow> const& rows) {
    std::vector<SweepRow const*> systems;
    for (SweepRow const& row : rows) {
        if (row.kind == "system") systems.push_back(&row);
    }
    return systems;
}

/// For scripts: the points; without points what was worked out.
Table machine_table(RunResult const& result) {
    if (!result.rows.empty()) return full_table(result.rows);
    if (result.file.find("collectives") != nullptr) return collectives_summary(result.file);
    return result.findings.values.value_or(
        Table({{"name", "name"}, {"value", "value"}, {"from", "from"}}));
}

std::string readable_answer(Experiment const& experiment, RunResult const& result) {
    Findings const& findings = result.findings;
    std::string text = experiment.title + "\n" + experiment.question + "\n";
    if (!findings.answer.empty()) text += "\nAnswer: " + findings.answer + "\n";
    if (findings.claims) text += "\n" + findings.claims->text();
    if (!result.rows.empty() || !result.unfit.empty()) {
        text += "\n" + prediction_table(result.rows, result.unfit).text();
        text += "\n" + breakdown_table(result.rows).text();
    }
    if (!experiment.collectives.empty()) text += "\n" + collectives_summary(result.file).text();
    if (findings.values) text += "\n" + findings.values->text();
    auto const systems = systems_of(result.rows);
    if (systems.size() == 2 && findings.answer.empty()) {
        text += "\n" + ratio_sentence(*systems[0], *systems[1]) + "\n";
    }
    for (UnfitPoint const& point : result.unfit) text += fmt::format("\n{}\n", point.reason);
    if (!result.notes.empty()) text += "\n";
    for (std::string const& note : result.notes) text += note + "\n";
    if (!systems.empty()) text += "\n" + memory_summary(result.rows, result.memory).text();
    for (auto const& rows : result.sensitivities) {
        text += "\n" + sensitivity_table(rows).text() + sensitivity_sentence(rows) + "\n";
    }
    for (SweepRow const* row : systems) {
        text += fmt::format("\n[{}]\n{}\n", row->system, megatron_line(*row));
    }
    return text;
}

std::string readable_answer(ServingExperiment const& experiment, ServingResult const& result) {
    std::string text = experiment.title + "\n" + experiment.question + "\n\n";
    for (std::string const& sentence : result.answer) text += sentence + "\n";
    if (!result.answer.empty()) text += "\n";
    text += throughput_table(result.rows).text() + "\n" + latency_table(result.rows).text();
    auto const speeds = speed_table(result.rows);
    if (speeds.rows() > 0) text += "\n" + speeds.text();
    if (!result.notes.empty()) text += "\n";
    for (std::string const& note : result.notes) text += note + "\n";
    return text;
}

/// Few requests are all ramp and tail: their rates are no steady state's.
void warn_quick() {
    std::cerr << "quick: the ends of each sweep and what the config says under quick; rates of so "
                 "few requests count the start and the end, and answers are coarse\n";
}

/// An experiment whose systems serve: its answer and its result.
std::pair<std::string, ResultFile> serve(Context const& context,
                                         std::string const& file,
                                         std::vector<std::string> const& overrides,
                                         RunOptions run_options,
                                         bool quick) {
    if (quick) warn_quick();
    auto experiment = load_serving_experiment(file, overrides, quick);
    if (context.seed) experiment.seed = *context.seed;
    Progress progress(context.quiet, fmt::format("{} points", experiment.points.size()));
    run_options.progress = [&](double share) { progress.show(share); };
    ServingResult result = run_serving_experiment(experiment, context.library, run_options);
    progress.finish();
    return {context.format == TableFormat::text ? readable_answer(experiment, result)
                                                : full_table(result.rows).print(context.format),
            std::move(result.file)};
}

std::string readable_answer(WorkloadExperiment const& experiment, WorkloadResult const& result) {
    std::string text = experiment.title + "\n" + experiment.question + "\n\n";
    for (std::string const& sentence : result.answer) text += sentence + "\n";
    text += "\n" + workload_table(result.rows).text();
    auto const phases = phase_table(result);
    if (phases.rows() > 0) text += "\n" + phases.text();
    return text;
}

/// An experiment of phases.
std::pair<std::string, ResultFile> work(Context const& context,
                                        std::string const& file,
                                        std::vector<std::string> const& overrides,
                                        RunOptions run_options,
                                        bool quick) {
    if (quick) warn_quick();
    auto experiment = load_workload_experiment(file, overrides, quick);
    if (context.seed) experiment.seed = *context.seed;
    Progress progress(context.quiet, fmt::format("{} points", experiment.points.size()));
    run_options.progress = [&](double share) { progress.show(share); };
    WorkloadResult result = run_workload_experiment(experiment, context.library, run_options);
    progress.finish();
    return {context.format == TableFormat::text ? readable_answer(experiment, result)
                                                : full_table(result).print(context.format),
            std::move(result.file)};
}

/// An experiment whose systems train, or that asks of clusters and collectives.
std::pair<std::string, ResultFile> train(Context const& context,
                                         std::string const& file,
                                         std::vector<std::string> const& overrides,
                                         RunOptions run_options,
                                         bool quick) {
    auto experiment = load_experiment(file, overrides, quick);
    if (context.seed) experiment.seed = *context.seed;
    Progress progress(context.quiet, fmt::format("{} points", experiment.points.size()));
    if (!experiment.points.empty()) run_options.progress = [&](double s) { progress.show(s); };
    RunResult result = run_experiment(experiment, context.library, run_options);
    progress.finish();
    if (quick) {
        std::cerr << fmt::format("quick: {}\n", experiment.shortened.empty()
                                                    ? "nothing was left out"
                                                    : "without " + join(experiment.shortened));
    }
    if (context.format == TableFormat::text) {
        return {readable_answer(experiment, result), std::move(result.file)};
    }
    for (UnfitPoint const& point : result.unfit)
        std::cerr << fmt::format("{} does not fit: {}\n", point.system, point.reason);
    if (!context.quiet && !result.findings.answer.empty()) {
        std::cerr << "Answer: " << result.findings.answer << "\n";
    }
    return {machine_table(result).print(context.format), std::move(result.file)};
}

int run(Context const& context,
        po::variables_map const& options,
        std::vector<std::string> const& words) {
    if (words.empty())
        throw ConfigError("run: no config (expected nvl72sim run CONFIG [KEY=VALUE]...)");
    Place const asked{"command line", 0, "CONFIG"};
    std::string const file = context.library.path("experiments", words[0], asked);
    std::string const output = option<std::string>(options, "output")
                                   .value_or(std::filesystem::path(file).stem().string() + ".h5");
    check_result_path(output);
    RunOptions run_options;
    run_options.trace = choice<TraceLevel>(options, "trace");
    run_options.sensitivity = options.contains("sensitivity");
    run_options.threads = context.threads;
    run_options.calibrations = context.calibrations;
    run_options.program_version = NVL72_VERSION;

    std::vector<std::string> const overrides(words.begin() + 1, words.end());
    bool const quick = options.contains("quick");
    auto const began = std::chrono::steady_clock::now();
    auto const kind = experiment_kind(file);
    if (kind != ExperimentKind::training && run_options.sensitivity) {
        throw ConfigError(
            "--sensitivity: given for no training steps (expected systems that train)");
    }
    auto const [answer, result] =
        kind == ExperimentKind::serving    ? serve(context, file, overrides, run_options, quick)
        : kind == ExperimentKind::workload ? work(context, file, overrides, run_options, quick)
                                           : train(context, file, overrides, run_options, quick);
    write_result(result, output);
    std::cout << answer;
    std::chrono::duration<double> const took = std::chrono::steady_clock::now() - began;
    if (!context.quiet) {
        std::cerr << fmt::format("wrote {} in {:.1f} s   next: nvl72sim report {} -o figures\n",
                                 output, took.count(), output);
    }
    return 0;
}

}  // namespace

Command const run_command{
    "run",
    "CONFIG [KEY=VALUE]... [-o FILE.h5]",
    "runs an experiment, or the sweep it describes",
    "nvl72sim run configs/experiments/llama405b-hopper-vs-nvl72.yaml systems.0.cluster.gpus=2048",
    describe,
    run};

}  // namespace nvl72
