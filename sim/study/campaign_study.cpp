#include "sim/study/campaign_study.hpp"

#include "sim/base/error.hpp"
#include "sim/model/closed_form.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <limits>

namespace nvl72 {

namespace {

constexpr double seconds_per_day = 86400;

/// What a checkpoint holds: weights and optimizer state, each once. Adapters are too small to
/// count.
double checkpoint_bytes(LoadedPoint const& point) {
    Recipe const& recipe = point.recipe;
    if (!recipe.trains_weights) return 0;
    auto const parameters = parameters_of(point.model);
    auto const all = static_cast<double>(parameters.total() + parameters.mtp);
    return all * (recipe.state.weight_bytes + recipe.state.optimizer_bytes);
}

CampaignSpec spec_of(LoadedPoint const& point, Reliability const& table, double step_s) {
    CampaignChoice const& choice = *point.system.campaign;
    ClusterSpec const& cluster = point.fabric.cluster();
    Parallel const& parallel = point.parallel;
    auto const gpus = static_cast<double>(parallel.gpus);
    double const bytes = checkpoint_bytes(point);
    double const storage =
        choice.storage ? choice.storage->count : table.storage_per_gpu.count * gpus;
    CampaignSpec spec;
    // Each GPU's part goes to its host over its share of the link, then to the storage.
    double const link =
        cluster.host.cpu_gpu_bandwidth.count * cluster.host.cpus / cluster.gpus_per_tray;
    double const stall = table.checkpoint_stall.count;
    spec.load_s = bytes / storage;
    spec.checkpoint_write_s = stall + bytes / storage;
    spec.checkpoint_block_s = choice.checkpoint == CheckpointMode::blocking
                                  ? spec.checkpoint_write_s
                                  : stall + bytes / gpus / link;
    if (choice.steps) spec.steps = *choice.steps;
    if (choice.tokens) {
        auto const each = static_cast<double>(parallel.global_batch * parallel.sequence);
        spec.steps = std::llround(std::ceil(*choice.tokens / each));
    }
    if (choice.wall) spec.wall_s = choice.wall->count;
    if (choice.interval) spec.interval_s = choice.interval->count;
    spec.spares = choice.spares;
    spec.without_spare = choice.without_spare;
    spec.nodes = std::max<std::int64_t>(1, parallel.gpus / cluster.gpus_per_tray);
    spec.replicas = static_cast<double>(parallel.dp);
    spec.replicas_per_node =
        std::max(1.0, cluster.gpus_per_tray / static_cast<double>(parallel.tp * parallel.cp));
    spec.exposure = {gpus, gpus * cluster.nics.per_gpu, gpus / cluster.gpus_per_tray,
                     gpus / cluster.gpus_per_unit};
    NVL72_EXPECT(step_s > 0, "a step takes time");
    return spec;
}

/// The point's fabric with a part of it lost somewhere; where several are, the worst sets the pace.
double step_with(LoadedPoint const& point, Library const& library, Degradation const& lost) {
    constexpr double cannot = std::numeric_limits<double>::infinity();
    ClusterSpec const& cluster = point.fabric.cluster();
    if (lost.plane && (cluster.resiliency == Resiliency::full || cluster.nvlink.switch_chips == 0))
        return cannot;
    LoadedPoint broken = point;
    auto& faults = broken.system.cluster.faults;
    if (lost.plane) faults.switch_chips.push_back({point.system.place, cluster.unit + " 0 chip 0"});
    if (lost.nic) {
        // A GPU's only NIC: its data takes a neighbour's, which serves two.
        if (cluster.nics.per_gpu > 1) {
            faults.nics.push_back({point.system.place, "gpu 0 nic 0"});
        } else {
            broken.system.cluster.nic_line_rate = BytesPerSecond{cluster.nics.line_rate.count / 2};
        }
    }
    try {
        broken.fabric = build_fabric(broken.system.cluster, library);
        return to_seconds(simulate_point(broken, 0).step.step);
    } catch (ConfigError const&) {
        return cannot;
    }
}

/// What the site's meter shows of a run: the job at work or idle, and its spares at rest.
double run_kwh(LoadedPoint const& point,
               CampaignSpec const& spec,
               CampaignRun const& run,
               double working_w) {
    double const idle = idle_watts(*point.power, point.fabric);
    double const spares = idle * static_cast<double>(spec.spares) / static_cast<double>(spec.nodes);
    double const works = run.useful + run.slowed + run.lost;
    double const joules = works * working_w + (run.wall - works) * idle + run.wall * spares;
    return footprint(point.power->facility, joules).energy_kwh;
}

double run_usd(LoadedPoint const& point,
               CampaignSpec const& spec,
               CampaignRun const& run,
               double kwh) {
    double const share = 1 + static_cast<double>(spec.spares) / static_cast<double>(spec.nodes);
    double const gpu_hours = static_cast<double>(point.parallel.gpus) * share * run.wall / 3600;
    return cost_usd(*point.power, gpu_hours, kwh * 3.6e6 / point.power->facility.pue);
}

CampaignFigures figures_of(LoadedPoint const& point, CampaignResult const& result) {
    std::vector<double> days, goodput, interruptions, mwh, carbon, usd;
    for (std::size_t i = 0; i < result.runs.size(); ++i) {
        CampaignRun const& run = result.runs[i];
        days.push_back(run.wall / seconds_per_day);
        goodput.push_back(run.goodput());
        interruptions.push_back(static_cast<double>(run.interruptions));
        if (result.energy_kwh.empty()) continue;
        double const kwh = result.energy_kwh[i];
        mwh.push_back(kwh / 1e3);
        carbon.push_back(kwh * point.power->facility.carbon_g_per_kwh / 1e6);
        double const price = run_usd(point, result.spec, run, kwh);
        if (!std::isnan(price)) usd.push_back(price);
    }
    CampaignFigures figures{band_of(days), band_of(goodput), band_of(interruptions), {}, {}, {}};
    if (!mwh.empty()) figures.energy_mwh = band_of(mwh);
    if (!carbon.empty()) figures.carbon_t = band_of(carbon);
    if (!usd.empty()) figures.usd = band_of(usd);
    return figures;
}

std::function<std::optional<Failure>()> one_by_one(std::vector<Failure> const& failures) {
    return [&failures, next = std::size_t{0}]() mutable -> std::optional<Failure> {
        if (next == failures.size()) return std::nullopt;
        return failures[next++];
    };
}

/// Median share of a part of the wall time.
double share_of(CampaignResult const& result, double CampaignRun::* part) {
    std::vector<double> shares;
    for (auto const& run : result.runs) shares.push_back(run.*part / run.wall);
    return band_of(shares).p50;
}

std::string gap(double predicted, double published) {
    return fmt::format("{:+.1f} %", 100 * (predicted / published - 1));
}

}  // namespace

CampaignResult run_campaign_of(LoadedPoint const& point,
                               SimulatedPoint const& done,
                               Library const& library,
                               std::uint64_t seed) {
    CampaignChoice const& choice = *point.system.campaign;
    check(choice);
    CampaignResult result;
    result.reliability = load_reliability(library, choice.reliability, choice.place);
    Reliability const& table = result.reliability;
    result.step_s = done.row.step_s;
    result.spec = spec_of(point, table, result.step_s);
    StepOracle<Degradation, double> oracle([&](Degradation const& lost) {
        bool const whole = !lost.plane && !lost.nic;
        return whole ? result.step_s : std::max(result.step_s, step_with(point, library, lost));
    });
    StepTime const step = [&](Degradation const& lost) { return oracle(lost); };
    result.interval_steps = steps_between(result.spec, table, step);
    result.stops_hourly = stopping_rate(result.spec, table, step);
    if (choice.trace) {
        auto const beside = std::filesystem::path(choice.place.file).parent_path() / *choice.trace;
        auto const failures =
            read_failures(std::filesystem::exists(beside) ? beside.string() : *choice.trace, table);
        result.runs.push_back(run_campaign(result.spec, table, step, one_by_one(failures)));
    } else {
        for (std::int64_t run = 0; run < choice.runs; ++run) {
            FailureProcess process(table, result.spec.exposure,
                                   seed + static_cast<std::uint64_t>(run));
            result.runs.push_back(
                run_campaign(result.spec, table, step, [&] { return process.next(); }));
        }
    }
    if (point.power) {
        for (auto const& run : result.runs) {
            result.energy_kwh.push_back(run_kwh(point, result.spec, run, done.row.power.cluster_w));
        }
    }
    result.figures = figures_of(point, result);
    return result;
}

std::string campaign_note(LoadedPoint const& point, CampaignResult const& result) {
    CampaignFigures const& figures = result.figures;
    double const mtti_h = figures.days.p50 * 24 / figures.interruptions.p50;
    std::string text = fmt::format(
        "{}: campaign of {:.1f} days ({:.1f} - {:.1f}), goodput {:.1f} % ({:.1f} - {:.1f}), {:.0f} "
        "interruptions ({:.0f} - {:.0f}){}; 80 % of {} runs of {}",
        point.system.name, figures.days.p50, figures.days.p10, figures.days.p90,
        100 * figures.goodput.p50, 100 * figures.goodput.p10, 100 * figures.goodput.p90,
        figures.interruptions.p50, figures.interruptions.p10, figures.interruptions.p90,
        std::isfinite(mtti_h) ? fmt::format(", one in {:.2f} h", mtti_h) : "", result.runs.size(),
        result.reliability.name);
    if (result.stops_hourly > 0 || point.system.campaign->interval) {
        text += fmt::format(
            "\n  a checkpoint every {} steps ({:.1f} min), which stops training for {:.3g} s and "
            "is "
            "safe after {:.3g} s",
            result.interval_steps, static_cast<double>(result.interval_steps) * result.step_s / 60,
            result.spec.checkpoint_block_s, result.spec.checkpoint_write_s);
    } else {
        text += "\n  no checkpoint: nothing undoes work";
    }
    text += "\n  of the wall time";
    for (auto const& part : campaign_parts) {
        text += fmt::format("{} {} {:.2f} %", &part == campaign_parts.data() ? "" : ",", part.title,
                            100 * share_of(result, part.member));
    }
    if (!result.energy_kwh.empty()) {
        text += fmt::format("\n  {:.4g} MWh at the site, {:.3g} t CO2", figures.energy_mwh.p50,
                            figures.carbon_t.p50);
        if (!std::isnan(figures.usd.p50))
            text += fmt::format(", {:.3g} million USD", figures.usd.p50 / 1e6);
    }
    auto const& published = point.system.campaign->published;
    if (published.goodput)
        text += fmt::format("\n  published goodput {:.1f} %: predicted {}",
                            100 * *published.goodput, gap(figures.goodput.p50, *published.goodput));
    if (published.goodput_above) {
        double const bound = *published.goodput_above;
        text += fmt::format("\n  published goodput above {:.1f} %: predicted {:.1f} %, {}",
                            100 * bound, 100 * figures.goodput.p50,
                            figures.goodput.p50 > bound ? "which holds" : "which is below it");
    }
    if (published.interruptions)
        text += fmt::format("\n  published interruptions {:.0f}: predicted {}",
                            *published.interruptions,
                            gap(figures.interruptions.p50, *published.interruptions));
    if (published.between_interruptions && std::isfinite(mtti_h)) {
        double const hours = published.between_interruptions->count / 3600;
        text += fmt::format("\n  published time between interruptions {:.2f} h: predicted {}",
                            hours, gap(mtti_h, hours));
    }
    return text;
}

}  // namespace nvl72
