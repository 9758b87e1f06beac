#pragma once

#include "sim/workload/campaign.hpp"

#include <optional>
#include <string>

namespace nvl72 {

/// What was published of a campaign, to stand beside its prediction. Never read by it.
struct PublishedCampaign {
    std::optional<double> goodput;
    std::optional<double> goodput_above;  ///< where only a bound was published
    std::optional<double> interruptions;
    std::optional<Seconds> between_interruptions;
};
std::vector<Field<PublishedCampaign>> const& fields_of(PublishedCampaign const*);

/// What an experiment writes under `campaign:`.
struct CampaignChoice {
    Place place;
    std::optional<double> tokens;  ///< one of the three says where it ends
    std::optional<std::int64_t> steps;
    std::optional<Seconds> wall;
    std::string reliability = "llama3-h100";
    std::optional<Seconds> interval;  ///< none: young_daly
    CheckpointMode checkpoint = CheckpointMode::asynchronous;
    std::optional<BytesPerSecond> storage;  ///< of the whole job; the table's per GPU
    std::int64_t spares = 0;
    WithoutSpare without_spare = WithoutSpare::wait;
    std::int64_t runs = 100;           ///< seeds, for the bands
    std::optional<std::string> trace;  ///< failures as they came, in place of random ones
    PublishedCampaign published;
};
std::vector<Field<CampaignChoice>> const& fields_of(CampaignChoice const*);

/// Throws ConfigError unless exactly one end is given, and for counts that no campaign has.
void check(CampaignChoice const& choice);

}  // namespace nvl72
