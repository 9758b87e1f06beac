#include "sim/serving/layout.hpp"

#include <fmt/format.h>

namespace nvl72 {

namespace {

void expect_divides(
    ServingLayout const& layout, std::int64_t whole, int parts, char const* key, char const* what) {
    if (parts >= 1 && whole % parts == 0) return;
    Place place = layout.place;
    place.key = place.key.empty() ? key : place.key + "." + key;
    fail(place, fmt::format("{}", parts), fmt::format("a divisor of {} {}", whole, what));
}

}  // namespace

std::vector<Field<ServingLayout>> const& fields_of(ServingLayout const*) {
    static std::vector<Field<ServingLayout>> const fields{
        optional("tp", &ServingLayout::tp, "1", "ranks that share attention"),
        optional("pp", &ServingLayout::pp, "1", "pipeline stages"),
        optional("attention_dp", &ServingLayout::attention_dp, "1",
                 "groups of tp ranks, each with requests of its own"),
        optional("expert_tp", &ServingLayout::expert_tp, "0",
                 "ranks that share each expert; 0: what expert_ep leaves"),
        optional("expert_ep", &ServingLayout::expert_ep, "0",
                 "ranks that experts are spread over; 0: what expert_tp leaves, or 1"),
    };
    return fields;
}

ServingLayout checked(ServingLayout layout, Architecture const& model) {
    expect_divides(layout, model.heads, layout.tp, "tp", "heads");
    expect_divides(layout, model.layers, layout.pp, "pp", "layers");
    if (layout.attention_dp < 1) {
        expect_divides(layout, layout.stage_gpus(), layout.attention_dp, "attention_dp", "ranks");
    }
    if (model.experts == 0) {
        layout.expert_tp = layout.stage_gpus();
        layout.expert_ep = 1;
        return layout;
    }
    int const ranks = layout.stage_gpus();
    if (layout.expert_ep == 0 && layout.expert_tp == 0) layout.expert_ep = 1;
    if (layout.expert_ep == 0) {
        expect_divides(layout, ranks, layout.expert_tp, "expert_tp", "ranks");
        layout.expert_ep = ranks / layout.expert_tp;
    }
    if (layout.expert_tp == 0) {
        expect_divides(layout, ranks, layout.expert_ep, "expert_ep", "ranks");
        layout.expert_tp = ranks / layout.expert_ep;
    }
    if (layout.expert_tp * layout.expert_ep != ranks) {
        fail(layout.place,
             fmt::format("expert_tp {} x expert_ep {}", layout.expert_tp, layout.expert_ep),
             fmt::format("tp x attention_dp = {}", ranks));
    }
    expect_divides(layout, model.experts, layout.expert_ep, "expert_ep", "experts");
    expect_divides(layout, model.expert_ffn, layout.expert_tp, "expert_tp", "inner columns");
    return layout;
}

ServingGroups groups_of(ServingLayout const& layout, Fabric const& fabric) {
    ServingGroups groups;
    groups.tp = fabric.shape_of(0, 1, layout.tp);
    groups.stage = fabric.shape_of(0, 1, layout.stage_gpus());
    if (layout.pp > 1) groups.next = fabric.shape_of(0, layout.stage_gpus(), 2);
    groups.nic = fabric.nic_per_gpu();
    return groups;
}

}  // namespace nvl72
