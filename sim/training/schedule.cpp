#include "sim/training/schedule.hpp"

#include "sim/base/error.hpp"

#include <algorithm>

namespace nvl72 {

namespace {

/// Warm-up forwards, then one forward and one backward in turn, then the remaining backwards.
template <class ForwardTurn, class BackwardTurn>
std::vector<Turn> one_forward_one_backward(int turns,
                                           int warm_up,
                                           ForwardTurn forward,
                                           BackwardTurn backward) {
    std::vector<Turn> order;
    order.reserve(2 * static_cast<std::size_t>(turns));
    for (int i = 0; i < warm_up; ++i) order.push_back(forward(i));
    for (int i = warm_up; i < turns; ++i) {
        order.push_back(forward(i));
        order.push_back(backward(i - warm_up));
    }
    for (int i = turns - warm_up; i < turns; ++i) order.push_back(backward(i));
    return order;
}

std::vector<Turn> plain_1f1b(PipelineShape const& shape, int stage) {
    NVL72_EXPECT(shape.chunks == 1, "plain 1F1B has one chunk per stage");
    int const warm_up = std::min(shape.micro_batches, shape.stages - 1 - stage);
    return one_forward_one_backward(
        shape.micro_batches, warm_up, [](int i) { return Turn{true, i, 0}; },
        [](int i) { return Turn{false, i, 0}; });
}

std::vector<Turn> interleaved_1f1b(PipelineShape const& shape, int stage) {
    int const turns = shape.micro_batches * shape.chunks;
    int const group = shape.stages * shape.chunks;
    auto const turn = [shape, group](int i, bool forward) {
        int const within = i % group;
        int const chunk = within / shape.stages;
        int const micro_batch = i / group * shape.stages + within % shape.stages;
        return Turn{forward, micro_batch, forward ? chunk : shape.chunks - 1 - chunk};
    };
    int const warm_up =
        std::min(turns, 2 * (shape.stages - 1 - stage) + (shape.chunks - 1) * shape.stages);
    return one_forward_one_backward(
        turns, warm_up, [turn](int i) { return turn(i, true); },
        [turn](int i) { return turn(i, false); });
}

}  // namespace

std::array<PipelineSchedule, 2> const pipeline_schedules{
    PipelineSchedule{"1f1b", "one forward, one backward; bubble (pp-1)/micro-batches", plain_1f1b},
    PipelineSchedule{"interleaved-1f1b",
                     "several model chunks per stage; bubble (pp-1)/(micro-batches*vp)",
                     interleaved_1f1b},
};

PipelineSchedule const& schedule_for(PipelineShape const& shape) {
    return pipeline_schedules.at(shape.chunks > 1 ? 1 : 0);
}

}  // namespace nvl72
