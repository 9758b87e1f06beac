#include "sim/study/plan.hpp"

#include "sim/base/error.hpp"
#include "sim/study/plan_reason.hpp"
#include "sim/study/training_rows.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <memory>
#include <set>

namespace nvl72 {

namespace {

constexpr double bytes_per_gib = 1024.0 * 1024.0 * 1024.0;
/// Memory that a layout of the front must save over the one before it, of the GPU's.
constexpr double front_grain = 1.0 / 16;
/// Layouts that take longer than so many times the fastest are of no interest for their memory.
constexpr double front_time_max = 2;

double gib(Bytes bytes) { return static_cast<double>(bytes.count) / bytes_per_gib; }

/// One size of a job, searched.
struct Size {
    PlanJob job;
    std::unique_ptr<PlanSearch> search;
    std::optional<TriedLayout> best;
    std::optional<PlanRun> run;  ///< of the goal's tokens
};

class Planner {
public:
    Planner(Point const& point, bool has_layout, LoadedConfigs& configs, PlanOptions const& options)
        : point_(point), has_layout_(has_layout), configs_(configs), options_(options) {
        sizes_ = options.gpus;
        std::int64_t const own = point.system.cluster.gpus;
        if (sizes_.empty()) sizes_ = {own};
        bool const goal = options.goal && options.goal->sizes();
        if (goal && sizes_.size() == 1 && sizes_.front() > 0) sizes_ = goal_sizes(sizes_.front());
        std::ranges::sort(sizes_);
        if (options.goal && options.goal->gpus) {
            std::erase_if(sizes_, [&](std::int64_t n) { return n > *options.goal->gpus; });
            if (sizes_.empty())
                refuse(fmt::format("under {} gpus", *options.goal->gpus),
                       "as many as --gpus begins with");
        }
    }

    SystemPlan plan() {
        for (std::size_t i = 0; i < sizes_.size(); ++i) {
            if (!search(i)) continue;
            if (stops_at_first() && meets(*found_.back())) break;
        }
        if (found_.empty()) refuse_all();
        Size& chosen = choose();
        SystemPlan plan{chosen.job, {}, counts_, 0, 0, notes_};
        best_row(plan, chosen);
        front_rows(plan, chosen);
        if (has_layout_) written_row(plan, chosen);
        instead_rows(plan, chosen);
        for (auto const& size : found_) tally(plan, *size);
        return plan;
    }

private:
    [[noreturn]] static void refuse(std::string const& found, std::string const& expected) {
        fail({"--goal", 0, ""}, found, expected);
    }
    [[nodiscard]] PlanObjective objective() const {
        return options_.goal ? options_.goal->objective : PlanObjective::fastest;
    }
    [[nodiscard]] bool stops_at_first() const { return objective() == PlanObjective::fewest_gpus; }
    [[nodiscard]] bool several() const { return sizes_.size() > 1; }

    PlanJob job_of(std::int64_t gpus) {
        Point sized = point_;
        auto& cluster = sized.system.cluster;
        bool const resized = gpus != cluster.gpus && gpus > 0;
        if (resized) {
            cluster.gpus = gpus;
            cluster.nvlink_domain = 0;
        }
        auto const known = std::ranges::find(configs_.clusters(), cluster.name,
                                             &std::pair<std::string, ClusterSpec>::first);
        bool const as_built = cluster.nvlink_domain == 0 && known != configs_.clusters().end();
        if (as_built) cluster.nvlink_domain = even_domain(known->second, cluster.gpus);
        return plan_job(load_job(sized, configs_), options_.fixed, options_.scope);
    }

    /// False where the size has no layout that fits.
    bool search(std::size_t index) {
        auto size = std::make_unique<Size>(Size{job_of(sizes_[index]), nullptr, {}, {}});
        auto const count = static_cast<double>(sizes_.size());
        size->search = std::make_unique<PlanSearch>(size->job, options_.threads, [&](double share) {
            if (options_.progress) options_.progress((static_cast<double>(index) + share) / count);
        });
        size->best = fastest(*size);
        if (!size->best) {
            too_large_.merge(size->search->too_large());
            counts_ += size->search->counts();
            if (!refused_ || size->search->too_large().least) refused_ = size->job;
            if (several())
                notes_.push_back(fmt::format(
                    "{} GPUs: {}", size->job.gpus(),
                    size->search->too_large().least ? "no layout fits" : "no layout divides"));
            return false;
        }
        if (options_.goal && options_.goal->tokens)
            size->run = run_of(size->best->row, *options_.goal->tokens);
        found_.push_back(std::move(size));
        note(*found_.back());
        return true;
    }

    std::optional<TriedLayout> fastest(Size& size) {
        auto const& limit = options_.goal ? options_.goal->memory_gib : std::nullopt;
        auto const within = [&](BoundedLayout const& one) {
            return !limit || gib(one.memory) <= *limit;
        };
        if (objective() != PlanObjective::least_memory) return size.search->best(within);
        std::optional<Bytes> least;
        for (auto const& one : size.search->layouts()) {
            if (!least || one.memory < *least) least = one.memory;
        }
        return size.search->best([&](BoundedLayout const& one) { return one.memory == *least; });
    }

    void note(Size const& size) {
        if (!several()) return;
        std::string text =
            fmt::format("{} GPUs: {:.3g} s a step", size.job.gpus(), to_seconds(size.best->step));
        if (size.run) {
            text += fmt::format(", {:.3g} days", size.run->days);
            if (!std::isnan(size.run->usd)) text += fmt::format(", {:.3g} USD", size.run->usd);
            if (!std::isnan(size.run->mwh)) text += fmt::format(", {:.3g} MWh", size.run->mwh);
        }
        notes_.push_back(text + (meets(size) ? "" : " (past the goal's limits)"));
    }

    [[nodiscard]] bool meets(Size const& size) const {
        if (!options_.goal || !size.run) return true;
        auto const& goal = *options_.goal;
        return !(goal.seconds && size.run->days * 86400 > *goal.seconds) &&
               !(goal.usd && size.run->usd > *goal.usd) && !(goal.mwh && size.run->mwh > *goal.mwh);
    }

    /// What the goal is about: less is better.
    [[nodiscard]] double merit(Size const& size) const {
        double value = 0;
        switch (objective()) {
            case PlanObjective::fewest_gpus: value = static_cast<double>(size.job.gpus()); break;
            case PlanObjective::least_energy:
                value = size.run ? size.run->mwh : energy(size);
                break;
            case PlanObjective::least_cost: value = size.run ? size.run->usd : money(size); break;
            case PlanObjective::least_memory: value = gib(size.best->memory); break;
            case PlanObjective::fastest: value = to_seconds(size.best->step); break;
        }
        if (std::isnan(value))
            refuse(options_.goal->text,
                   "a cluster whose power and prices are known: see "
                   "nvl72sim list power and list facilities");
        return value;
    }
    [[nodiscard]] static double energy(Size const& size) {
        return size.best->row.power.energy_per_token_j;
    }
    [[nodiscard]] static double money(Size const& size) {
        return size.best->row.power.usd_per_mtoken;
    }

    Size& choose() {
        Size* best = nullptr;
        for (auto const& size : found_) {
            if (!meets(*size)) continue;
            if (best == nullptr || merit(*size) < merit(*best)) best = size.get();
        }
        if (best != nullptr) return *best;
        auto const nearest =
            std::ranges::min_element(found_, {}, [](auto const& size) { return size->run->days; });
        Size const& size = **nearest;
        std::string stands = fmt::format("{:.3g} days", size.run->days);
        if (!std::isnan(size.run->usd)) stands += fmt::format(", {:.3g} USD", size.run->usd);
        if (!std::isnan(size.run->mwh)) stands += fmt::format(", {:.3g} MWh", size.run->mwh);
        refuse(options_.goal->text,
               fmt::format("limits that hold: the fastest layout is {} on {} GPUs and takes {}",
                           layout_words(size.job, size.best->layout), size.job.gpus(), stands));
    }

    [[noreturn]] void refuse_all() const {
        PlanJob const& job = *refused_;
        if (options_.goal && options_.goal->memory_gib && !too_large_.least)
            refuse(options_.goal->text, "more memory: no layout keeps to it");
        if (!too_large_.least) {
            fail(job.point.system.global_batch.place.file.empty()
                     ? job.point.system.place
                     : job.point.system.global_batch.place,
                 fmt::format("a batch of {} on {} GPUs, which no layout of {} divides",
                             job.global_batch(), job.gpus(), job.point.model.name),
                 "a batch that some dp x micro_batch divides, and GPUs that some tp x pp x cp does"
                 "; or fewer --fix");
        }
        throw DoesNotFit(too_large_text(job, *too_large_.least));
    }

    static PlanRow row_of(Size const& size, PlanRowKind kind, TriedLayout const& tried) {
        return {kind,
                size.job.gpus(),
                tried.layout,
                tried.row,
                to_seconds(tried.bound),
                gib(tried.memory),
                "",
                ""};
    }

    static void best_row(SystemPlan& plan, Size& size) {
        plan.rows.push_back(row_of(size, PlanRowKind::best, *size.best));
    }

    /// Of the chosen size less and less memory, then the fastest of the other sizes.
    void front_rows(SystemPlan& plan, Size& size) const {
        double const grain = front_grain * gib(size.job.point.fabric.gpu().hbm_usable());
        Picoseconds const limit = from_seconds(front_time_max * to_seconds(size.best->step));
        double last = gib(size.best->memory);
        while (true) {
            auto const less = size.search->best(
                [&](BoundedLayout const& one) { return gib(one.memory) <= last - grain; }, limit);
            if (!less) break;
            last = gib(less->memory);
            plan.rows.push_back(row_of(size, PlanRowKind::front, *less));
            plan.rows.back().reason = why_slower(size.job, plan.rows.front(), plan.rows.back());
        }
        for (auto const& other : found_) {
            if (other.get() == &size) continue;
            bool const beaten = std::ranges::any_of(found_, [&](auto const& better) {
                return better != other && better->job.gpus() <= other->job.gpus() &&
                       better->best->step <= other->best->step;
            });
            if (beaten) continue;
            plan.rows.push_back(row_of(*other, PlanRowKind::front, *other->best));
            plan.rows.back().reason = why_other_size(plan.rows.front(), plan.rows.back());
        }
    }

    void written_row(SystemPlan& plan, Size& size) const {
        PlanRow row{PlanRowKind::as_written, size.job.gpus(), {}, {}, 0, 0, "as written", ""};
        try {
            Point sized = point_;
            sized.system.cluster.gpus = size.job.gpus();
            LoadedPoint own = size.job.point;
            own.parallel = check_layout(sized.system.layout, size.job.gpus(), own.model,
                                        size.job.global_batch(), size.job.sequence());
            row.layout = point_of(size.job, own.parallel, sized.system.layout);
            row.row = simulate_point(own, 0).row;
            row.memory_gib = row.row->memory_gib;
            row.reason = why_slower(size.job, plan.rows.front(), row);
        } catch (DoesNotFit const&) {
            row.reason = "does not fit";
        } catch (ConfigError const&) {
            row.reason = "does not divide these GPUs";
        }
        plan.rows.push_back(std::move(row));
    }

    /// The best with every axis changed to its next values; or why there is none.
    static void instead_rows(SystemPlan& plan, Size& size) {
        PlanRow const best = plan.rows.front();
        for (std::size_t i = 0; i < plan_axes; ++i) {
            auto const axis = static_cast<PlanAxis>(i);
            for (std::int64_t const value : neighbours(size, axis)) {
                auto const with = size.search->nearly_best([&](BoundedLayout const& one) {
                    return axis_value(size.job, one.layout, axis) == value;
                });
                auto const changed = fmt::format("{} {}", axis_name(axis), axis_word(axis, value));
                if (with) {
                    plan.rows.push_back(row_of(size, PlanRowKind::instead, *with));
                    plan.rows.back().changed = changed;
                    plan.rows.back().reason = why_slower(size.job, best, plan.rows.back());
                    continue;
                }
                auto const& large = size.search->too_large().by_value;
                auto const found = large.find({axis, value});
                if (found == large.end()) continue;
                PlanRow row{PlanRowKind::instead,
                            size.job.gpus(),
                            found->second.layout,
                            {},
                            0,
                            gib(found->second.memory.total()),
                            changed,
                            ""};
                row.reason = why_too_large(found->second.memory);
                plan.rows.push_back(std::move(row));
            }
        }
    }

    /// Of an axis of numbers the next smaller and larger that any layout has; of words all.
    static std::vector<std::int64_t> neighbours(Size const& size, PlanAxis axis) {
        std::int64_t const own = axis_value(size.job, size.best->layout, axis);
        std::set<std::int64_t> values;
        for (auto const& one : size.search->layouts())
            values.insert(axis_value(size.job, one.layout, axis));
        for (auto const& [key, one] : size.search->too_large().by_value) {
            if (key.first == axis) values.insert(key.second);
        }
        bool const words = axis_word(axis, own) != std::to_string(own);
        auto const at = values.find(own);
        std::vector<std::int64_t> next;
        if (words) {
            for (auto const value : values) {
                if (value != own) next.push_back(value);
            }
            return next;
        }
        if (at != values.begin()) next.push_back(*std::prev(at));
        if (at != values.end() && std::next(at) != values.end()) next.push_back(*std::next(at));
        return next;
    }

    static void tally(SystemPlan& plan, Size const& size) {
        plan.counts += size.search->counts();
        plan.bound_seconds += size.search->bound_seconds();
        plan.simulate_seconds += size.search->simulate_seconds();
    }

    Point const& point_;
    bool has_layout_;
    LoadedConfigs& configs_;
    PlanOptions const& options_;
    std::vector<std::int64_t> sizes_;
    std::vector<std::unique_ptr<Size>> found_;
    std::optional<PlanJob> refused_;
    TooLargeTable too_large_;
    PlanCounts counts_;
    std::vector<std::string> notes_;
};

}  // namespace

std::vector<std::int64_t> goal_sizes(std::int64_t gpus) {
    std::vector<std::int64_t> sizes;
    for (std::int64_t n = gpus; n >= 1; n /= 2) {
        sizes.push_back(n);
        if (n % 4 == 0) sizes.push_back(n / 4 * 3);
        if (n % 2 != 0) break;
    }
    std::ranges::sort(sizes);
    return sizes;
}

PlanRun run_of(SweepRow const& row, double tokens) {
    double const seconds = tokens / row.tokens_per_s_per_gpu / static_cast<double>(row.gpus);
    return {seconds / 86400, row.power.usd_per_mtoken * tokens / 1e6,
            row.power.energy_per_token_j * tokens / 3.6e9};
}

SystemPlan plan_system(Point const& point,
                       bool has_layout,
                       LoadedConfigs& configs,
                       PlanOptions const& options) {
    return Planner(point, has_layout, configs, options).plan();
}

}  // namespace nvl72
