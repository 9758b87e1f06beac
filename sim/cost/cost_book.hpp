#pragma once

#include "sim/base/ids.hpp"
#include "sim/cost/query.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace nvl72 {

/// Seconds of a composed time that stand on one basis.
struct BasisShare {
    Basis basis;
    double seconds = 0;
};

/// A composed cost: a run of kernels, or a collective.
struct PricedCost {
    Picoseconds time;
    Picoseconds bandwidth_part;  ///< of `time`: what shares resources; the rest is latency
    std::vector<BasisShare> shares;
    Picoseconds hbm_part{};  ///< of `time`: kernels that HBM bounds (MemoryTraffic)

    /// Appends one query's cost, `count` times.
    void add(Cost const& cost, std::int64_t count = 1);
};

/// Prices of a step: each query is priced once, however many tasks ask, and tasks hold CostIds of
/// what was composed from them. New parameters mean a new book over the same few hundred queries.
class CostBook {
public:
    using Price = std::function<Cost(Query const&)>;

    explicit CostBook(Price price) : price_(std::move(price)) {}

    /// Price of one query, memoised.
    Cost const& price(Query const& query);
    CostId add(PricedCost composed);
    [[nodiscard]] PricedCost const& cost(CostId id) const { return costs_[id.value]; }
    [[nodiscard]] std::vector<PricedCost> const& costs() const { return costs_; }

private:
    Price price_;
    std::map<Query, Cost> queries_;
    std::vector<PricedCost> costs_;
};

/// Adds `added` into `shares`, one entry per distinct basis.
void merge_shares(std::vector<BasisShare>& shares,
                  std::vector<BasisShare> const& added,
                  double times);

/// The worst basis that holds at least 5 % of the time, and its share of the whole.
struct BasisVerdict {
    Basis basis;        ///< named by the largest reason of its kind
    double share = 1;   ///< of the time, all reasons of the kind together
    bool alone = true;  ///< that reason is the only one
};
BasisVerdict verdict(std::vector<BasisShare> const& shares);

/// "extrapolated (20 %, mostly attention kv heads below 2)"
std::string describe(BasisVerdict const& verdict);

}  // namespace nvl72
