#include "sim/study/plan_space.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <optional>

namespace nvl72 {

namespace {

/// An axis: how a layout says it, and the words it takes where it is not a number.
struct AxisWords {
    std::string_view name;
    std::int64_t (*value)(PlanJob const& job, LayoutPoint const& layout);
    std::vector<std::string> (*words)() = nullptr;
};

template <class Enum>
std::vector<std::string> words_of() {
    return {EnumNames<Enum>::words.begin(), EnumNames<Enum>::words.end()};
}
std::vector<std::string> truth() { return {"false", "true"}; }
std::vector<std::string> schedule_names() {
    std::vector<std::string> names;
    for (auto const& row : pipeline_schedules) names.emplace_back(row.name);
    return names;
}

RecipeVariant const& recipe_of(PlanJob const& job, LayoutPoint const& layout) {
    return job.recipes.at(layout.recipe);
}

using Job = PlanJob const&;
using At = LayoutPoint const&;
std::array<AxisWords, plan_axes> const axes{
    AxisWords{"tp", [](Job, At at) { return std::int64_t{at.tp}; }},
    AxisWords{"pp", [](Job, At at) { return std::int64_t{at.pp}; }},
    AxisWords{"cp", [](Job, At at) { return std::int64_t{at.cp}; }},
    AxisWords{"vp", [](Job, At at) { return std::int64_t{at.vp}; }},
    AxisWords{"ep", [](Job, At at) { return std::int64_t{at.ep}; }},
    AxisWords{"expert_tp", [](Job, At at) { return std::int64_t{at.expert_tp}; }},
    AxisWords{"fsdp", [](Job, At at) { return std::int64_t{at.fsdp}; }},
    AxisWords{"micro_batch", [](Job, At at) { return std::int64_t{at.micro_batch}; }},
    AxisWords{"schedule", [](Job, At at) { return std::int64_t{at.schedule}; }, schedule_names},
    AxisWords{"ends", [](Job, At at) { return static_cast<std::int64_t>(at.ends); },
              words_of<LayoutEnds>},
    AxisWords{"cp_comm_type", [](Job, At at) { return static_cast<std::int64_t>(at.cp_comm_type); },
              words_of<CpExchange>},
    AxisWords{"sequence_parallel",
              [](Job, At at) { return static_cast<std::int64_t>(at.sequence_parallel); }, truth},
    AxisWords{
        "recompute",
        [](Job job, At at) { return static_cast<std::int64_t>(recipe_of(job, at).recompute); },
        words_of<Recompute>},
    AxisWords{"zero", [](Job job, At at) { return std::int64_t{recipe_of(job, at).zero}; }},
    AxisWords{"tp_overlap",
              [](Job job, At at) {
                  return static_cast<std::int64_t>(recipe_of(job, at).recipe.overlap.tp);
              },
              truth},
    AxisWords{"offload", [](Job job, At at) { return std::int64_t{recipe_of(job, at).offload}; }},
};

AxisWords const& row_of(PlanAxis axis) { return axes.at(static_cast<std::size_t>(axis)); }

std::string truth_text(bool value) { return value ? "true" : "false"; }

/// Variants of a recipe, those that differ in ZeRO alone side by side; the recipe itself is first.
class Variants {
public:
    explicit Variants(Recipe const& own) : own_(own) {}

    std::vector<RecipeVariant> all(PlanScope scope) {
        std::vector<Recompute> recomputes{as_shipped()};
        for (auto const other : {Recompute::none, Recompute::selective, Recompute::full}) {
            bool const there = other != Recompute::selective || !own_.selective.empty();
            if (there && other != recomputes.front()) recomputes.push_back(other);
        }
        bool const more = scope == PlanScope::software;
        int const offload = static_cast<int>(std::lround(100 * own_.activation_offload));
        std::vector<int> offloads{offload};
        std::vector<bool> overlaps{own_.overlap.tp};
        if (more) {
            for (int const share : {0, 50, 100}) {
                if (share != offload) offloads.push_back(share);
            }
            overlaps.push_back(!own_.overlap.tp);
        }
        for (auto const recompute : recomputes) {
            for (int const share : offloads) {
                for (bool const overlap : overlaps) add(recompute, share, overlap);
            }
        }
        return std::move(variants_);
    }

private:
    [[nodiscard]] Recompute as_shipped() const {
        if (own_.full_recompute) return Recompute::full;
        if (own_.recompute.empty()) return Recompute::none;
        return own_.recompute == own_.selective ? Recompute::selective : Recompute::some;
    }
    [[nodiscard]] int zero_as_shipped() const {
        if (own_.state.shard_gradients) return 2;
        return own_.state.distributed_optimizer ? 1 : 0;
    }

    void add(Recompute recompute, int offload, bool overlap) {
        auto const like = static_cast<std::uint16_t>(variants_.size());
        std::vector<int> zeros{zero_as_shipped()};
        for (int const other : {0, 1, 2}) {
            if (other != zeros.front()) zeros.push_back(other);
        }
        for (int const zero : zeros) {
            RecipeVariant one{own_, recompute, zero, offload, like, {}};
            if (recompute != as_shipped()) set_recompute(one);
            if (zero != zeros.front()) set_zero(one);
            if (overlap != own_.overlap.tp) {
                one.recipe.overlap.tp = overlap;
                tell(one, "overlap.tp", truth_text(overlap));
            }
            if (offload != static_cast<int>(std::lround(100 * own_.activation_offload))) {
                one.recipe.activation_offload = offload / 100.0;
                tell(one, "activation_offload", fmt::format("{}", offload / 100.0));
            }
            variants_.push_back(std::move(one));
        }
    }

    void set_recompute(RecipeVariant& one) const {
        one.recipe.full_recompute = one.recompute == Recompute::full;
        one.recipe.recompute.clear();
        if (one.recompute == Recompute::selective) one.recipe.recompute = own_.selective;
        if (one.recipe.full_recompute != own_.full_recompute)
            tell(one, "full_recompute", truth_text(one.recipe.full_recompute));
        if (one.recipe.recompute != own_.recompute)
            tell(one, "recompute", "[" + join(one.recipe.recompute) + "]");
    }

    void set_zero(RecipeVariant& one) const {
        one.recipe.state.distributed_optimizer = one.zero > 0;
        one.recipe.state.shard_gradients = one.zero > 1;
        if (one.recipe.state.distributed_optimizer != own_.state.distributed_optimizer)
            tell(one, "state.distributed_optimizer", truth_text(one.zero > 0));
        if (one.recipe.state.shard_gradients != own_.state.shard_gradients)
            tell(one, "state.shard_gradients", truth_text(one.zero > 1));
    }

    static void tell(RecipeVariant& one, std::string key, std::string value) {
        one.switches.push_back(
            {std::move(key), std::move(value), "derived: nvl72sim plan, for this layout"});
    }

    Recipe const& own_;
    std::vector<RecipeVariant> variants_;
};

}  // namespace

std::string_view axis_name(PlanAxis axis) { return row_of(axis).name; }

std::int64_t axis_value(PlanJob const& job, LayoutPoint const& layout, PlanAxis axis) {
    return row_of(axis).value(job, layout);
}

std::string axis_word(PlanAxis axis, std::int64_t value) {
    AxisWords const& row = row_of(axis);
    return row.words == nullptr ? std::to_string(value)
                                : row.words().at(static_cast<std::size_t>(value));
}

bool PlanJob::allows(PlanAxis axis, std::int64_t value) const {
    auto const found =
        std::ranges::find(fixed, axis, &std::pair<PlanAxis, std::vector<std::int64_t>>::first);
    return found == fixed.end() || std::ranges::find(found->second, value) != found->second.end();
}

FixedAxes parse_fixed(std::vector<std::string> const& words) {
    Place const place{"--fix", 0, ""};
    std::vector<std::string> names;
    for (AxisWords const& axis : axes) names.emplace_back(axis.name);
    FixedAxes fixed;
    for (std::string const& word : words) {
        auto const equals = word.find('=');
        std::string const name = word.substr(0, equals);
        auto const found = std::ranges::find(names, name);
        if (equals == std::string::npos || found == names.end()) {
            auto const near = nearest_name(name, names);
            fail(place, fmt::format("'{}'", word),
                 fmt::format("KEY=VALUE[,VALUE]... with a KEY of {}{}", join(names),
                             near.empty() ? "" : "; did you mean " + near + "?"));
        }
        auto const axis = static_cast<PlanAxis>(found - names.begin());
        std::vector<std::int64_t> values;
        for (auto const& text : split(word.substr(equals + 1), ',')) {
            std::string const value(trimmed(text));
            std::int64_t number = -1;
            if (row_of(axis).words != nullptr) {
                auto const known = row_of(axis).words();
                auto const at = std::ranges::find(known, value);
                if (at == known.end())
                    fail(place, fmt::format("{} '{}'", name, value), join(known, " | "));
                number = at - known.begin();
            } else {
                auto const* const end = value.data() + value.size();
                auto const [next, error] = std::from_chars(value.data(), end, number);
                if (error != std::errc{} || next != end || number < 0)
                    fail(place, fmt::format("{} '{}'", name, value), "whole numbers");
            }
            values.push_back(number);
        }
        fixed.emplace_back(axis, std::move(values));
    }
    return fixed;
}

PlanJob plan_job(LoadedPoint point, FixedAxes fixed, PlanScope scope) {
    PlanJob job{std::move(point), {}, std::move(fixed), scope};
    job.recipes = Variants(job.point.recipe).all(scope);
    return job;
}

std::vector<std::int64_t> divisors_of(std::int64_t number) {
    std::vector<std::int64_t> divisors;
    for (std::int64_t d = 1; d * d <= number; ++d) {
        if (number % d != 0) continue;
        divisors.push_back(d);
        if (d * d != number) divisors.push_back(number / d);
    }
    std::ranges::sort(divisors);
    return divisors;
}

namespace {

/// Degrees that the model and the sequence allow, as check_layout refuses the others.
class Cuts {
public:
    explicit Cuts(PlanJob const& job) : job_(job), a_(job.point.model) {}

    std::vector<LayoutCut> all() {
        for (auto const tp : divisors_of(job_.gpus())) {
            if (!tensor(tp) || !job_.allows(PlanAxis::tp, tp)) continue;
            for (auto const cp : divisors_of(job_.gpus() / tp)) {
                bool const cuts = cp == 1 || job_.sequence() % (2 * cp) == 0;
                if (!cuts || !job_.allows(PlanAxis::cp, cp)) continue;
                for (auto const pp : divisors_of(job_.gpus() / tp / cp)) {
                    bool const holds = pp <= a_.layers + 2;
                    if (holds && job_.allows(PlanAxis::pp, pp)) pipelines(tp, cp, pp);
                }
            }
        }
        return std::move(cuts_);
    }

private:
    [[nodiscard]] bool tensor(std::int64_t tp) const {
        auto const divides = [tp](std::int64_t count) { return count % tp == 0; };
        bool const copied = tp > a_.kv_heads && tp % a_.kv_heads == 0;
        return divides(a_.heads) && divides(a_.ffn) && divides(a_.shared_ffn) &&
               (copied || divides(a_.kv_heads));
    }

    void pipelines(std::int64_t tp, std::int64_t cp, std::int64_t pp) {
        std::int64_t const dp = job_.gpus() / tp / cp / pp;
        if (job_.global_batch() % dp != 0) return;
        std::vector<std::int64_t> shards{1};
        if (pp == 1) shards = divisors_of(dp * cp);
        std::vector<bool> sequence_parallel;
        bool const cut_by_tokens = job_.sequence() / cp % tp == 0;
        if (cut_by_tokens) sequence_parallel.push_back(true);
        bool const without = job_.scope == PlanScope::software || !cut_by_tokens;
        if (tp > 1 && a_.experts == 0 && without) sequence_parallel.push_back(false);
        for (bool const cut : sequence_parallel) {
            if (!job_.allows(PlanAxis::sequence_parallel, cut ? 1 : 0)) continue;
            for (auto const fsdp : shards) {
                if (!job_.allows(PlanAxis::fsdp, fsdp)) continue;
                LayoutCut one;
                one.tp = static_cast<int>(tp);
                one.pp = static_cast<int>(pp);
                one.cp = static_cast<int>(cp);
                one.fsdp = static_cast<int>(fsdp);
                one.sequence_parallel = cut;
                experts(one, job_.gpus() / pp);
            }
        }
    }

    void experts(LayoutCut cut, std::int64_t ranks_per_stage) {
        std::vector<std::int64_t> tensors{1};
        if (cut.tp > 1 && a_.experts > 0 && a_.expert_ffn % cut.tp == 0) tensors.push_back(cut.tp);
        for (auto const ep : divisors_of(std::max(1, a_.experts))) {
            for (auto const expert_tp : tensors) {
                if (ranks_per_stage % (ep * expert_tp) != 0) continue;
                std::int64_t const alike = ranks_per_stage / (ep * expert_tp);
                bool const shards = alike % std::min<std::int64_t>(cut.fsdp, alike) == 0;
                if (a_.experts > 0 && !shards) continue;
                bool const free =
                    job_.allows(PlanAxis::ep, ep) && job_.allows(PlanAxis::expert_tp, expert_tp);
                if (!free) continue;
                cut.ep = static_cast<int>(ep);
                cut.expert_tp = static_cast<int>(expert_tp);
                cuts_.push_back(cut);
            }
        }
    }

    PlanJob const& job_;
    Architecture const& a_;
    std::vector<LayoutCut> cuts_;
};

}  // namespace

std::vector<LayoutCut> layout_cuts(PlanJob const& job) { return Cuts(job).all(); }

Layout layout_of(LayoutPoint const& point) {
    Layout layout;
    layout.tp = point.tp;
    layout.pp = point.pp;
    layout.cp = point.cp;
    layout.vp = point.vp;
    layout.ep = point.ep;
    layout.expert_tp = point.expert_tp;
    layout.fsdp = point.fsdp;
    layout.micro_batch = point.micro_batch;
    layout.schedule = std::string(pipeline_schedules.at(point.schedule).name);
    layout.cp_comm_type = point.cp_comm_type;
    layout.sequence_parallel = point.sequence_parallel;
    layout.embedding_and_loss_as_layers = point.ends == LayoutEnds::as_layers;
    layout.uneven_layers = point.ends == LayoutEnds::uneven;
    bool const apart = point.ends == LayoutEnds::ends_apart;
    if (apart) layout.embedding_stage = EndStage::separate;
    if (apart || point.ends == LayoutEnds::loss_apart) layout.loss_stage = EndStage::separate;
    if (layout.loss_stage == EndStage::separate) layout.uneven_layers = true;
    return layout;
}

Parallel parallel_of(PlanJob const& job, LayoutPoint const& point) {
    return check_layout(layout_of(point), job.gpus(), job.point.model, job.global_batch(),
                        job.sequence());
}

LayoutPoint point_of(PlanJob const& job, Parallel const& parallel, Layout const& layout) {
    LayoutPoint point;
    point.tp = parallel.tp;
    point.pp = parallel.pp;
    point.cp = parallel.cp;
    point.vp = parallel.vp;
    point.ep = parallel.ep;
    point.expert_tp = parallel.expert_tp;
    point.fsdp = static_cast<std::int32_t>(parallel.fsdp);
    point.micro_batch = static_cast<std::int32_t>(parallel.micro_batch);
    point.schedule = static_cast<std::uint8_t>(parallel.schedule - pipeline_schedules.data());
    point.cp_comm_type = layout.cp_comm_type;
    point.sequence_parallel = layout.sequence_parallel;
    std::int64_t const chunks = std::int64_t{layout.pp} * layout.vp;
    bool const divides = job.point.model.layers % chunks == 0;
    if (layout.embedding_stage == EndStage::separate) {
        point.ends = LayoutEnds::ends_apart;
    } else if (layout.loss_stage == EndStage::separate) {
        point.ends = LayoutEnds::loss_apart;
    } else if (layout.embedding_and_loss_as_layers) {
        point.ends = LayoutEnds::as_layers;
    } else if (!divides) {
        point.ends = LayoutEnds::uneven;
    }
    return point;
}

std::string layout_words(PlanJob const& job, LayoutPoint const& point) {
    RecipeVariant const& recipe = recipe_of(job, point);
    std::string words = fmt::format("tp {}", point.tp);
    auto const degree = [&](char const* name, std::int64_t value) {
        if (value != 1) words += fmt::format(" {} {}", name, value);
    };
    degree("cp", point.cp);
    words += fmt::format(" pp {}", point.pp);
    degree("vp", point.vp);
    if (job.point.model.experts > 0) words += fmt::format(" ep {}", point.ep);
    degree("expert_tp", point.expert_tp);
    degree("fsdp", point.fsdp);
    words += fmt::format(" mbs {}", point.micro_batch);
    auto const& schedule = pipeline_schedules.at(point.schedule);
    if (&schedule != &default_schedule(point.vp)) words += fmt::format(" {}", schedule.name);
    if (point.ends != LayoutEnds::even) words += " " + std::string(name_of(point.ends));
    if (point.cp > 1 && point.cp_comm_type == CpExchange::all_gather) words += " cp all_gather";
    if (point.tp > 1 && !point.sequence_parallel) words += " no sequence_parallel";
    if (recipe.recompute != Recompute::none)
        words += fmt::format(" recompute {}", name_of(recipe.recompute));
    if (recipe.zero != 1 && point.fsdp == 1) words += fmt::format(" zero {}", recipe.zero);
    if (recipe.recipe.overlap.tp != job.point.recipe.overlap.tp)
        words += fmt::format(" tp overlap {}", recipe.recipe.overlap.tp ? "on" : "off");
    if (recipe.offload > 0) words += fmt::format(" offload {} %", recipe.offload);
    return words;
}

}  // namespace nvl72
