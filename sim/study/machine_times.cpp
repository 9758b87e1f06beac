#include "sim/study/machine_times.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <tuple>

namespace nvl72 {

namespace {

std::string micro(double seconds) { return fmt::format("{:.2f} us", seconds * 1e6); }
std::string rate(double bytes_per_second) {
    return fmt::format("{:.1f} GB/s", bytes_per_second / 1e9);
}

/// "gpu3" is a GPU like others.
std::string side(std::string const& place) { return place.starts_with("gpu") ? "gpu" : place; }

void add_launches(Table& table,
                  std::vector<SampledLaunch> const& launches,
                  ReckonedTimes const& reckoned) {
    std::string ours;
    if (!reckoned.gemm_launch.empty()) ours = "GEMM " + reckoned.gemm_launch;
    if (!reckoned.memory_launch.empty()) {
        ours += (ours.empty() ? "" : ", ") + ("memory kernel " + reckoned.memory_launch);
    }
    for (auto const& launch : launches) {
        bool const started = launch.kind == "kernel" || launch.kind == "graph";
        table.add({"launch " + launch.kind, launch.blocks, micro(launch.seconds),
                   micro(launch.quickest), micro(launch.slowest),
                   started && !ours.empty() ? Cell{ours} : Cell{}});
    }
}

void add_copies(Table& table, std::vector<SampledCopy> const& copies) {
    std::map<std::tuple<std::string, std::string, std::string>, std::vector<SampledCopy>> kinds;
    for (auto const& copy : copies) {
        auto& kind = kinds[{side(copy.from), side(copy.to), copy.engine}];
        if (!kind.empty() && kind.front().bytes > copy.bytes) continue;
        if (!kind.empty() && kind.front().bytes < copy.bytes) kind.clear();
        kind.push_back(copy);
    }
    for (auto const& [key, pairs] : kinds) {
        std::vector<double> rates;
        std::int64_t blocks = 0;
        for (auto const& pair : pairs) {
            rates.push_back(static_cast<double>(pair.bytes) / pair.seconds);
            blocks += pair.blocks;
        }
        std::ranges::sort(rates);
        table.add({fmt::format("copy {} to {} by {}, {} bytes", std::get<0>(key), std::get<1>(key),
                               std::get<2>(key), pairs.front().bytes),
                   blocks, rate(rates[rates.size() / 2]), rate(rates.front()), rate(rates.back()),
                   Cell{}});
    }
}

void add_overlaps(Table& table,
                  std::vector<SampledOverlap> const& overlaps,
                  ReckonedTimes const& reckoned) {
    for (auto const& with : overlaps) {
        bool const gemm = with.what == "gemm_with";
        if (!gemm && with.what != "collective_with") continue;
        auto const alone = std::ranges::find_if(overlaps, [&](SampledOverlap const& other) {
            return other.what == (gemm ? "gemm_alone" : "collective_alone") &&
                   std::tie(other.precision, other.m, other.n, other.k, other.op, other.algorithm,
                            other.protocol, other.ranks, other.bytes, other.sms) ==
                       std::tie(with.precision, with.m, with.n, with.k, with.op, with.algorithm,
                                with.protocol, with.ranks, with.bytes, with.sms);
        });
        if (alone == overlaps.end()) continue;
        auto const times = [&](double factor) { return fmt::format("{:.3f} x", factor); };
        auto const slower = [&](double seconds) { return times(seconds / alone->seconds); };
        Cell ours;
        if (reckoned.sms > 0) {
            ours = times(gemm ? 1 + static_cast<double>(with.sms) / reckoned.sms : 1);
        }
        table.add({fmt::format("{} beside {}, {} SMs", gemm ? "GEMM" : with.op,
                               gemm ? with.op : "GEMM", with.sms),
                   with.blocks, slower(with.seconds), slower(with.quickest), slower(with.slowest),
                   ours});
    }
}

template <class Case>
void append(std::vector<Case>& to, std::vector<Case> const& from) {
    to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

void MachineTimes::add(MachineTimes const& more) {
    append(launches, more.launches);
    append(copies, more.copies);
    append(overlaps, more.overlaps);
}

Table table_of(MachineTimes const& times, ReckonedTimes const& reckoned) {
    Table table({{"what", "what"},
                 {"blocks", "blocks"},
                 {"measured", "measured"},
                 {"from", "from"},
                 {"to", "to"},
                 {"simulator", "the simulator's"}});
    add_launches(table, times.launches, reckoned);
    add_copies(table, times.copies);
    add_overlaps(table, times.overlaps, reckoned);
    return table;
}

}  // namespace nvl72
