#include "sim/study/fit_memory.hpp"

#include "sim/cost/memory_cost.hpp"
#include "sim/study/section_fit.hpp"

#include <algorithm>
#include <iterator>
#include <set>

namespace nvl72 {

namespace {

using Knob = section_fit::Knob<MemorySection>;
using Row = section_fit::Row<MemoryTraffic>;

constexpr std::size_t constants = 2;
constexpr std::size_t rows_least = 3 * constants;

/// Rows in the order of the samples; their traffics numbered in ascending order.
std::vector<Row> rows_of(std::vector<SampledMemory> const& samples) {
    std::set<std::int64_t> traffics;
    for (auto const& sample : samples) traffics.insert(sample.traffic_bytes);
    std::vector<Row> rows;
    for (auto const& sample : samples) {
        auto const place = std::distance(traffics.begin(), traffics.find(sample.traffic_bytes));
        rows.push_back({MemoryTraffic{Bytes{sample.traffic_bytes}, 1}, sample.seconds,
                        static_cast<std::size_t>(place), 0});
    }
    return rows;
}

/// Starting at the quickest row's rate and the shortest row's time.
std::vector<Knob> knobs_of(std::vector<Row> const& rows) {
    double rate = 0;
    double launch = 1;
    for (auto const& row : rows) {
        rate = std::max(rate, static_cast<double>(row.kernel.traffic.count) / row.seconds);
        launch = std::min(launch, row.seconds);
    }
    return {{"rate", Dimension::bytes_per_second, rate, rate / 1e3, rate * 10,
             [](MemorySection& s) -> double& { return s.rate.count; }},
            {"launch", Dimension::seconds, launch / 2, 1e-8, 1,
             [](MemorySection& s) -> double& { return s.launch.count; }}};
}

double seconds_of(MemorySection const& section, MemoryTraffic const& memory) {
    return section.launch.count + static_cast<double>(memory.traffic.count) / section.rate.count;
}

}  // namespace

FittedSection fit_memory(std::vector<SampledMemory> const& samples, std::string const& origin) {
    auto rows = rows_of(samples);
    auto const one_traffic = std::ranges::all_of(
        rows, [&](Row const& row) { return row.kernel == rows.front().kernel; });
    if (rows.size() < rows_least || one_traffic) return {};
    section_fit::mark_largest(rows, [](MemoryTraffic const& memory) {
        return static_cast<double>(memory.traffic.count);
    });
    auto const knobs = knobs_of(rows);
    section_fit::SecondsOf<MemorySection, MemoryTraffic> const seconds = seconds_of;
    MemorySection section;
    SectionFit fit{"memory", "", rows.size(), knobs.size(), {}, "", {}, {}, {}, origin};
    auto const unseen = section_fit::predict_unseen(section, knobs, rows, seconds);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        section_fit::add_unseen(fit, rows[i], unseen.inside[i], unseen.outside[i]);
    }
    if (!fit.inside.empty()) fit.left_out = section_fit::errors_inside(fit);
    std::vector<double> passes;
    for (auto const& sample : samples) {
        std::ranges::copy(sample.over_quickest, std::back_inserter(passes));
    }
    fit.between = between_passes(std::move(passes));
    section = section_fit::fit_section(section, knobs, rows, seconds);
    fit.in_sample =
        errors_of(section_fit::measured(rows), section_fit::predict(section, rows, seconds));
    auto const& worst = samples[fit.in_sample.worst_row];
    fit.worst_at = fmt::format("{} of {} bytes", worst.kind, worst.bytes);
    FittedSection result;
    section_fit::put_knobs(result.yaml, section, knobs, section_fit::source_text(fit));
    result.fits.push_back(std::move(fit));
    return result;
}

}  // namespace nvl72
