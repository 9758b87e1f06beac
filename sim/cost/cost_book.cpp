#include "sim/cost/cost_book.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace nvl72 {

namespace {

constexpr double share_that_counts = 0.05;  // DESIGN: the worst basis that holds >= 5 %

}  // namespace

void PricedCost::add(Cost const& cost, std::int64_t count) {
    time += cost.time * count;
    bandwidth_part += cost.bandwidth_part * count;
    merge_shares(shares, {{cost.basis, to_seconds(cost.time)}}, static_cast<double>(count));
}

Cost const& CostBook::price(Query const& query) {
    auto const found = queries_.find(query);
    if (found != queries_.end()) return found->second;
    Cost const cost = price_(query);
    NVL72_EXPECT(cost.time.count > 0, "a query takes time");
    NVL72_EXPECT(cost.bandwidth_part.count >= 0 && cost.bandwidth_part <= cost.time,
                 "the bandwidth part is a part of the time");
    return queries_.emplace(query, cost).first->second;
}

CostId CostBook::add(PricedCost composed) {
    costs_.push_back(std::move(composed));
    return CostId{static_cast<std::uint32_t>(costs_.size() - 1)};
}

void merge_shares(std::vector<BasisShare>& shares,
                  std::vector<BasisShare> const& added,
                  double times) {
    for (BasisShare const& share : added) {
        auto const same = std::ranges::find_if(shares, [&](BasisShare const& known) {
            return known.basis.kind == share.basis.kind && known.basis.why == share.basis.why;
        });
        if (same != shares.end()) {
            same->seconds += share.seconds * times;
        } else {
            shares.push_back({share.basis, share.seconds * times});
        }
    }
}

BasisVerdict verdict(std::vector<BasisShare> const& shares) {
    double total = 0;
    std::array<double, 4> by_kind{};
    for (BasisShare const& share : shares) {
        by_kind.at(static_cast<std::size_t>(share.basis.kind)) += share.seconds;
        total += share.seconds;
    }
    NVL72_EXPECT(total > 0, "a basis belongs to a time");
    for (std::size_t kind = by_kind.size(); kind-- > 0;) {
        if (by_kind.at(kind) < share_that_counts * total) continue;
        // Named by its largest reason.
        BasisShare const* largest = nullptr;
        bool alone = true;
        for (BasisShare const& share : shares) {
            if (static_cast<std::size_t>(share.basis.kind) != kind) continue;
            alone = alone && largest == nullptr;
            if (largest == nullptr || share.seconds > largest->seconds) largest = &share;
        }
        NVL72_EXPECT(largest != nullptr, "a kind with time has a share");
        return {largest->basis, by_kind.at(kind) / total, alone};
    }
    NVL72_EXPECT(false, "one of four kinds holds a quarter of the time");
    return {};
}

std::string describe(BasisVerdict const& verdict) {
    std::string text = name_of(verdict.basis.kind);
    bool const partial = verdict.share < 0.995;
    if (partial) text += fmt::format(" ({:.0f} %", verdict.share * 100);
    if (!verdict.basis.why.empty()) {
        text += fmt::format("{}{}{}", partial ? ", " : " (", verdict.alone ? "" : "mostly ",
                            verdict.basis.why);
    }
    if (partial || !verdict.basis.why.empty()) text += ")";
    return text;
}

}  // namespace nvl72
