#include "sim/study/fit_fabric.hpp"

#include "sim/base/text.hpp"
#include "sim/collective/collective.hpp"
#include "sim/config/write.hpp"
#include "sim/cost/fabric_profile.hpp"
#include "sim/study/collective_groups.hpp"
#include "sim/study/fit_collectives.hpp"
#include "sim/study/section_fit.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <set>

namespace nvl72 {

namespace {

constexpr std::array<std::string_view, 3> bands{"across, small", "across, middle", "across, large"};
constexpr double bounds_of_nvlink = 450e9;  // bytes per second, for the bounds of constants only
constexpr std::string_view all_fabrics = "unknown";
constexpr std::string_view of_gpus = "infiniband";  // whose constants the GPUs' profiles hold

using Sections = std::map<std::string, CollectiveSection>;  // by GPU

/// One measured time, planned on its branch.
struct Row {
    std::string gpu;
    Collective query;
    double seconds = 0;
    std::string site, fabric;

    [[nodiscard]] std::string band() const {
        auto const part = part_of(query);
        auto const band = part.substr(part.find("across"));
        // Two racks are two sites more, whatever their own interval is.
        bool const large = band.ends_with("large") || band.ends_with("racks");
        return large ? std::string(bands.back()) : band;
    }
};

/// What a fabric is before the fit, and what is fitted.
struct Fabric {
    std::string name, origin;
    Value given;
    FabricProfile profile;  ///< of `given`
    std::string reference;  ///< the GPU whose constants between domains are fitted, to InfiniBand
    std::vector<CollectiveKnob> knobs;
};

/// All constants between domains; those that a fabric's file may hold start with "network.".
std::vector<CollectiveKnob> network_knobs() {
    using S = CollectiveSection;
    std::vector<CollectiveKnob> knobs;
    for (auto const& group : groups_across_domains(bounds_of_nvlink)) {
        knobs.insert(knobs.end(), group.knobs.begin(), group.knobs.end());
    }
    knobs.push_back({"network.hop_simple", Dimension::seconds, 12e-6, 1e-6, 200e-6,
                     [](S& s) -> double& { return s.network.hop_simple.count; }});
    knobs.push_back({"network.message_gap_ll", Dimension::seconds, 3e-6, 0.1e-6, 60e-6,
                     [](S& s) -> double& { return s.network.message_gap_ll.count; }});
    return knobs;
}

/// Those of these names, without "network.".
std::vector<CollectiveKnob> knobs_named(std::vector<Value> const& names) {
    auto const known = network_knobs();
    std::vector<CollectiveKnob> knobs;
    for (auto const& name : names) {
        auto const found = std::ranges::find(known, "network." + name.scalar, &CollectiveKnob::key);
        if (found == known.end()) fail(name.place, name.scalar, "a constant between domains");
        knobs.push_back(*found);
        knobs.back().key = name.scalar;
    }
    return knobs;
}

Fabric load_fabric_facts(std::string const& name, std::string const& origin, Library const& from) {
    Value const file = load_yaml(from.folder() + "/measurements/collectives/fabrics.yaml");
    Value const* given = file.find(name);
    if (given == nullptr) {
        std::vector<std::string> names;
        for (auto const& entry : file.entries) {
            if (entry.value.is_map()) names.push_back(entry.name);
        }
        fail({"--fit-fabric", 0, ""}, fmt::format("'{}'", name), join(names, " | "));
    }
    Value const* reference = file.find("reference");
    if (reference == nullptr)
        fail(file.place, "no reference", "the GPU that fits are started from");
    Fabric fabric{name, origin, *given, {}, reference->scalar, {}};
    Value const* fitted = given->find("fit");
    if (fitted == nullptr || !fitted->is_list()) fail(given->place, "no fit", "names of constants");
    fabric.knobs = knobs_named(fitted->items);
    std::erase_if(fabric.given.entries, [](NamedValue const& own) { return own.name == "fit"; });
    fabric.profile = read_spec<FabricProfile>(fabric.given, nullptr);
    fabric.profile.name = name;
    return fabric;
}

/// The GPUs' sections over the fabric, before its fit.
Sections sections_over(Fabric const& fabric,
                       std::set<std::string> const& gpus,
                       Library const& lib) {
    Sections sections;
    for (auto const& gpu : gpus) {
        sections[gpu] = *with_fabric(load_profile(lib, gpu), fabric.profile).collectives;
    }
    return sections;
}

std::vector<Row> rows_over(Fabric const& fabric,
                           std::vector<CollectiveSample> const& samples,
                           Library const& library) {
    std::vector<Row> rows;
    for (auto const& sample : samples) {
        if (!across(sample.query) || sample.query.op == CollectiveOp::broadcast) continue;
        auto const kind = fabric_name(library, sample.fabric);
        if (fabric.name != kind && fabric.name != all_fabrics) continue;
        auto const profile = with_fabric(load_profile(library, sample.gpu), fabric.profile);
        Collective query = sample.query;
        query.shape.in_domain = profile.collectives->nvlink;
        query = plan_collective(profile, query.op, query.size, query.shape, query.bytes_per_element,
                                sample.algorithm, query.launch)
                    .query;
        rows.push_back({sample.gpu, query, sample.seconds, sample.site, kind});
    }
    return rows;
}

std::vector<double> times_of(Sections const& sections, std::vector<Row> const& rows) {
    std::vector<double> times;
    for (auto const& row : rows) {
        times.push_back(seconds_on_branch(sections.at(row.gpu), row.query));
    }
    return times;
}

void set_knobs(Sections& sections,
               std::vector<CollectiveKnob> const& knobs,
               std::vector<double> const& values) {
    for (auto& section : sections) {
        for (std::size_t i = 0; i < knobs.size(); ++i) knobs[i].at(section.second) = values[i];
    }
}

/// The sections with the knobs, the same for all GPUs, at their best; `values` gets these.
Sections fit_sections(Sections sections,
                      Fabric const& fabric,
                      std::vector<CollectiveKnob> const& knobs,
                      std::vector<Row> const& rows,
                      std::vector<double>& values) {
    if (knobs.empty() || rows.empty()) return sections;
    std::vector<FitParameter> parameters;
    for (auto const& knob : knobs) {
        double const start = knob.at(sections.at(fabric.reference));
        parameters.push_back(
            {knob.key, std::clamp(start, knob.low, knob.high), knob.low, knob.high});
    }
    std::vector<double> measured;
    for (auto const& row : rows) measured.push_back(row.seconds);
    auto const fit = fit_log_times(parameters, measured, [&](std::vector<double> const& at) {
        set_knobs(sections, knobs, at);
        return times_of(sections, rows);
    });
    values = fit.values;
    for (auto& value : values) value = section_fit::to_four_digits(value);
    set_knobs(sections, knobs, values);
    return sections;
}

std::vector<std::string> sites_of(std::vector<Row> const& rows) {
    std::set<std::string> sites;
    for (auto const& row : rows) sites.insert(row.site);
    return {sites.begin(), sites.end()};
}

/// InfiniBand's constants that these rows determine; `told` gets their groups.
std::vector<CollectiveKnob> knobs_told_by(std::vector<Row> const& rows,
                                          std::vector<CollectiveGroup>& told) {
    constexpr std::size_t rows_per_constant = 3;
    std::vector<CollectiveKnob> knobs;
    for (auto const& group : groups_across_domains(bounds_of_nvlink)) {
        auto const count =
            std::ranges::count_if(rows, [&](Row const& row) { return group.informs(row.query); });
        if (static_cast<std::size_t>(count) < rows_per_constant * group.knobs.size()) continue;
        knobs.insert(knobs.end(), group.knobs.begin(), group.knobs.end());
        told.push_back(group);
    }
    return knobs;
}

/// Each row's time with its site left out; 0 where the other sites do not determine its branch.
/// What InfiniBand tells is in the GPUs' own constants.
std::vector<double> times_without_site(Fabric const& fabric,
                                       Sections const& sections,
                                       std::vector<Row> const& rows) {
    std::vector<double> times(rows.size());
    for (auto const& site : sites_of(rows)) {
        std::vector<Row> kept;
        bool inside = false;
        for (auto const& row : rows) {
            inside |= row.site == site && row.fabric == of_gpus;
            bool const tells = fabric.name != all_fabrics || row.fabric == of_gpus;
            if (row.site != site && tells) kept.push_back(row);
        }
        std::vector<CollectiveGroup> told;
        auto const knobs = inside ? knobs_told_by(kept, told) : fabric.knobs;
        std::vector<double> values;
        auto const without = fit_sections(sections, fabric, knobs, kept, values);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            if (rows[i].site != site) continue;
            auto const informs = [&](auto const& group) { return group.informs(rows[i].query); };
            if (inside && std::ranges::none_of(told, informs)) continue;
            times[i] = seconds_on_branch(without.at(rows[i].gpu), rows[i].query);
        }
    }
    return times;
}

/// One band of sizes, in the fit and with sites left out; no rows: there are none.
SectionFit band_fit(Fabric const& fabric,
                    std::string_view band,
                    std::vector<Row> const& rows,
                    std::vector<double> const& seen,
                    std::vector<double> const& unseen) {
    SectionFit fit;
    fit.section = "fabric " + fabric.name;
    fit.precision = band;
    fit.origin = fabric.origin;
    fit.parameters = fabric.knobs.size();
    auto const sites = sites_of(rows);
    std::vector<double> measured, predicted;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i].band() != band) continue;
        auto const site = std::ranges::find(sites, rows[i].site) - sites.begin();
        auto const group = static_cast<std::size_t>(site) + 1;
        measured.push_back(rows[i].seconds);
        predicted.push_back(seen[i]);
        places.push_back(i);
        if (unseen[i] > 0) fit.inside.push_back({rows[i].seconds, unseen[i], group, group});
    }
    fit.rows = measured.size();
    if (measured.empty()) return fit;
    if (fit.inside.empty()) {  // of the one site that tells of the branches
        for (auto const i : places) fit.inside.push_back({rows[i].seconds, seen[i], 0, 0});
    }
    fit.in_sample = errors_of(measured, predicted);
    auto const& worst = rows[places[fit.in_sample.worst_row]];
    fit.worst_at = fmt::format("{}, {} of {}, {} bytes", worst.site, name_of(worst.query.op),
                               worst.query.shape.ranks, worst.query.size.count);
    fit.left_out = section_fit::errors_inside(fit);
    return fit;
}

std::set<std::size_t> sites_in(SectionFit const& fit) {
    std::set<std::size_t> sites;
    for (auto const& row : fit.inside) sites.insert(row.group);
    return sites;
}

/// How far sites lie apart in a band of which one site is known: as InfiniBand's do; its own, as
/// in the next larger band.
Spread between_sites(Fabric const& fabric,
                     std::size_t band,
                     std::vector<SectionFit> const& fits,
                     Library const& library) {
    if (fabric.name == of_gpus) {
        NVL72_EXPECT(band + 1 < fits.size() && sites_in(fits[band + 1]).size() > 1,
                     "sites of InfiniBand");
        return spread_of(fits[band + 1].inside);
    }
    auto const others = load_fabric_profile(library, std::string(of_gpus)).spread;
    auto const row =
        std::ranges::find(others, bands[band], [](auto const& own) { return own.first; });
    NVL72_EXPECT(row != others.end(), "InfiniBand states its spread");
    return {row->second.inside.at(0), row->second.inside.at(1)};
}

/// A band's interval, with its source.
Value interval_of(Fabric const& fabric,
                  std::size_t band,
                  std::vector<SectionFit> const& fits,
                  Library const& library) {
    auto const& fit = fits[band];
    auto const sites = sites_in(fit).size();
    Spread found = spread_of(fit.inside);
    auto source = fmt::format(
        "fitted: measured over predicted of {} rows of {} sites, each site left out of the fit, "
        "10th and 90th percentile",
        fit.rows, sites);
    if (sites < 2) {
        found = together(found, between_sites(fabric, band, fits, library));
        source = fmt::format(
            "derived: {} rows of the one site, 10th and 90th percentile, and how far InfiniBand's "
            "sites lie apart",
            fit.rows);
    }
    Value row;
    std::vector<std::string> const pair{fmt::format("{:.3f}", found.low),
                                        fmt::format("{:.3f}", found.high)};
    put(row, "inside", leaf_list(pair, source));
    put(row, "outside", leaf_list(pair, "derived: the same; every cluster is another site"));
    return row;
}

/// Errors of each site by the fit without it, by size.
Table site_table(std::vector<Row> const& rows, std::vector<double> const& unseen) {
    Table table({{"site", "site left out"},
                 {"fabric", "fabric"},
                 {"sizes", "sizes"},
                 {"rows", "rows"},
                 {"median_percent", "median", 1, "%"},
                 {"p95_percent", "p95", 1, "%"}});
    for (auto const& site : sites_of(rows)) {
        for (auto const band : bands) {
            std::vector<double> measured, predicted;
            std::string fabric;
            for (std::size_t i = 0; i < rows.size(); ++i) {
                if (rows[i].site != site || rows[i].band() != band || !(unseen[i] > 0)) continue;
                measured.push_back(rows[i].seconds);
                predicted.push_back(unseen[i]);
                fabric = rows[i].fabric;
            }
            if (measured.empty()) continue;
            auto const errors = errors_of(measured, predicted);
            table.add({site, fabric, std::string(band), static_cast<std::int64_t>(measured.size()),
                       100 * errors.median, 100 * errors.p95});
        }
    }
    return table;
}

/// "fitted: 53 rows of 4 sites, logs.csv, median error 5.1 %, 95th percentile 30 %"
std::string source_of(Fabric const& fabric,
                      std::vector<Row> const& rows,
                      std::vector<double> const& seen) {
    std::vector<double> measured;
    for (auto const& row : rows) measured.push_back(row.seconds);
    auto const errors = errors_of(measured, seen);
    return fmt::format(
        "fitted: {} rows of {} sites in {}, median error {:.1f} %, 95th percentile "
        "{:.0f} %",
        rows.size(), sites_of(rows).size(), fabric.origin, 100 * errors.median, 100 * errors.p95);
}

}  // namespace

FittedFabric fit_fabric(std::string const& name,
                        std::vector<CollectiveSample> const& samples,
                        std::string const& origin,
                        Library const& library) {
    auto const fabric = load_fabric_facts(name, origin, library);
    auto const rows = rows_over(fabric, samples, library);
    if (rows.empty()) {
        throw ConfigError(
            fmt::format("--fit-fabric: no row over {} in {} (expected collectives "
                        "over several domains, with the column fabric)",
                        name, origin.empty() ? "--from" : origin));
    }
    std::set<std::string> gpus{fabric.reference};
    for (auto const& row : rows) gpus.insert(row.gpu);
    auto const start = sections_over(fabric, gpus, library);
    std::vector<double> values;
    auto const seen = times_of(fit_sections(start, fabric, fabric.knobs, rows, values), rows);
    auto const unseen = sites_of(rows).size() > 1 ? times_without_site(fabric, start, rows) : seen;

    FittedFabric result;
    Value tree;
    for (auto const& entry : fabric.given.entries) {
        if (entry.name != "spread") put(tree, entry.name, entry.value);
    }
    auto const source = source_of(fabric, rows, seen);
    for (std::size_t i = 0; i < fabric.knobs.size(); ++i) {
        auto const& knob = fabric.knobs[i];
        put(tree, knob.key,
            leaf(format_quantity(values[i], knob.dimension),
                 source + section_fit::bound_note(values[i], knob.low, knob.high)));
    }
    Value spread;
    for (auto const band : bands) {
        result.fits.push_back(band_fit(fabric, band, rows, seen, unseen));
    }
    for (std::size_t i = 0; i < bands.size(); ++i) {
        if (result.fits[i].rows == 0) continue;
        put(spread, std::string(bands[i]), interval_of(fabric, i, result.fits, library));
    }
    std::erase_if(result.fits, [](SectionFit const& fit) { return fit.rows == 0; });
    if (sites_of(rows).size() > 1) result.sites = site_table(rows, unseen);
    if (Value const* given = fabric.given.find("spread")) {
        for (auto const& row : given->entries) {
            if (spread.find(row.name) == nullptr) put(spread, row.name, row.value);
        }
    }
    put(tree, "spread", spread);
    result.text =
        "# Written by nvl72sim calibrate --fit-fabric; a new fit replaces it.\n" + yaml_text(tree);
    return result;
}

}  // namespace nvl72
