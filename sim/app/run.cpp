#include "sim/study/run.hpp"
#include "sim/app/command.hpp"
#include "sim/app/progress.hpp"
#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/study/answer.hpp"
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
         "less of it: the ends of each sweep of more than three values, 10 runs of a campaign")  //
        ("sensitivity", "also what would help: 10 % more of each resource, a lost plane, ...")   //
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
    if (!result.rows.empty()) {
        text += "\n" + prediction_table(result.rows).text();
        text += "\n" + breakdown_table(result.rows).text();
    }
    if (!experiment.collectives.empty()) text += "\n" + collectives_summary(result.file).text();
    if (findings.values) text += "\n" + findings.values->text();
    auto const systems = systems_of(result.rows);
    if (systems.size() == 2 && findings.answer.empty()) {
        text += "\n" + ratio_sentence(*systems[0], *systems[1]) + "\n";
    }
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

    auto experiment =
        load_experiment(file, {words.begin() + 1, words.end()}, options.contains("quick"));
    if (context.seed) experiment.seed = *context.seed;
    auto const began = std::chrono::steady_clock::now();
    Progress progress(context.quiet, fmt::format("{} points", experiment.points.size()));
    if (!experiment.points.empty()) run_options.progress = [&](double s) { progress.show(s); };
    RunResult const result = run_experiment(experiment, context.library, run_options);
    progress.finish();
    write_result(result.file, output);

    if (context.format == TableFormat::text) {
        std::cout << readable_answer(experiment, result);
    } else {
        std::cout << machine_table(result).print(context.format);
        if (!context.quiet && !result.findings.answer.empty()) {
            std::cerr << "Answer: " << result.findings.answer << "\n";
        }
    }
    if (options.contains("quick")) {
        std::cerr << fmt::format("quick: {}\n", experiment.shortened.empty()
                                                    ? "nothing was left out"
                                                    : "without " + join(experiment.shortened));
    }
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
