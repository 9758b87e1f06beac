#include "sim/study/workload_run.hpp"

#include "sim/study/on_threads.hpp"
#include "sim/study/point.hpp"
#include "sim/study/result_rows.hpp"
#include "sim/study/workload_answer.hpp"
#include "sim/study/workload_point.hpp"

#include <algorithm>

namespace nvl72 {

namespace {

void add_tables(WorkloadResult& result,
                std::vector<RanWorkload> const& done,
                WorkloadExperiment const& experiment,
                TraceLevel trace) {
    Rows summary({"summary",
                  {{"name", "", "what it is", Texts{}},
                   {"value", "", "in its unit; NaN: a sentence alone", Reals{}, true},
                   {"unit", "", "of the value", Texts{}},
                   {"text", "", "a sentence", Texts{}}}});
    for (auto const& sentence : result.answer)
        summary.add({std::string("answer"), PhaseRow::none, std::string(), sentence});
    Rows swept({"swept",
                {{"point", "", "row of /sweep", Integers{}},
                 {"key", "", "what the sweep set", Texts{}},
                 {"text", "", "to what", Texts{}},
                 {"number", "", "the same; NaN: no number", Reals{}, true}}});
    Rows stages({"stages",
                 {{"point", "", "row of /sweep", Integers{}},
                  {"phase", "", "its name", Texts{}},
                  {"stage", "", "of its rounds", Texts{}},
                  {"alone_s", "s", "on its machine, were it alone, with its tail", Reals{}},
                  {"share", "1", "of the span; with its tail where there is one lane", Reals{}}}});
    Rows pools({"pools",
                {{"point", "", "row of /sweep", Integers{}},
                 {"pool", "", "a machine", Texts{}},
                 {"busy_share", "1", "of the span", Reals{}}}});
    Rows links({"stores",
                {{"point", "", "row of /sweep", Integers{}},
                 {"link", "", "between phases", Texts{}},
                 {"capacity", "", "items", Reals{}},
                 {"most", "", "items that waited in it at once", Reals{}},
                 {"left", "", "items at the end", Reals{}}}});
    Rows spans({"spans",
                {{"point", "", "row of /sweep", Integers{}},
                 {"phase", "", "its name", Texts{}},
                 {"stage", "", "of its rounds", Texts{}},
                 {"start_s", "s", "from the beginning", Reals{}},
                 {"end_s", "s", "from the beginning", Reals{}}}});
    for (std::size_t i = 0; i < done.size(); ++i) {
        auto const point = static_cast<std::int64_t>(i);
        for (auto const& value : experiment.points[i].swept)
            swept.add({point, value.key, value.text, value.number});
        for (auto const& [phase, stage, seconds, share] : done[i].stages)
            stages.add({point, phase, stage, seconds, share});
        for (auto const& [pool, share] : done[i].pools) pools.add({point, pool, share});
        for (auto const& [link, capacity, most, left] : done[i].links)
            links.add({point, link, capacity, most, left});
        if (trace != TraceLevel::ops || experiment.points[i].kind == PointKind::sweep) continue;
        for (auto const& [phase, stage, start, end] : done[i].spans)
            spans.add({point, phase, stage, start, end});
    }
    result.file.tables.push_back(to_table(result.rows));
    result.file.tables.push_back(to_table(result.phases));
    summary.move_to(result.file);
    swept.move_to(result.file);
    if (trace == TraceLevel::none) return;
    for (Rows* rows : {&stages, &pools, &links, &spans}) rows->move_to(result.file);
}

}  // namespace

WorkloadResult run_workload_experiment(WorkloadExperiment const& experiment,
                                       Library const& library,
                                       RunOptions const& options) {
    std::vector<RanWorkload> done(experiment.points.size());
    on_threads(
        done.size(), options.threads,
        [&](std::size_t i) {
            done[i] = simulate_workload(experiment.points[i], library, options.calibrations,
                                        experiment.seed);
        },
        options.progress);
    WorkloadResult result;
    std::vector<std::string> profiles, gpus;
    for (std::size_t i = 0; i < done.size(); ++i) {
        done[i].row.point = static_cast<std::int64_t>(i);
        result.rows.push_back(done[i].row);
        for (auto& phase : done[i].phases) {
            phase.point = static_cast<std::int64_t>(i);
            result.phases.push_back(phase);
        }
        auto const keep = [](std::vector<std::string>& to, std::vector<std::string> const& from) {
            for (auto const& name : from) {
                if (std::ranges::find(to, name) == to.end()) to.push_back(name);
            }
        };
        keep(profiles, done[i].profiles);
        keep(gpus, done[i].gpus);
    }
    expect_used(options.calibrations, library, gpus);
    result.answer = workload_sentences(result.rows, result.phases);
    result.file.config = experiment.config;
    result.file.seed = experiment.seed;
    result.file.program_version = options.program_version;
    result.file.calibrations = profiles;
    add_tables(result, done, experiment, options.trace);
    return result;
}

}  // namespace nvl72
