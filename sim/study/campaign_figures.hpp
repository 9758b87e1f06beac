#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// 10th percentile, median and 90th percentile over a campaign's runs. NaN: no campaign.
struct Band {
    double p10 = std::numeric_limits<double>::quiet_NaN();
    double p50 = p10, p90 = p10;
};

/// What a point's campaign comes to, as columns of /sweep.
struct CampaignFigures {
    Band days, goodput, interruptions, energy_mwh, carbon_t, usd;

    [[nodiscard]] bool known() const { return days.p50 == days.p50; }
};

/// A figure of a campaign: its name (three columns: _p10, _p50, _p90) and its member.
struct CampaignColumn {
    std::string_view column, unit, help;
    Band CampaignFigures::* member;
};
extern std::array<CampaignColumn, 6> const campaign_columns;

/// A percentile's ending of a column and its member.
struct BandColumn {
    std::string_view ending;
    double Band::* member;
};
inline constexpr std::array band_columns{
    BandColumn{"_p10", &Band::p10}, BandColumn{"_p50", &Band::p50}, BandColumn{"_p90", &Band::p90}};

/// Percentiles of the values, between two of them in proportion.
Band band_of(std::vector<double> values);

}  // namespace nvl72
