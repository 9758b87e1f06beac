#include "sim/cost/bound.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace nvl72 {

namespace {

double seconds_of(CollectiveSection const& section, Collective const& query) {
    return collective_seconds(section, collective_terms(section, query));
}

/// Share of the time that a rate, made 1 % higher, answers for.
double answers(CollectiveSection const& section,
               Collective query,
               BytesPerSecond GroupShape::* rate,
               double now) {
    constexpr double more = 1.01;
    query.shape.*rate = query.shape.*rate * more;
    return std::log(now / seconds_of(section, query)) / std::log(more);
}

}  // namespace

std::string bound_by(CollectiveSection const& section, Collective const& query) {
    auto const terms = collective_terms(section, query);
    double const now = collective_seconds(section, terms);
    auto without = [&](double CollectiveTerms::* part) {
        auto less = terms;
        less.*part = 0;
        return 1 - collective_seconds(section, less) / now;
    };
    double const nvlink = answers(section, query, &GroupShape::in_domain, now);
    double const nic =
        query.shape.domains > 1 ? answers(section, query, &GroupShape::per_gpu_nic, now) : 0;
    double const latency = without(&CollectiveTerms::latency);
    std::array<std::pair<double, char const*>, 5> const parts{
        {{latency, "latency"},
         {nic, "NIC"},
         {nvlink, "NVLink"},
         {without(&CollectiveTerms::launching), "launch"},
         {without(&CollectiveTerms::transfer) - nic - nvlink, "channels"}}};
    return std::ranges::max_element(parts, {}, [](auto const& part) { return part.first; })->second;
}

}  // namespace nvl72
