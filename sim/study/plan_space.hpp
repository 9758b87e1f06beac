#pragma once

#include "sim/study/import_parts.hpp"
#include "sim/study/point.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nvl72 {

/// What a layout may choose: keys of `layout:`, and switches of the recipe.
enum class PlanAxis : std::uint8_t {
    tp,
    pp,
    cp,
    vp,
    ep,
    expert_tp,
    fsdp,
    micro_batch,
    schedule,
    ends,
    cp_comm_type,
    sequence_parallel,
    recompute,
    zero,
    tp_overlap,
    offload
};
inline constexpr std::size_t plan_axes = 16;

/// How embedding, loss and layers that do not divide are dealt out.
enum class LayoutEnds : std::uint8_t { even, as_layers, uneven, loss_apart, ends_apart };
template <>
struct EnumNames<LayoutEnds> {
    static constexpr std::array words{"even", "as_layers", "uneven", "loss_apart", "ends_apart"};
};

enum class Recompute : std::uint8_t { none, some, selective, full };
template <>
struct EnumNames<Recompute> {
    static constexpr std::array words{"none", "some", "selective", "full"};
};

/// A layout that may be tried: a value for every axis. `recipe` indexes PlanJob::recipes.
struct LayoutPoint {
    std::int32_t tp = 1, pp = 1, cp = 1, vp = 1, ep = 1, expert_tp = 1;
    std::int32_t fsdp = 1, micro_batch = 1;
    std::uint16_t recipe = 0;
    std::uint8_t schedule = 0;  ///< row of pipeline_schedules
    LayoutEnds ends = LayoutEnds::even;
    CpExchange cp_comm_type = CpExchange::p2p;
    bool sequence_parallel = true;

    friend bool operator==(LayoutPoint const&, LayoutPoint const&) = default;
};

/// A recipe with some switches set for a layout.
struct RecipeVariant {
    Recipe recipe;
    Recompute recompute = Recompute::none;
    int zero = 1;           ///< of ZeRO: 0, 1 (optimizer), 2 (gradients too)
    int offload = 0;        ///< % of activations in the CPU's memory
    std::uint16_t like = 0; /**< the first variant whose turns cost the same: all but zero */
    std::vector<RecipeSwitch> switches;  ///< that differ from the recipe's
};

/// Values of axes to which the search keeps, as numbers; an axis that is not there is free.
using FixedAxes = std::vector<std::pair<PlanAxis, std::vector<std::int64_t>>>;

/// How much is crossed. `layouts`: all keys of a layout, recomputation and ZeRO. `software`: also
/// the recipe's own overlap and offload.
enum class PlanScope : std::uint8_t { layouts, software };
template <>
struct EnumNames<PlanScope> {
    static constexpr std::array words{"layouts", "software"};
};

/// A job without a layout, and what may be chosen for it.
struct PlanJob {
    LoadedPoint point;  ///< its parallel and recipe are what nothing has chosen yet
    std::vector<RecipeVariant> recipes;
    FixedAxes fixed;
    PlanScope scope = PlanScope::layouts;

    [[nodiscard]] std::int64_t gpus() const { return point.fabric.gpus(); }
    [[nodiscard]] std::int64_t global_batch() const { return point.system.global_batch.value; }
    [[nodiscard]] std::int64_t sequence() const { return point.system.sequence_length.value; }
    [[nodiscard]] bool allows(PlanAxis axis, std::int64_t value) const;
};
PlanJob plan_job(LoadedPoint point, FixedAxes fixed, PlanScope scope);

/// "tp", and the value of an axis as a number and as its word.
std::string_view axis_name(PlanAxis axis);
std::int64_t axis_value(PlanJob const& job, LayoutPoint const& layout, PlanAxis axis);
std::string axis_word(PlanAxis axis, std::int64_t value);

/// "tp=8", "recompute=none,full": throws ConfigError at --fix for what is no axis or no value.
FixedAxes parse_fixed(std::vector<std::string> const& words);

/// What is the same for many layouts: their groups, so that one seating does for all.
struct LayoutCut {
    std::int32_t tp = 1, pp = 1, cp = 1, ep = 1, expert_tp = 1, fsdp = 1;
    bool sequence_parallel = true;
};
/// Every cut whose degrees divide the GPUs, the model and the sequence.
std::vector<LayoutCut> layout_cuts(PlanJob const& job);

std::vector<std::int64_t> divisors_of(std::int64_t number);

/// As an experiment writes it; checked by check_layout before it runs.
Layout layout_of(LayoutPoint const& point);
Parallel parallel_of(PlanJob const& job, LayoutPoint const& point);
/// A layout written by hand as one of the search's, with the recipe as it is.
LayoutPoint point_of(PlanJob const& job, Parallel const& parallel, Layout const& layout);

/// "tp 8 pp 16 vp 6, micro-batch 1, full recomputation": what is not a default.
std::string layout_words(PlanJob const& job, LayoutPoint const& point);

}  // namespace nvl72
