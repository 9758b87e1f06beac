#include "sim/serving/cache.hpp"

#include "sim/base/error.hpp"
#include "sim/model/closed_form.hpp"

#include <fmt/format.h>

namespace nvl72 {

namespace {

/// Elements that one rank keeps of a token in one layer. A latent is one for all heads, so that
/// every rank keeps all of it; a head is never cut.
double token_width(Architecture const& model, int tp) {
    if (model.latent()) return static_cast<double>(model.kv_rank + model.rope_dim);
    auto const heads = std::max<std::int64_t>(1, model.kv_heads / tp);
    return static_cast<double>(heads * (model.head_dim + model.value_width()));
}

struct LayerSplit {
    double whole = 0, windowed = 0;
};
LayerSplit layer_split(Architecture const& model) {
    auto const counts = model.count_layers(0, model.layers);
    LayerSplit split;
    for (auto const kind : layer_kinds) {
        auto& sum = kind.windowed && model.window > 0 ? split.windowed : split.whole;
        sum += counts[kind.index()];
    }
    return split;
}

}  // namespace

double weight_bytes(Architecture const& model,
                    ServingPrecision const& precision,
                    ServingLayout const& layout) {
    auto const parameters = parameters_of(model);
    auto const real = [](std::int64_t count) { return static_cast<double>(count); };
    double const matrices =
        real(parameters.attention + parameters.ffn) *
        stored_bytes(model.experts > 0 ? precision.beside_experts.value_or(precision.linear)
                                       : precision.linear) /
        layout.tp;
    double const experts = real(parameters.experts) * stored_bytes(precision.experts) /
                           (layout.expert_tp * layout.expert_ep);
    double const tables =
        real(parameters.embedding + parameters.output) * stored_bytes(precision.head) / layout.tp;
    return (matrices + experts) / layout.pp + tables;
}

double cache_bytes(Architecture const& model, ServingPrecision const& precision, double tokens) {
    auto const [whole, windowed] = layer_split(model);
    double const width = token_width(model, 1) * stored_bytes(precision.kv);
    return width *
           (tokens * whole + std::min(tokens, static_cast<double>(model.window)) * windowed);
}

CacheRoom cache_room(Architecture const& model,
                     ServingPrecision const& precision,
                     ServingLayout const& layout,
                     BatchPolicy const& batch,
                     Bytes hbm) {
    auto const [whole, windowed] = layer_split(model);
    double const width = token_width(model, layout.tp) * stored_bytes(precision.kv) / layout.pp;
    CacheRoom cache{width * whole, width * windowed, model.window, 0};
    double const all = static_cast<double>(hbm.count);
    double const held =
        weight_bytes(model, precision, layout) + static_cast<double>(batch.reserve.count);
    cache.room =
        batch.share_of_all ? all * batch.memory_share - held : (all - held) * batch.memory_share;
    if (cache.room <= 0) {
        throw DoesNotFit(fmt::format(
            "{}: weights and reserve take {:.1f} GB of the {:.1f} GB that a GPU has for them "
            "(expected more tp, pp or expert_ep, or fewer bits)",
            model.name, held / 1e9, all * (batch.share_of_all ? batch.memory_share : 1) / 1e9));
    }
    return cache;
}

}  // namespace nvl72
