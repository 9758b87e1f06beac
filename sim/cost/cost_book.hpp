#pragma once

#include "sim/base/ids.hpp"
#include "sim/cost/query.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace nvl72 {

/// One query, `count` times in a row.
struct CostItem {
    Query query;
    std::int64_t count = 1;
    friend auto operator<=>(CostItem const&, CostItem const&) = default;
};

/// Seconds of a composed time that stand on one basis.
struct BasisShare {
    Basis basis;
    double seconds = 0;
};

/// A composed cost: a run of kernels, or a collective.
struct PricedCost {
    Picoseconds time;
    Picoseconds bandwidth_part;
    std::vector<BasisShare> shares;
};

/// Queries interned to CostIds: a step asks for a few hundred distinct costs, however many tasks it
/// has. Prices come from a function, so that new parameters re-price the book and touch no graph.
class CostBook {
public:
    using Price = std::function<Cost(Query const&)>;

    explicit CostBook(Price price) : price_(std::move(price)) {}

    /// The id of a run of kernels; equal runs share one id.
    CostId add(std::vector<CostItem> const& items);
    [[nodiscard]] PricedCost const& cost(CostId id) const { return costs_[id.value]; }
    [[nodiscard]] std::size_t size() const { return costs_.size(); }
    /// Price of one query, memoised.
    Cost const& cost_of(Query const& query);

private:
    Price price_;
    std::map<std::vector<CostItem>, CostId> ids_;
    std::map<Query, Cost> queries_;
    std::vector<PricedCost> costs_;
};

/// Adds `added` into `shares`, one entry per distinct basis.
void merge_shares(std::vector<BasisShare>& shares, std::vector<BasisShare> const& added, double times);

/// The worst basis that holds at least 5 % of the time, and its share of the whole.
struct BasisVerdict {
    Basis basis;
    double share = 1;
};
BasisVerdict verdict(std::vector<BasisShare> const& shares);

/// "interpolated (7 % extrapolated: attention, head dim)"
std::string describe(BasisVerdict const& verdict);

}  // namespace nvl72
