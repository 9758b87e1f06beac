#include "sim/parallel/schedule.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace nvl72 {

std::optional<Visit> Turn::runs_forward() const {
    bool const runs = kind == TurnKind::forward || kind == TurnKind::overlapped;
    return runs ? std::optional(own) : std::nullopt;
}

std::optional<Visit> Turn::returns_gradient() const {
    switch (kind) {
        case TurnKind::backward:
        case TurnKind::input_gradient: return own;
        case TurnKind::overlapped: return backward;
        default: return std::nullopt;
    }
}

std::optional<Visit> Turn::ends_backward() const {
    switch (kind) {
        case TurnKind::backward:
        case TurnKind::weight_gradient: return own;
        case TurnKind::overlapped: return backward;
        default: return std::nullopt;
    }
}

namespace {

Turn turn(TurnKind kind, int micro_batch, int chunk = 0) {
    return {kind, {micro_batch, chunk}, {}};
}

std::vector<Turn> gpipe(PipelineShape const& shape, int /*stage*/) {
    std::vector<Turn> order;
    for (int i = 0; i < shape.micro_batches; ++i) order.push_back(turn(TurnKind::forward, i));
    for (int i = shape.micro_batches; i-- > 0;) order.push_back(turn(TurnKind::backward, i));
    return order;
}

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

int warm_up_1f1b(PipelineShape const& shape, int stage) {
    return std::min(shape.micro_batches, shape.stages - 1 - stage);
}

std::vector<Turn> plain_1f1b(PipelineShape const& shape, int stage) {
    return one_forward_one_backward(
        shape.micro_batches, warm_up_1f1b(shape, stage),
        [](int i) { return turn(TurnKind::forward, i); },
        [](int i) { return turn(TurnKind::backward, i); });
}

std::vector<Turn> interleaved_1f1b(PipelineShape const& shape, int stage) {
    int const turns = shape.micro_batches * shape.chunks;
    int const group = shape.stages * shape.chunks;
    auto const at = [shape, group](int i, bool forward) {
        int const within = i % group;
        int const chunk = within / shape.stages;
        int const micro_batch = i / group * shape.stages + within % shape.stages;
        return turn(forward ? TurnKind::forward : TurnKind::backward, micro_batch,
                    forward ? chunk : shape.chunks - 1 - chunk);
    };
    int const warm_up =
        std::min(turns, 2 * (shape.stages - 1 - stage) + (shape.chunks - 1) * shape.stages);
    return one_forward_one_backward(
        turns, warm_up, [at](int i) { return at(i, true); }, [at](int i) { return at(i, false); });
}

/// 1F1B's order with the backward cut in two. Stage s puts the gradient of its weights off by s
/// micro-batches, so that every stage has as many micro-batches in flight as the first one.
std::vector<Turn> zero_bubble(PipelineShape const& shape, int stage) {
    std::vector<Turn> order;
    int put_off = 0;  // weight gradients that wait
    int next = 0;
    auto const weights = [&] {
        order.push_back(turn(TurnKind::weight_gradient, next++));
        --put_off;
    };
    for (Turn const& each : plain_1f1b(shape, stage)) {
        if (each.kind == TurnKind::forward) {
            order.push_back(each);
            continue;
        }
        order.push_back(turn(TurnKind::input_gradient, each.own.micro_batch));
        if (++put_off > stage) weights();
    }
    while (put_off > 0) weights();
    return order;
}

/// The order of one DualPipe stage, as its paper's figure 5 and its authors' code have it. `near`
/// is the direction in which the stage is among the first half, `far` the other one.
class DualPipe {
public:
    DualPipe(PipelineShape const& shape, int stage)
        : half_batches_(shape.micro_batches / 2),
          half_stages_(shape.stages / 2),
          depth_(std::min(stage, shape.stages - 1 - stage)),
          swapped_(stage >= half_stages_) {}

    std::vector<Turn> order() {
        int const outer = half_stages_ - depth_ - 1;  // stages between this one and the middle
        for (int i = 0; i < 2 * outer; ++i) forward(near);
        for (int i = 0; i <= depth_; ++i) {
            forward(near);
            forward(far);
        }
        for (int i = 0; i < outer; ++i) {
            input_gradient(far);
            weight_gradient();
            forward(far);
        }
        int const steady = half_batches_ - 2 * half_stages_ + depth_ + 1;
        for (int i = 0; i < steady; ++i) {
            // The middle stages start with two turns on their own: the bubble is smaller so.
            if (i == 0 && outer == 0) {
                forward(near);
                backward(far);
            } else {
                overlapped(near, far);
            }
            overlapped(far, near);
        }
        for (int i = 0; i < outer; ++i) {
            backward(far);
            overlapped(far, near);
        }
        // In the second half of the last backwards, weights wait.
        for (int i = 0; i < 2 * (depth_ + 1); ++i) {
            Direction const direction = i % 2 == 0 ? far : near;
            i > depth_ ? input_gradient(direction) : backward(direction);
        }
        for (int i = 0; i < outer; ++i) {
            weight_gradient();
            input_gradient(near);
        }
        while (weights_next_ < weights_.size()) weight_gradient();
        return std::move(order_);
    }

private:
    enum Direction : std::uint8_t { near, far };

    Visit next(std::array<int, 2>& count, Direction direction) const {
        int const chunk = (direction == far) != swapped_ ? 1 : 0;
        return {chunk * half_batches_ + count.at(direction)++, chunk};
    }
    void forward(Direction d) { order_.push_back({TurnKind::forward, next(forwards_, d), {}}); }
    void backward(Direction d) { order_.push_back({TurnKind::backward, next(backwards_, d), {}}); }
    void overlapped(Direction ahead, Direction back) {
        Visit const own = next(forwards_, ahead);
        order_.push_back({TurnKind::overlapped, own, next(backwards_, back)});
    }
    void input_gradient(Direction d) {
        order_.push_back({TurnKind::input_gradient, next(backwards_, d), {}});
        weights_.push_back(order_.back().own);
    }
    void weight_gradient() {
        order_.push_back({TurnKind::weight_gradient, weights_.at(weights_next_++), {}});
    }

    int half_batches_, half_stages_, depth_;
    bool swapped_;
    std::array<int, 2> forwards_{}, backwards_{};
    std::vector<Visit> weights_;  // whose gradient waits, first in first out
    std::size_t weights_next_ = 0;
    std::vector<Turn> order_;
};

std::vector<Turn> dual_pipe(PipelineShape const& shape, int stage) {
    return DualPipe(shape, stage).order();
}

using Refusal = std::optional<ScheduleRefusal>;

Refusal one_chunk(PipelineShape const& shape, char const* name) {
    if (shape.chunks == 1) return std::nullopt;
    return ScheduleRefusal{"vp", fmt::format("vp {} with schedule {}", shape.chunks, name),
                           "vp 1, or schedule: interleaved"};
}

Refusal refuse_interleaved(PipelineShape const& shape) {
    if (shape.chunks == 1) {
        return ScheduleRefusal{"schedule", "interleaved with vp 1",
                               "vp above 1, or schedule: 1f1b"};
    }
    if (shape.stages == 1) {
        return ScheduleRefusal{"vp", fmt::format("vp {} with one stage", shape.chunks),
                               "vp 1, or pp above 1"};
    }
    if (shape.micro_batches % shape.stages == 0) return std::nullopt;
    return ScheduleRefusal{
        "vp", fmt::format("{} micro-batches", shape.micro_batches),
        fmt::format("a multiple of pp {} when vp is above 1 (interleaved 1F1B)", shape.stages)};
}

Refusal refuse_zero_bubble(PipelineShape const& shape) {
    if (shape.stages == 1) {
        return ScheduleRefusal{"schedule", "zero-bubble with one stage",
                               "pp above 1, or schedule: 1f1b"};
    }
    return one_chunk(shape, "zero-bubble");
}

Refusal refuse_dual_pipe(PipelineShape const& shape) {
    if (shape.stages % 2 != 0) {
        return ScheduleRefusal{"schedule", fmt::format("dualpipe with pp {}", shape.stages),
                               "an even pp: micro-batches meet in the middle"};
    }
    if (shape.micro_batches % 2 != 0 || shape.micro_batches < 2 * shape.stages) {
        return ScheduleRefusal{
            "schedule", fmt::format("dualpipe with {} micro-batches", shape.micro_batches),
            fmt::format("an even number of micro-batches, {} or more (2 x pp)", 2 * shape.stages)};
    }
    return one_chunk(shape, "dualpipe");
}

}  // namespace

int PipelineSchedule::held_chunks(PipelineShape const& shape) const {
    return bidirectional ? 2 : shape.chunks;
}

int PipelineSchedule::model_chunks(PipelineShape const& shape) const {
    return bidirectional ? shape.stages : shape.stages * shape.chunks;
}

int PipelineSchedule::model_chunk(PipelineShape const& shape, int stage, int chunk) const {
    if (bidirectional) return chunk == 0 ? stage : shape.stages - 1 - stage;
    return chunk * shape.stages + stage;
}

int PipelineSchedule::stage_of(PipelineShape const& shape, int model_chunk, int micro_batch) const {
    int const stage = model_chunk % shape.stages;
    return reversed(shape, micro_batch) ? shape.stages - 1 - stage : stage;
}

bool PipelineSchedule::reversed(PipelineShape const& shape, int micro_batch) const {
    return bidirectional && micro_batch >= shape.micro_batches / 2;
}

std::array<PipelineSchedule, 5> const pipeline_schedules{
    PipelineSchedule{"gpipe",
                     "all forwards, then all backwards; bubble (pp-1)/micro-batches, every "
                     "micro-batch in flight",
                     gpipe, [](PipelineShape const& shape) { return one_chunk(shape, "gpipe"); },
                     true, true},
    PipelineSchedule{"1f1b", "one forward, one backward; bubble (pp-1)/micro-batches", plain_1f1b,
                     [](PipelineShape const& shape) { return one_chunk(shape, "1f1b"); }},
    PipelineSchedule{"interleaved",
                     "1F1B with several model chunks per stage; bubble (pp-1)/(micro-batches*vp)",
                     interleaved_1f1b, refuse_interleaved, false},
    PipelineSchedule{"zero-bubble",
                     "1F1B with weight gradients put off (ZB-H1); bubble "
                     "(pp-1)(F+B-W)/((F+B+W)*micro-batches), B of inputs, W of weights",
                     zero_bubble, refuse_zero_bubble, true, false, true},
    PipelineSchedule{"dualpipe",
                     "from both ends at once, forward beside backward, two copies of the weights; "
                     "bubble (pp/2-1)(F&B+B-3W), B of both",
                     dual_pipe, refuse_dual_pipe, true, false, true, true},
};

PipelineSchedule const* find_schedule(std::string_view name) {
    auto const* const found = std::ranges::find(pipeline_schedules, name, &PipelineSchedule::name);
    return found == pipeline_schedules.end() ? nullptr : found;
}

PipelineSchedule const& default_schedule(int chunks) {
    PipelineSchedule const* found = find_schedule(chunks > 1 ? "interleaved" : "1f1b");
    NVL72_EXPECT(found != nullptr, "the defaults have rows");
    return *found;
}

}  // namespace nvl72
