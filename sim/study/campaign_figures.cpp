#include "sim/study/campaign_figures.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <cmath>

namespace nvl72 {

std::array<CampaignColumn, 6> const campaign_columns{
    CampaignColumn{"campaign_days", "d", "wall time of the campaign", &CampaignFigures::days},
    CampaignColumn{"campaign_goodput", "1", "useful over wall time", &CampaignFigures::goodput},
    CampaignColumn{"campaign_interruptions", "", "stops of the job, planned ones included",
                   &CampaignFigures::interruptions},
    CampaignColumn{"campaign_energy_mwh", "MWh", "at the site's meter, spares included",
                   &CampaignFigures::energy_mwh},
    CampaignColumn{"campaign_carbon_t", "t", "CO2 equivalent of that", &CampaignFigures::carbon_t},
    CampaignColumn{"campaign_usd", "USD", "price, spares included", &CampaignFigures::usd},
};

Band band_of(std::vector<double> values) {
    NVL72_EXPECT(!values.empty(), "a band is of some values");
    std::ranges::sort(values);
    auto const at = [&](double share) {
        double const place = share * static_cast<double>(values.size() - 1);
        auto const below = static_cast<std::size_t>(place);
        auto const above = std::min(below + 1, values.size() - 1);
        return std::lerp(values[below], values[above], place - static_cast<double>(below));
    };
    return {at(0.1), at(0.5), at(0.9)};
}

}  // namespace nvl72
