#include "sim/study/plan_reason.hpp"

#include "sim/base/text.hpp"
#include "sim/parallel/placement.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <vector>

namespace nvl72 {

namespace {

constexpr double bytes_per_gib = 1024.0 * 1024.0 * 1024.0;
/// Parts of a difference that are told: so many, and no smaller than so much of the step.
constexpr std::size_t told_parts = 2;
constexpr double told_share = 0.002;

std::string title_of(StepPart const& part) {
    return fmt::format("{}{}", part.column.starts_with("exposed") ? "exposed " : "", part.title);
}

/// What a group that leaves its NVLink domain says for its part.
std::string crossing(PlanJob const& job, LayoutPoint const& layout, StepPart const& part) {
    auto const groups = process_groups(parallel_of(job, layout));
    struct Group {
        std::string_view column, name;
        GroupPattern pattern;
    };
    std::array const all{Group{"exposed_tp", "tp", groups.tp}, Group{"exposed_cp", "cp", groups.cp},
                         Group{"exposed_ep", "ep", groups.ep}};
    for (auto const& one : all) {
        if (!part.column.starts_with(one.column) || one.pattern.count == 1) continue;
        auto const shape = job.point.fabric.shape_of(0, one.pattern.stride, one.pattern.count);
        if (shape.domains > 1)
            return fmt::format(" ({} {} crosses NVLink domains)", one.name, one.pattern.count);
    }
    return "";
}

}  // namespace

std::string why_slower(PlanJob const& job, PlanRow const& best, PlanRow const& row) {
    double const step = best.row->step_s;
    double const slower = row.row->step_s / step - 1;
    struct Part {
        double more;
        StepPart const* part;
    };
    std::vector<Part> parts;
    for (StepPart const& part : step_parts) {
        double const more = (row.row->parts.*part.member - best.row->parts.*part.member) / step;
        if (more > told_share) parts.push_back({more, &part});
    }
    std::ranges::sort(parts, std::ranges::greater{}, &Part::more);
    std::vector<std::string> told;
    for (std::size_t i = 0; i < std::min(told_parts, parts.size()); ++i) {
        StepPart const& part = *parts[i].part;
        std::string text = fmt::format("{} +{:.1f} %", title_of(part), 100 * parts[i].more);
        if (part.column.starts_with("bubble"))
            text += fmt::format(" (bubble {:.0f} % of its step)",
                                100 * row.row->parts.bubble / row.row->step_s);
        told.push_back(text + crossing(job, *row.layout, part));
    }
    if (row.row->step_s == step) return "as fast";
    return fmt::format("{:+.1f} %{}{}", 100 * slower, told.empty() ? "" : ": ", join(told));
}

std::string why_other_size(PlanRow const& best, PlanRow const& row) {
    double const seconds = static_cast<double>(row.gpus) * row.row->step_s /
                           (static_cast<double>(best.gpus) * best.row->step_s);
    return fmt::format("{:+.1f} % GPU-hours", 100 * (seconds - 1));
}

std::string why_too_large(Memory const& memory) {
    struct Owner {
        std::string_view name;
        Bytes bytes;
    };
    std::vector<Owner> owners{{"weights", memory.weights},
                              {"gradients", memory.gradients},
                              {"optimizer", memory.optimizer},
                              {"activations", memory.activations},
                              {"logits", memory.logits},
                              {"communication", memory.communication},
                              {"fragmentation", memory.fragmentation}};
    std::ranges::sort(owners, std::ranges::greater{}, &Owner::bytes);
    auto const gib = [](Bytes bytes) { return static_cast<double>(bytes.count) / bytes_per_gib; };
    return fmt::format("does not fit: {:.0f} GiB, {} {:.0f} GiB, {} {:.0f} GiB",
                       gib(memory.total()), owners[0].name, gib(owners[0].bytes), owners[1].name,
                       gib(owners[1].bytes));
}

std::string too_large_text(PlanJob const& job, TooLarge const& least) {
    auto const usable = job.point.fabric.gpu().hbm_usable();
    return fmt::format(
        "{}: {} on {} {}: {}, and a GPU holds {:.0f} GiB; that is the closest layout, {}\n{}",
        job.point.system.place.text(), job.point.model.name, job.gpus(),
        job.point.fabric.cluster().name, why_too_large(least.memory),
        static_cast<double>(usable.count) / bytes_per_gib, layout_words(job, least.layout),
        memory_table(least.memory).text());
}

}  // namespace nvl72
