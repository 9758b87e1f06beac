#include "sim/training/turn_times.hpp"

#include <algorithm>

namespace nvl72 {

namespace {

constexpr auto ep = static_cast<std::size_t>(ParallelDimension::ep);

/// How often `part` is in `whole`.
int count_of(ChunkContent const& part, ChunkContent const& whole) {
    for (std::size_t kind = 0; kind < part.layers.size(); ++kind) {
        if (part.layers.at(kind) > 0) return whole.layers.at(kind);
    }
    if (part.embedding) return whole.embedding ? 1 : 0;
    if (part.head) return whole.head ? 1 : 0;
    return whole.mtp;
}

}  // namespace

TurnTime& TurnTime::operator+=(TurnTime const& more) {
    compute += more.compute;
    exposed += more.exposed;
    ep_exposed += more.ep_exposed;
    ep_hidden += more.ep_hidden;
    kernels += more.kernels;
    return *this;
}

TurnTime TurnTime::times(int count) const {
    return {compute * count, exposed * count, ep_exposed * count, ep_hidden * count,
            kernels * count};
}

TurnTime turn_time(TurnCost const& cost) {
    TurnTime time{cost.compute.time, {}, {}, {}, cost.kernels};
    for (std::size_t d = 0; d < parallel_dimensions; ++d) {
        auto const& communication = cost.communication.at(d);
        (d == ep ? time.ep_exposed : time.exposed) += communication.exposed.time;
    }
    time.ep_hidden = cost.communication.at(ep).hidden;
    return time;
}

TurnTime overlapped_time(TurnTime const& forward, TurnTime const& backward) {
    TurnTime both{forward.compute + backward.compute,
                  forward.exposed + backward.exposed,
                  {},
                  {},
                  forward.kernels + backward.kernels};
    for (auto const& [own, partner] :
         {std::pair(&forward, &backward), std::pair(&backward, &forward)}) {
        Picoseconds const outlasts =
            std::max(Picoseconds{0}, own->ep_hidden + own->ep_exposed - partner->compute);
        Picoseconds const shown = std::min(own->ep_exposed, outlasts);
        both.ep_exposed += shown;
        both.ep_hidden += own->ep_hidden + own->ep_exposed - shown;
    }
    return both;
}

TurnTimes::TurnTimes(Architecture const& model,
                     PrecisionPolicy const& precision,
                     Recipe const& recipe,
                     Profile const& profile,
                     CostBook& book,
                     TurnShape const& shape,
                     bool halves)
    : launch_(recipe.kernel_launch) {
    // A part alone may be launched slower than it runs, a chunk of them not.
    Recipe unlaunched = recipe;
    unlaunched.kernel_launch = {};
    TurnPricer const pricer(model, precision, unlaunched, profile, book);
    auto const held = model.count_layers(0, model.layers);
    auto const mtp = model.mtp_layers > 0 ? 1 : 0;
    std::size_t next = 0;
    auto const add = [&](ChunkContent const& content, bool there) {
        Part& part = parts_.at(next++);
        part.content = content;
        if (!there) return;
        part.times.forward = turn_time(pricer.forward(content, shape));
        part.times.backward = turn_time(pricer.backward(content, shape));
        if (!halves) return;
        part.times.inputs = turn_time(pricer.backward(content, shape, Gradients::inputs));
        part.times.weights = turn_time(pricer.backward(content, shape, Gradients::weights));
    };
    for (std::size_t kind = 0; kind < held.size(); ++kind) {
        ChunkContent content;
        content.layers.at(kind) = 1;
        add(content, held.at(kind) > 0);
    }
    add({{}, true, false, 0}, true);
    add({{}, false, true, 0}, true);
    add({{}, false, false, 1}, mtp > 0);
}

ChunkTurnTimes TurnTimes::of(ChunkContent const& chunk) const {
    ChunkTurnTimes sum;
    constexpr std::array turns{&ChunkTurnTimes::forward, &ChunkTurnTimes::backward,
                               &ChunkTurnTimes::inputs, &ChunkTurnTimes::weights};
    for (Part const& part : parts_) {
        int const count = count_of(part.content, chunk);
        if (count == 0) continue;
        for (auto const turn : turns) sum.*turn += (part.times.*turn).times(count);
    }
    for (auto const turn : turns) {
        TurnTime& own = sum.*turn;
        own.compute = std::max(own.compute, launch_ * own.kernels);
    }
    return sum;
}

}  // namespace nvl72
