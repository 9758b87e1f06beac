#include "sim/study/plan_search.hpp"

#include "sim/base/error.hpp"
#include "sim/study/power_limit.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <queue>
#include <thread>
#include <tuple>

namespace nvl72 {

namespace {

/// Calls `work(thread, index)` for 0 .. count - 1; throws the first error by index.
void for_all(int threads,
             std::size_t count,
             std::function<void(std::size_t, std::size_t)> const& work) {
    std::atomic<std::size_t> next{0};
    std::vector<std::exception_ptr> errors(count);
    auto const run = [&](std::size_t thread) {
        for (std::size_t i = next++; i < count; i = next++) {
            try {
                work(thread, i);
            } catch (...) {
                errors[i] = std::current_exception();
                next = count;
            }
        }
    };
    auto const workers = std::min(static_cast<std::size_t>(threads), count);
    std::vector<std::thread> others;
    for (std::size_t t = 1; t < workers; ++t) others.emplace_back(run, t);
    run(0);
    for (auto& other : others) other.join();
    for (auto const& error : errors) {
        if (error) std::rethrow_exception(error);
    }
}

double seconds_since(std::chrono::steady_clock::time_point began) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

auto order_of(BoundedLayout const& one) {
    LayoutPoint const& at = one.layout;
    bool const usual = &pipeline_schedules.at(at.schedule) == &default_schedule(at.vp);
    return std::tuple(one.bound, one.memory, !usual, at.pp, at.tp, at.cp, at.vp, at.ep,
                      at.expert_tp, at.fsdp, at.micro_batch, at.recipe, at.schedule, at.ends,
                      at.cp_comm_type, !at.sequence_parallel);
}

/// Evaluated side by side whatever the number of threads, so that the answer does not depend on it.
constexpr std::size_t batch = 4;

}  // namespace

PlanSearch::PlanSearch(PlanJob const& job, int threads, Told const& progress)
    : job_(job), threads_(threads) {
    auto const began = std::chrono::steady_clock::now();
    auto const cuts = layout_cuts(job);
    for (int t = 0; t < threads; ++t) walkers_.push_back(std::make_unique<LayoutBounder>(job));
    std::vector<std::vector<BoundedLayout>> found(cuts.size());
    std::mutex telling;
    std::size_t done = 0;
    for_all(threads, cuts.size(), [&](std::size_t thread, std::size_t i) {
        walkers_[thread]->bound(cuts[i],
                                [&](BoundedLayout const& one) { found[i].push_back(one); });
        std::lock_guard const lock(telling);
        ++done;
        if (progress) progress(static_cast<double>(done) / static_cast<double>(cuts.size()));
    });
    for (auto& some : found) {
        layouts_.insert(layouts_.end(), some.begin(), some.end());
        some = {};
    }
    std::ranges::sort(layouts_, [](BoundedLayout const& a, BoundedLayout const& b) {
        return order_of(a) < order_of(b);
    });
    for (auto const& walker : walkers_) {
        counts_ += walker->counts();
        too_large_.merge(walker->too_large());
    }
    bound_seconds_ = seconds_since(began);
}

PlanSearch::Known PlanSearch::known(std::uint32_t index) const {
    auto const found = known_.find(index);
    return found != known_.end() ? found->second : Known{Known::bounded, layouts_[index].bound};
}

TriedLayout PlanSearch::simulate(BoundedLayout const& one) {
    LoadedPoint const& point = job_.point;
    Parallel const parallel = parallel_of(job_, one.layout);
    Recipe const& recipe = job_.recipes.at(one.layout.recipe).recipe;
    auto const limited =
        simulate_limited(point.power, point.fabric, point.profile, point.system.power.place,
                         [&](Profile const& profile) {
                             return simulate_step({point.model, parallel, point.fabric, profile,
                                                   recipe, point.precision, Grain::block});
                         });
    return {one.layout, one.bound, limited.step.step, one.memory,
            step_row(point, parallel, limited.step, limited.drawn)};
}

void PlanSearch::deepen(std::vector<std::uint32_t> const& indices) {
    auto const began = std::chrono::steady_clock::now();
    std::vector<Known> next(indices.size());
    std::vector<std::optional<TriedLayout>> tried(indices.size());
    for_all(threads_, indices.size(), [&](std::size_t thread, std::size_t i) {
        BoundedLayout const& one = layouts_[indices[i]];
        if (known(indices[i]).depth == Known::bounded) {
            next[i] = {Known::walked, walkers_[thread]->walk(one.layout)};
            return;
        }
        try {
            tried[i] = simulate(one);
            next[i] = {Known::simulated, tried[i]->step};
        } catch (DoesNotFit const&) {  // by less than rounding
            next[i] = {Known::refused, {}};
        }
    });
    for (std::size_t i = 0; i < indices.size(); ++i) {
        known_[indices[i]] = next[i];
        (next[i].depth == Known::walked ? counts_.walked : counts_.simulated) += 1;
        if (tried[i]) tried_.emplace(indices[i], *tried[i]);
    }
    simulate_seconds_ += seconds_since(began);
}

std::optional<TriedLayout> PlanSearch::best(Filter const& filter,
                                            std::optional<Picoseconds> limit) {
    return first(filter, limit, Known::simulated);
}

std::optional<TriedLayout> PlanSearch::nearly_best(Filter const& filter) {
    return first(filter, std::nullopt, Known::walked);
}

std::optional<TriedLayout> PlanSearch::first(Filter const& filter,
                                             std::optional<Picoseconds> limit,
                                             Known::Depth enough) {
    using Entry = std::pair<Picoseconds, std::uint32_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
    std::uint32_t next = 0;
    auto const add = [&](std::uint32_t index) {
        auto const what = known(index);
        if (what.depth != Known::refused) queue.emplace(what.time, index);
    };
    for (;;) {
        while (next < layouts_.size() &&
               (queue.size() < batch || layouts_[next].bound <= queue.top().first)) {
            if (!filter || filter(layouts_[next])) add(next);
            ++next;
        }
        if (queue.empty()) return std::nullopt;
        if (limit && queue.top().first >= *limit) return std::nullopt;
        std::uint32_t const top = queue.top().second;
        if (known(top).depth == Known::simulated) return tried_.at(top);
        if (known(top).depth == enough) {
            deepen({top});
            if (tried_.contains(top)) return tried_.at(top);
            queue.pop();
            continue;
        }
        std::vector<std::uint32_t> some;
        while (!queue.empty() && some.size() < batch && known(queue.top().second).depth < enough) {
            some.push_back(queue.top().second);
            queue.pop();
        }
        deepen(some);
        for (std::uint32_t const index : some) add(index);
    }
}

}  // namespace nvl72
