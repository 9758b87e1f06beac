#include "sim/study/run.hpp"
#include "sim/study/result_rows.hpp"

#include "sim/base/error.hpp"
#include "sim/study/campaign_study.hpp"
#include "sim/study/equal.hpp"
#include "sim/study/point.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <exception>
#include <fmt/format.h>
#include <limits>
#include <mutex>
#include <thread>

namespace nvl72 {

namespace {

ResultTable classes_layout() {
    ResultTable table{"classes",
                      {{"point", "", "row of /sweep", Integers{}},
                       {"class", "", "number of the class", Integers{}},
                       {"name", "", "pipeline stage", Texts{}},
                       {"gpus", "", "GPUs in the class", Integers{}},
                       {"representative", "", "rank of its first GPU", Integers{}}}};
    for (StepPart const& part : step_parts) {
        table.columns.push_back({std::string(part.column), "s",
                                 fmt::format("part of the step: {}", part.title), Reals{}});
    }
    return table;
}

ResultTable memory_layout() {
    return {"memory",
            {{"point", "", "row of /sweep", Integers{}},
             {"class", "", "row of /classes of that point", Integers{}},
             {"owner", "", "who holds it", Texts{}},
             {"gib", "GiB", "peak memory of one GPU", Reals{}}}};
}

ResultTable memory_over_time_layout() {
    return {"memory_over_time",
            {{"point", "", "row of /sweep", Integers{}},
             {"class", "", "row of /classes of that point", Integers{}},
             {"start_ps", "ps", "from then on", Integers{}},
             {"gib", "GiB", "memory of one GPU", Reals{}},
             {"activations_gib", "GiB", "of that, activations", Reals{}}}};
}

ResultTable links_layout() {
    return {"links",
            {{"point", "", "row of /sweep", Integers{}},
             {"name", "", "class and kind of link", Texts{}},
             {"capacity", "B/s", "of one GPU, one direction", Reals{}},
             {"bytes", "B", "sent by one GPU in the step", Reals{}},
             {"utilisation", "1", "bytes over capacity times step", Reals{}}}};
}

ResultTable topology_layout() {
    return {"topology",
            {{"point", "", "row of /sweep", Integers{}},
             {"fact", "", "derived from the wiring", Texts{}},
             {"value", "", "number, or text for names", Texts{}},
             {"unit", "", "unit of the value", Texts{}}}};
}

ResultTable power_layout() {
    return {
        "power",
        {{"point", "", "row of /sweep", Integers{}},
         {"component", "", "gpu, cpu, dram, nvswitch, nic, other, fans, conversion, network",
          Texts{}},
         {"state", "", "what it does: of a GPU compute, memory, exposed, bubble or idle", Texts{}},
         {"count", "", "of the job; 1 for what follows the others", Reals{}},
         {"share", "1", "of the step that it is in that state", Reals{}},
         {"each_w", "W", "what one draws in that state", Reals{}},
         {"energy_j", "J", "of the job in a step", Reals{}}}};
}

ResultTable campaign_layout() {
    ResultTable table{
        "campaign",
        {{"point", "", "row of /sweep", Integers{}},
         {"run", "", "number of the run; its failures are drawn by seed + run", Integers{}},
         {"wall_s", "s", "time of the campaign", Reals{}}}};
    for (CampaignPart const& part : campaign_parts) {
        table.columns.push_back({fmt::format("{}_s", part.column), "s",
                                 fmt::format("part of it: {}", part.title), Reals{}});
    }
    table.columns.push_back({"steps", "", "done", Integers{}});
    table.columns.push_back({"interruptions", "", "stops, planned ones included", Integers{}});
    table.columns.push_back({"energy_kwh", "kWh", "at the site's meter", Reals{}, true});
    return table;
}

ResultTable ops_layout() {
    return {"ops",
            {{"point", "", "row of /sweep", Integers{}},
             {"class", "", "row of /classes of that point", Integers{}},
             {"stream", "", "FIFO it ran on", Texts{}},
             {"kind", "", "compute, collective or transfer", Texts{}},
             {"dimension", "", "parallel dimension of a communication", Texts{}},
             {"phase", "", "what part of the step", Texts{}},
             {"micro_batch", "", "-1: none", Integers{}},
             {"chunk", "", "model chunk on the stage; -1: none", Integers{}},
             {"start_ps", "ps", "from the start of the step", Integers{}},
             {"end_ps", "ps", "from the start of the step", Integers{}}}};
}

void add_classes(Rows& rows, std::int64_t point, StepResult const& step) {
    for (std::size_t c = 0; c < step.by_class.size(); ++c) {
        RankClass const& who = step.graph.classes()[c];
        std::vector<std::variant<std::int64_t, double, std::string>> row{
            point, static_cast<std::int64_t>(c), who.name,
            static_cast<std::int64_t>(who.multiplicity),
            static_cast<std::int64_t>(who.representative.value)};
        StepParts const parts = parts_of(step.by_class[c]);
        for (StepPart const& part : step_parts) row.emplace_back(parts.*part.member);
        rows.add(row);
    }
}

void add_memory(Rows& rows, std::int64_t point, StepResult const& step) {
    for (std::size_t c = 0; c < step.by_class.size(); ++c) {  // stages, of every column
        Table const owners = memory_table(step.memory[c % step.memory.size()]);
        for (std::size_t r = 0; r < owners.rows(); ++r) {
            auto const* owner = std::get_if<std::string>(&owners.at(r, 0));
            auto const* gib = std::get_if<double>(&owners.at(r, 1));
            NVL72_EXPECT(owner != nullptr && gib != nullptr, "the memory table is owner, GiB, ...");
            if (*owner == "total") continue;
            rows.add({point, static_cast<std::int64_t>(c), *owner, *gib});
        }
    }
}

void add_memory_over_time(Rows& rows, std::int64_t point, std::vector<MemoryAt> const& times) {
    constexpr double bytes_per_gib = 1024.0 * 1024 * 1024;
    for (MemoryAt const& each : times) {
        rows.add({point, static_cast<std::int64_t>(each.who.value), each.at.count,
                  static_cast<double>(each.total.count) / bytes_per_gib,
                  static_cast<double>(each.activations.count) / bytes_per_gib});
    }
}

void add_links(Rows& rows, std::int64_t point, StepResult const& step) {
    for (LinkUse const& link : step.links) {
        rows.add({point, link.name, link.capacity, link.bytes,
                  link.bytes / (link.capacity * to_seconds(step.step))});
    }
}

void add_power(Rows& rows, std::int64_t point, std::vector<PowerPart> const& parts) {
    for (PowerPart const& part : parts) {
        rows.add(
            {point, part.component, part.state, part.count, part.share, part.each_w, part.joules});
    }
}

void add_campaign(Rows& rows, std::int64_t point, CampaignResult const& campaign) {
    for (std::size_t r = 0; r < campaign.runs.size(); ++r) {
        CampaignRun const& run = campaign.runs[r];
        std::vector<std::variant<std::int64_t, double, std::string>> row{
            point, static_cast<std::int64_t>(r), run.wall};
        for (CampaignPart const& part : campaign_parts) row.emplace_back(run.*part.member);
        row.emplace_back(run.steps);
        row.emplace_back(run.interruptions);
        row.emplace_back(campaign.energy_kwh.empty() ? PowerFigures::none : campaign.energy_kwh[r]);
        rows.add(row);
    }
}

void add_topology(Rows& rows, std::int64_t point, Fabric const& fabric) {
    for (Fact const& fact : fabric.facts()) {
        std::string value;
        if (auto const* text = std::get_if<std::string>(&fact.value)) value = *text;
        if (auto const* real = std::get_if<double>(&fact.value)) value = fmt::format("{}", *real);
        if (auto const* whole = std::get_if<std::int64_t>(&fact.value)) {
            value = fmt::format("{}", *whole);
        }
        rows.add({point, fact.name, value, fact.unit});
    }
}

void add_ops(Rows& rows, std::int64_t point, StepResult const& step) {
    static constexpr std::array kinds{"compute", "collective", "transfer"};
    TaskGraph const& graph = step.graph;
    for (std::uint32_t i = 0; i < graph.tasks().size(); ++i) {
        Task const& task = graph.tasks()[i];
        rows.add({point, static_cast<std::int64_t>(graph.class_of(TaskId{i}).value),
                  graph.streams()[task.stream.value].name,
                  std::string(kinds.at(static_cast<std::size_t>(task.kind))),
                  name_of(task.dimension), graph.phases()[task.phase],
                  static_cast<std::int64_t>(task.micro_batch),
                  static_cast<std::int64_t>(task.chunk), step.execution.start[i].count,
                  step.execution.finish[i].count});
    }
}

/// What became of a point.
struct Outcome {
    SimulatedPoint done;
    std::string unfit;  ///< why it does not fit; empty: it does
};

/// Simulates all points on `threads` workers; each result lands in its own place.
std::vector<Outcome> simulate_all(std::vector<LoadedPoint> const& points,
                                  RunOptions const& options) {
    std::vector<Outcome> done(points.size());
    std::vector<std::exception_ptr> failures(points.size());
    std::atomic<std::size_t> next{0};
    std::atomic<std::size_t> finished{0};
    std::mutex telling;
    auto const tell = [&](double share) {
        if (!options.progress) return;
        std::scoped_lock const lock(telling);
        options.progress(share);
    };
    auto const work = [&] {
        for (std::size_t i = next++; i < points.size(); i = next++) {
            try {
                auto const inner = [&](double share) {
                    tell((static_cast<double>(finished) + share) /
                         static_cast<double>(points.size()));
                };
                try {
                    done[i].done = simulate_point(points[i], static_cast<std::int64_t>(i), inner);
                } catch (DoesNotFit const& error) {
                    done[i].unfit = error.what();
                }
                ++finished;
                tell(static_cast<double>(finished) / static_cast<double>(points.size()));
            } catch (...) {
                // Points are begun in order, so the first that fails is among those begun.
                failures[i] = std::current_exception();
                next = points.size();
            }
        }
    };
    std::vector<std::jthread> workers;
    for (int t = 1; t < options.threads; ++t) workers.emplace_back(work);
    work();
    workers.clear();
    for (auto const& failure : failures) {
        if (failure) std::rethrow_exception(failure);
    }
    return done;
}

/// Takes the points that do not fit out of `points`, and numbers the others anew.
std::vector<SimulatedPoint> take_fitting(std::vector<LoadedPoint>& points,
                                         std::vector<Outcome>& outcomes,
                                         std::vector<PointTag>& tags,
                                         std::vector<UnfitPoint>& unfit) {
    std::vector<SimulatedPoint> simulated;
    std::vector<LoadedPoint> fitting;
    std::vector<PointTag> fitting_tags;
    for (std::size_t i = 0; i < points.size(); ++i) {
        auto& [done, reason] = outcomes[i];
        if (!reason.empty()) {
            unfit.push_back({name_of(points[i].kind), points[i].system.name,
                             points[i].parallel.gpus, points[i].parallel.global_batch,
                             std::move(reason)});
            continue;
        }
        done.row.point = static_cast<std::int64_t>(simulated.size());
        simulated.push_back(std::move(done));
        fitting.push_back(std::move(points[i]));
        fitting_tags.push_back(std::move(tags[i]));
    }
    if (simulated.empty() && !unfit.empty()) throw DoesNotFit(unfit.front().reason);
    points = std::move(fitting);
    tags = std::move(fitting_tags);
    return simulated;
}

/// Which network a system's numbers rest on: the routing factor is stated, not simulated.
std::string network_note(LoadedPoint const& point) {
    Fabric const& fabric = point.fabric;
    if (fabric.domains() == 1) {
        return fmt::format("{}: {} GPUs stay inside one NVLink domain; no network is crossed",
                           point.system.name, fabric.gpus());
    }
    return fmt::format(
        "{}: {} GPUs in {} NVLink domains{}; routing {}, folded, at the stated {:.0f} % of "
        "line rate where several switches are crossed",
        point.system.name, fabric.gpus(), fabric.domains(),
        point.system.fabric ? ", fabric " + point.system.fabric->value : "",
        name_of(fabric.routing()), 100 * fabric.routing_factor());
}

/// What the job draws, and at which limits, site and prices.
std::string power_note(SweepRow const& row,
                       PowerSetting const& setting,
                       PowerChoice const& asked,
                       Fabric const& fabric) {
    PowerFigures const& power = row.power;
    std::string const unit = fabric.cluster().unit;
    bool const trays = fabric.cluster().gpus_per_tray < fabric.cluster().gpus_per_unit;
    Spread step;
    if (!std::isnan(row.step_p10_s))
        step = {row.step_p10_s / row.step_s, row.step_p90_s / row.step_s};
    auto const bands =
        power_bands(power, setting, step, power_spread(setting.coefficients, row.gpu),
                    1e6 / (3600 * row.tokens_per_s_per_gpu));
    auto const band = [](double value, Spread const& spread) {
        if (!spread.known()) return std::string();
        return fmt::format(" ({:.3g} - {:.3g})", value * spread.low, value * spread.high);
    };
    std::string text =
        fmt::format("{}: energy {:.3g} J/token{}, {:.0f} W a GPU, {:.1f} kW a {}", row.system,
                    power.energy_per_token_j, band(power.energy_per_token_j, bands.energy),
                    power.gpu_w, power.node_w / 1e3, trays ? "tray" : unit);
    if (trays) text += fmt::format(", {:.1f} kW a {}", power.unit_w / 1e3, unit);
    text += fmt::format("; with PUE {:.2f} and {:.0f} g/kWh {:.3g} kg CO2{}", setting.facility.pue,
                        setting.facility.carbon_g_per_kwh, power.carbon_g_per_mtoken,
                        band(power.carbon_g_per_mtoken, bands.energy));
    if (!std::isnan(power.usd_per_mtoken))
        text += fmt::format(" and {:.3g} USD{}", 1e3 * power.usd_per_mtoken,
                            band(1e3 * power.usd_per_mtoken, bands.usd));
    text += " per billion tokens";
    if (asked.unit_cap)
        text += fmt::format("; limit {:.4g} kW a {}", asked.unit_cap->count / 1e3, unit);
    if (asked.gpu_cap) text += fmt::format("; limit {:.4g} W a GPU", asked.gpu_cap->count);
    if (power.clock < 1) {
        text += fmt::format("; a power limit holds the clock at {:.0f} %", 100 * power.clock);
    }
    return text;
}

std::vector<std::string> unique_names(std::vector<std::string> names) {
    std::vector<std::string> kept;
    for (auto& name : names) {
        if (std::ranges::find(kept, name) == kept.end()) kept.push_back(std::move(name));
    }
    return kept;
}

/// Of every system; one after the other, as they are quick.
std::vector<std::vector<Sensitivity>> all_sensitivities(std::vector<LoadedPoint> const& points,
                                                        Library const& library) {
    std::vector<std::vector<Sensitivity>> all;
    for (std::size_t i = 0; i < points.size(); ++i) {
        if (points[i].kind != PointKind::system) continue;
        all.push_back(sensitivities(points[i], static_cast<std::int64_t>(i), library));
    }
    return all;
}

ResultTable swept_table(std::vector<PointTag> const& tags) {
    Rows rows({"swept",
               {{"point", "", "row of /sweep", Integers{}},
                {"key", "", "of the system that the sweep changed", Texts{}},
                {"text", "", "to what, as written", Texts{}},
                {"number", "", "the same; NaN: no number", Reals{}, true}}});
    for (std::size_t i = 0; i < tags.size(); ++i) {
        for (auto const& [key, value] : tags[i].swept) {
            double number = std::numeric_limits<double>::quiet_NaN();
            char const* const end = value.data() + value.size();
            if (double read = 0; std::from_chars(value.data(), end, read).ptr == end) number = read;
            rows.add({static_cast<std::int64_t>(i), key, value, number});
        }
    }
    return rows.table();
}

/// What the experiment asked for beside its systems, and its answer over all tables.
void add_findings(RunResult& result,
                  Experiment const& experiment,
                  Library const& library,
                  GivenProfiles const& given) {
    ResultFile& file = result.file;
    if (!experiment.collectives.empty()) {
        file.tables.push_back(collectives_table(experiment.collectives, library, given));
    }
    if (!experiment.clusters.empty()) {
        file.tables.push_back(facts_table(experiment.clusters, library));
    }
    auto swept = swept_table(result.tags);
    if (swept.columns.front().rows() > 0) file.tables.push_back(std::move(swept));
    try {
        result.findings = find_out(experiment.findings, file.tables, result.tags);
    } catch (ConfigError const& error) {
        if (result.unfit.empty()) throw;  // else it may well ask for a point that does not fit
        result.notes.push_back(
            fmt::format("no answer, as not every system fits: {}", error.what()));
    }
    for (auto& table : result.findings.tables) file.tables.push_back(std::move(table));
    result.findings.tables.clear();
}

}  // namespace

RunResult run_experiment(Experiment const& experiment,
                         Library const& library,
                         RunOptions const& options) {
    std::vector<LoadedPoint> points;
    DrawnProfiles drawn(library, experiment.seed);
    auto asked = experiment.points;
    auto const equal_notes = make_equal(asked, library);
    for (Point const& point : asked) {
        points.push_back(load_point(point, library, options.calibrations));
        points.back().draws = drawn.of(points.back().profile_name);
    }
    std::vector<std::string> gpus;
    for (auto const& point : points) gpus.push_back(point.fabric.gpu().name);
    for (CollectiveAsked const& each : experiment.collectives) {
        gpus.push_back(build_fabric(each.cluster, library).gpu().name);
    }
    expect_used(options.calibrations, library, unique_names(std::move(gpus)));
    RunResult result;
    auto outcomes = simulate_all(points, options);
    for (Point const& point : experiment.points) result.tags.push_back(point.tag);
    auto const simulated = take_fitting(points, outcomes, result.tags, result.unfit);

    Rows classes(classes_layout());
    Rows memory(memory_layout());
    Rows links(links_layout());
    Rows topology(topology_layout());
    Rows power(power_layout());
    Rows campaign(campaign_layout());
    std::vector<std::string> campaign_notes;
    Rows ops(ops_layout());
    Rows over_time(memory_over_time_layout());
    for (std::size_t i = 0; i < simulated.size(); ++i) {
        auto const& [row, step, parts] = simulated[i];
        result.rows.push_back(row);
        if (points[i].system.campaign && points[i].kind != PointKind::measured) {
            auto const run = run_campaign_of(points[i], simulated[i], library, experiment.seed);
            result.rows.back().campaign = run.figures;
            campaign_notes.push_back(campaign_note(points[i], run));
            if (options.trace != TraceLevel::none) add_campaign(campaign, row.point, run);
        }
        auto const fullest = std::ranges::max_element(
            step.memory, {}, [](Memory const& own) { return own.total(); });
        result.memory.push_back(memory_table(*fullest));
        if (options.trace == TraceLevel::none) continue;
        add_classes(classes, row.point, step);
        add_memory(memory, row.point, step);
        add_links(links, row.point, step);
        add_topology(topology, row.point, points[i].fabric);
        add_power(power, row.point, parts);
        if (options.trace == TraceLevel::ops && points[i].kind == PointKind::system) {
            add_ops(ops, row.point, step);
            add_memory_over_time(over_time, row.point,
                                 memory_over_time(step_spec(points[i]), step));
        }
    }

    ResultFile& file = result.file;
    file.config = experiment.config;
    file.seed = experiment.seed;
    file.program_version = options.program_version;
    std::vector<std::string> profiles;
    std::vector<std::string> recipes;
    if (std::ranges::any_of(points, [](auto const& point) { return !point.draws->empty(); })) {
        result.notes.push_back(interval_note());
    }
    for (LoadedPoint const& point : points) {
        if (point.kind == PointKind::system) result.notes.push_back(network_note(point));
        if (point.kind != PointKind::measured) {
            for (std::string const& note : point.parallel.notes)
                result.notes.push_back(point.system.name + ": " + note);
        }
        if (point.kind == PointKind::system && point.power) {
            auto const i = static_cast<std::size_t>(&point - points.data());
            result.notes.push_back(
                power_note(result.rows[i], *point.power, point.system.power, point.fabric));
        }
        profiles.push_back(point.profile_name);
        recipes.push_back(point.recipe.name);
    }
    for (auto const& note : equal_notes) result.notes.push_back(note);
    for (auto& note : campaign_notes) result.notes.push_back(std::move(note));
    file.calibrations = unique_names(std::move(profiles));
    file.recipes = unique_names(std::move(recipes));
    if (!result.rows.empty()) file.tables.push_back(to_table(result.rows));
    if (options.sensitivity) {
        result.sensitivities = all_sensitivities(points, library);
        std::vector<Sensitivity> rows;
        for (auto const& own : result.sensitivities)
            rows.insert(rows.end(), own.begin(), own.end());
        if (!rows.empty()) file.tables.push_back(to_table(rows));
    }
    for (Rows* rows : {&classes, &memory, &links, &topology, &power, &campaign, &ops, &over_time}) {
        rows->move_to(file);
    }
    add_findings(result, experiment, library, options.calibrations);
    return result;
}

}  // namespace nvl72
