#include "sim/workload/choice.hpp"

#include <fmt/format.h>

namespace nvl72 {

std::vector<Field<PublishedCampaign>> const& fields_of(PublishedCampaign const*) {
    using P = PublishedCampaign;
    static std::vector<Field<P>> const fields{
        optional("goodput", &P::goodput, "", "useful over wall time"),
        optional("goodput_above", &P::goodput_above, "",
                 "the same where no more than a bound was published: more than 0.9, say"),
        optional("interruptions", &P::interruptions, "", "in all"),
        optional("between_interruptions", &P::between_interruptions, "", "mean time"),
    };
    return fields;
}

namespace {

/// "auto" is what is taken when nothing is given.
Field<CampaignChoice> interval_field() {
    auto field = optional("interval", &CampaignChoice::interval, "auto",
                          "useful time between checkpoints; auto: Young and Daly's");
    field.expects = "auto, or " + field.expects;
    field.read = [read = field.read, expects = field.expects](CampaignChoice& spec,
                                                              Value const& value, Trail* trail) {
        if (value.is_scalar() && value.scalar == "auto") return;
        bool const number = value.is_scalar() && value.scalar.find_first_of("0123456789.") == 0;
        if (!number) fail(value.place, value.is_scalar() ? value.scalar : "no time", expects);
        read(spec, value, trail);
    };
    return field;
}

}  // namespace

std::vector<Field<CampaignChoice>> const& fields_of(CampaignChoice const*) {
    using C = CampaignChoice;
    static std::vector<Field<C>> const fields{
        optional("tokens", &C::tokens, "", "to train on"),
        optional("steps", &C::steps, "", "to do"),
        optional("wall", &C::wall, "", "time after which it ends"),
        optional("reliability", &C::reliability, "llama3-h100", "name or file of failure rates"),
        interval_field(),
        optional("checkpoint", &C::checkpoint, "asynchronous",
                 "blocking | asynchronous: training waits for the storage, or only for the copy"),
        optional("storage", &C::storage, "", "bandwidth of the job's checkpoints"),
        optional("spares", &C::spares, "0", "hot spare nodes"),
        optional("without_spare", &C::without_spare, "wait",
                 "wait | shrink: for a repair, or run on without the node's replicas"),
        optional("runs", &C::runs, "100", "seeds, for the bands"),
        optional("trace", &C::trace, "", "file of failures: hours,cause"),
        optional("published", &C::published, "", "what was published of this very campaign"),
    };
    return fields;
}

void check(CampaignChoice const& choice) {
    auto const at = [&](char const* key) {
        Place place = choice.place;
        place.key += std::string(place.key.empty() ? "" : ".") + key;
        return place;
    };
    int const ends = int{choice.tokens.has_value()} + int{choice.steps.has_value()} +
                     int{choice.wall.has_value()};
    if (ends != 1)
        fail(choice.place, fmt::format("{} of tokens, steps and wall", ends),
             "one of them, at which it ends");
    if (choice.tokens && !(*choice.tokens > 0 && *choice.tokens < 1e18))
        fail(at("tokens"), fmt::format("{}", *choice.tokens), "more than 0");
    if (choice.steps && *choice.steps < 1)
        fail(at("steps"), std::to_string(*choice.steps), "1 or more");
    if (choice.wall && choice.wall->count <= 0) fail(at("wall"), "no time", "more than 0 h");
    if (choice.interval && choice.interval->count <= 0)
        fail(at("interval"), "no time", "auto, or more than 0 s");
    if (choice.storage && choice.storage->count <= 0)
        fail(at("storage"), "no bandwidth", "more than 0 B/s");
    if (choice.spares < 0 || choice.spares > 1'000'000)
        fail(at("spares"), std::to_string(choice.spares), "0 to 1000000");
    if (choice.runs < 1 || choice.runs > 100'000)
        fail(at("runs"), std::to_string(choice.runs), "1 to 100000");
}

}  // namespace nvl72
