#include "sim/study/run_predictor.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/fabric_profile.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nvl72 {

namespace {

/// Equal for runs whose steps are equal: what a simulated step is made of, in words.
std::string job_of(TrainingRun const& run) {
    LoadedPoint const& point = run.point;
    Parallel const& p = point.parallel;
    return fmt::format("{} {} {} {} {} | {} {} {} {} {} {} {} {} {} | {} {} | {}{}{}{}{}",
                       point.model.name, point.model.mtp_layers, point.fabric.cluster().name,
                       point.recipe.name, point.system.precision.value, p.gpus, p.tp, p.pp, p.cp,
                       p.vp, p.ep, p.expert_tp, p.fsdp, p.micro_batch, p.global_batch, p.sequence,
                       run.choices.drops_tokens, run.choices.adapters_only, run.choices.tp_alone,
                       run.choices.selective, run.choices.full_recompute);
}

std::string layout_of(TrainingRun const& run) {
    LoadedPoint const& point = run.point;
    Parallel const& p = point.parallel;
    return fmt::format("{} {} {} {} {} {} {} {} {} {} {}", point.fabric.gpu().name,
                       point.model.name, p.gpus, p.tp, p.pp, p.cp, p.vp, p.ep, p.fsdp,
                       p.micro_batch, p.sequence);
}

std::string joined(MeasuredTraining const& run) { return run.software + " " + run.release; }

/// What the network between domains adds to a profile.
std::string network_of(Fabric const& fabric) {
    return fabric.domains() > 1 ? name_of(fabric.cluster().network.kind) : "";
}

}  // namespace

RunPredictor::RunPredictor(std::vector<MeasuredTraining> const& runs,
                           TrainingFitFacts const& facts,
                           Library const& library)
    : facts_(facts), library_(library), profiles_(library) {
    std::map<std::string, std::size_t> jobs;
    LoadedConfigs configs(library, {});
    for (auto const& run : runs) {
        auto const figure = run.step_asked ? run.step_s : run.tokens_per_s_per_gpu;
        if (!run.aside.empty() || !figure || *figure <= 0) continue;
        try {
            RunRow row;
            row.run = run;
            row.built = training_run(run, configs);
            row.memory_gib = reported_memory_gib(row.built.point);
            LoadedPoint const& point = row.built.point;
            Parallel const& p = point.parallel;
            double const tokens =
                static_cast<double>(p.global_batch * p.sequence) / static_cast<double>(p.gpus);
            row.measured_s = run.step_asked ? *figure : tokens / *figure;
            row.model = point.model.name;
            row.gpu = point.fabric.gpu().name;
            row.layout = layout_of(row.built);
            row.release = joined(run);
            row.precision = point.system.precision.value;
            row.experts = point.model.experts > 0;
            row.apart = named_in(facts.apart, run);
            auto const [known, added] = jobs.emplace(job_of(row.built), jobs_.size());
            row.job = known->second;
            if (added) {
                Job job;
                job.row = rows_.size();
                job.depends = depends_of(row.built);
                jobs_.push_back(std::move(job));
            }
            rows_.push_back(std::move(row));
        } catch (ConfigError const& error) {
            notes_.emplace_back(error.what());
        }
    }
}

std::vector<char> RunPredictor::depends_of(TrainingRun const& run) {
    auto files = profiles_.files_of(run.point.profile_name);
    auto const path = library_.path("recipes", run.point.recipe.name, {});
    auto found = recipe_files_.find(path);
    if (found == recipe_files_.end()) {
        found = recipe_files_.emplace(path, load_recipe_file(path)).first;
    }
    std::vector<char> depends;
    for (auto const& constant : facts_.constants) {
        bool const any = std::ranges::any_of(constant.at, [&](ConfigLeaf const& leaf) {
            auto const file = library_.folder() + "/" + leaf.file;
            return std::ranges::find(files, file) != files.end() ||
                   holds_leaf(found->second, file, leaf.key);
        });
        depends.push_back(any ? 1 : 0);
    }
    return depends;
}

std::vector<double> RunPredictor::own(Job const& job, std::vector<double> const& values) {
    std::vector<double> own;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (job.depends[i] != 0) own.push_back(values[i]);
    }
    return own;
}

bool RunPredictor::depends(std::size_t row, std::size_t constant) const {
    return jobs_[rows_[row].job].depends[constant] != 0;
}

Profile const& RunPredictor::profile(Job const& job, std::vector<double> const& values) {
    LoadedPoint const& point = rows_[job.row].built.point;
    auto const key =
        std::pair(point.profile_name + " " + network_of(point.fabric), own(job, values));
    auto const found = priced_.find(key);
    if (found != priced_.end()) return found->second;
    constexpr std::size_t kept_most = 200;
    if (priced_.size() > kept_most) priced_.clear();
    auto profile = profiles_.of(point.profile_name, [&](std::string const&, Value& file) {
        set_constants(file, library_, facts_.constants, values);
    });
    return priced_.emplace(key, with_network(std::move(profile), point.fabric, library_))
        .first->second;
}

Recipe RunPredictor::recipe(Job const& job, std::vector<double> const& values) {
    TrainingRun const& run = rows_[job.row].built;
    auto const path = library_.path("recipes", run.point.recipe.name, {});
    Value file = recipe_files_.at(path);
    set_constants(file, library_, facts_.constants, values);
    return with_choices(read_recipe(file, path), run.choices);
}

template <class Use>
auto RunPredictor::with_spec(Job const& job, std::vector<double> const& values, Use const& use) {
    LoadedPoint const& point = rows_[job.row].built.point;
    Recipe const own = recipe(job, values);
    auto const precision = policy_of(own, point.system.precision.value, point.system.place);
    return use(StepSpec{point.model, point.parallel, point.fabric, profile(job, values), own,
                        precision, point.system.grain, false});
}

void RunPredictor::record(std::vector<double> const& values) {
    for (Job& job : jobs_) {
        job.done = {};
        job.done = with_spec(job, values, [](StepSpec const& spec) {
            auto done = simulate_step(spec);
            done.graph = {};
            done.execution = {};
            return done;
        });
        job.known.clear();
    }
}

double RunPredictor::seconds(std::size_t row, std::vector<double> const& values) {
    Job& job = jobs_[rows_[row].job];
    auto const key = own(job, values);
    auto const found = job.known.find(key);
    if (found != job.known.end()) return found->second;
    double const time = with_spec(job, values, [&job](StepSpec const& spec) {
        std::vector<std::vector<TaskTime>> const sets{reprice_step(spec, job.done)};
        return to_seconds(replay(job.done.replay, sets).front());
    });
    return job.known.emplace(key, time).first->second;
}

}  // namespace nvl72
