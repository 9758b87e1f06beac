#include "sim/study/equal.hpp"

#include "sim/base/text.hpp"
#include "topology/fabric.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>

namespace nvl72 {
namespace {

/// Of one GPU with its share of rack or box.
double each_gpu(Point const& point, EqualIn in, Fabric const& fabric, Library const& library) {
    ClusterSpec const& cluster = fabric.cluster();
    switch (in) {
        case EqualIn::gpus: return 1;
        case EqualIn::power: return cluster.unit_power.count / cluster.gpus_per_unit;
        case EqualIn::peak: return fabric.gpu().peak.bf16.count;
        case EqualIn::cost: break;
    }
    auto const setting = load_power(point.system.power, library, cluster.kind, cluster.gpu,
                                    fabric.gpu().tdp, cluster.unit_power);
    if (!setting || !setting->usd_per_gpu_hour) {
        fail(point.system.place, fmt::format("no rent of {}", cluster.gpu),
             "power: {usd_per_gpu_hour: ...} of this system");
    }
    return *setting->usd_per_gpu_hour;
}

/// A cluster as large as it gets: equal numbers are no multiple of a rack.
Fabric fabric_of(Point const& point, Library const& library) {
    return build_fabric(point.system.cluster, library);
}

double amount_of(Point const& point, std::vector<Point> const& points, Library const& library) {
    EqualChoice const& equal = *point.system.equal;
    if (equal.to.has_value() == equal.amount.has_value()) {
        fail(equal.place, "both or neither of to and amount", "one of them");
    }
    if (equal.amount) {
        if (equal.in != EqualIn::power) fail(equal.place, "an amount", "in: power");
        return equal.amount->count;
    }
    std::vector<std::string> names;
    for (Point const& other : points) {
        if (other.system.equal) continue;
        if (other.tag.name == *equal.to) {
            Fabric const fabric = fabric_of(other, library);
            return static_cast<double>(fabric.gpus()) * each_gpu(other, equal.in, fabric, library);
        }
        names.push_back(other.tag.name);
    }
    fail(equal.place, fmt::format("to '{}'", *equal.to),
         fmt::format("a system without equal: {}", join(names)));
}

/// GPUs of the smallest job of this layout.
std::int64_t replica_of(Layout const& layout) {
    std::int64_t const stage = std::int64_t{layout.tp} * layout.cp;
    std::int64_t const experts = std::int64_t{layout.ep} * layout.expert_tp.value_or(1);
    return std::lcm(stage, experts) * layout.pp;
}

}  // namespace

std::vector<std::string> make_equal(std::vector<Point>& points, Library const& library) {
    std::vector<std::string> notes;
    for (Point& point : points) {
        if (!point.system.equal) continue;
        SystemSpec& system = point.system;
        // The cluster's own size says nothing here; the smallest that may stand is asked of it.
        system.cluster.gpus = replica_of(system.layout);
        double const amount = amount_of(point, points, library);
        double const each = each_gpu(point, system.equal->in, fabric_of(point, library), library);
        std::int64_t const replica = replica_of(system.layout);
        auto const wanted = static_cast<std::int64_t>(std::floor(amount / each * (1 + 1e-9)));
        if (wanted < replica) {
            fail(system.equal->place, fmt::format("{} GPUs", wanted),
                 fmt::format("at least the {} of one replica of this layout", replica));
        }
        std::int64_t const gpus = wanted / replica * replica;
        Layout const& layout = system.layout;
        std::int64_t const dp = gpus / (std::int64_t{layout.tp} * layout.cp * layout.pp);
        std::int64_t const divisor = dp * layout.micro_batch * (layout.vp > 1 ? layout.pp : 1);
        std::int64_t const before = system.global_batch.value;
        auto const times = std::llround(static_cast<double>(before) / static_cast<double>(divisor));
        system.cluster.gpus = gpus;
        system.global_batch.value = divisor * std::max<std::int64_t>(1, times);
        notes.push_back(fmt::format(
            "{}: {} GPUs at equal {}; batch {} of {}, the nearest that {} replicas divide",
            system.name, with_commas(gpus), name_of(system.equal->in),
            with_commas(system.global_batch.value), with_commas(before), with_commas(dp)));
    }
    return notes;
}

}  // namespace nvl72
