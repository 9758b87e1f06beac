#include "kernels/measure/summary.hpp"

#include "kernels/measure/method.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nvl72::measure {

namespace {

using Line = std::vector<std::string>;

/// What every kind of case shows besides its own columns.
struct Shown {
    double median_s;
    double spread_percent;
    std::int64_t outliers;
};

Shown shown(CaseTimes const& times) {
    std::vector<double> seconds;
    std::int64_t far = 0;
    for (auto const& block : times.blocks) {
        seconds.push_back(block.time_s);
        far += block.outlier;
    }
    double const centre = median(seconds);
    return {centre, 100 * scaled_deviation(seconds) / centre, far};
}

std::string gigabytes_per_s(double bytes, double seconds) {
    return fmt::format("{:.2f}", bytes / seconds / 1e9);
}

/// The names of the columns that differ from kind to kind, and their values.
struct Heads {
    Line operator()(CollectiveRow const&) const {
        return {"op",    "algorithm", "protocol", "launch",
                "ranks", "bytes",     "in place", "busbw (GB/s)"};
    }
    Line operator()(GemmRow const&) const {
        return {"precision", "m", "n", "k", "launch", "rate (TFLOP/s)"};
    }
    Line operator()(MemoryRow const&) const { return {"kind", "bytes", "traffic (GB/s)"}; }
    Line operator()(CopyRow const&) const { return {"from", "to", "engine", "bytes", "GB/s"}; }
    Line operator()(LaunchRow const&) const { return {"kind"}; }
    Line operator()(OverlapRow const&) const { return {"what", "m", "n", "k", "beside", "sms"}; }
};

struct Cells {
    double seconds;
    Line operator()(CollectiveRow const& r) const {
        auto const bus = static_cast<double>(r.bytes) * bus_factor(r.op, r.ranks);
        return {r.op,
                r.algorithm,
                r.protocol,
                r.launch,
                std::to_string(r.ranks),
                std::to_string(r.bytes),
                r.in_place ? "yes" : "no",
                gigabytes_per_s(bus, seconds)};
    }
    Line operator()(GemmRow const& r) const {
        double const flops =
            2.0 * static_cast<double>(r.m) * static_cast<double>(r.n) * static_cast<double>(r.k);
        return {r.precision,
                std::to_string(r.m),
                std::to_string(r.n),
                std::to_string(r.k),
                r.launch,
                fmt::format("{:.1f}", flops / seconds / 1e12)};
    }
    Line operator()(MemoryRow const& r) const {
        return {r.kind, std::to_string(r.bytes),
                gigabytes_per_s(static_cast<double>(r.traffic_bytes), seconds)};
    }
    Line operator()(CopyRow const& r) const {
        return {r.from, r.to, r.engine, std::to_string(r.bytes),
                gigabytes_per_s(static_cast<double>(r.bytes), seconds)};
    }
    Line operator()(LaunchRow const& r) const { return {r.kind}; }
    Line operator()(OverlapRow const& r) const {
        return {r.what, std::to_string(r.m),  std::to_string(r.n), std::to_string(r.k),
                r.op,   std::to_string(r.sms)};
    }
};

std::string aligned(std::vector<Line> const& lines) {
    std::vector<std::size_t> widths(lines.front().size());
    for (auto const& line : lines) {
        for (std::size_t i = 0; i < line.size(); ++i)
            widths[i] = std::max(widths[i], line[i].size());
    }
    std::string text;
    for (auto const& line : lines) {
        std::string row = " ";
        for (std::size_t i = 0; i < line.size(); ++i) {
            row += fmt::format(" {:>{}}", line[i], widths[i]);
        }
        text += row + "\n";
    }
    return text;
}

}  // namespace

double bus_factor(std::string const& op, std::int64_t ranks) {
    auto const n = static_cast<double>(ranks);
    if (op == "all_reduce") return 2 * (n - 1) / n;
    if (op == "all_gather" || op == "reduce_scatter" || op == "alltoall") return (n - 1) / n;
    return 1;
}

std::string summary_text(std::vector<CaseTimes> const& cases) {
    std::string text;
    for (std::size_t kind = 0; kind < std::variant_size_v<CaseRow>; ++kind) {
        std::vector<Line> lines;
        for (auto const& one : cases) {
            if (one.row.index() != kind || one.blocks.empty()) continue;
            if (lines.empty()) {
                lines.push_back(std::visit(Heads{}, one.row));
                lines.back().insert(lines.back().end(), {"median (us)", "spread (%)", "outliers"});
                text += table_of(one.row) + "\n";
            }
            auto const numbers = shown(one);
            auto line = std::visit(Cells{numbers.median_s}, one.row);
            line.insert(line.end(), {fmt::format("{:.3f}", numbers.median_s * 1e6),
                                     fmt::format("{:.1f}", numbers.spread_percent),
                                     std::to_string(numbers.outliers)});
            lines.push_back(std::move(line));
        }
        if (!lines.empty()) text += aligned(lines);
    }
    return text;
}

}  // namespace nvl72::measure
