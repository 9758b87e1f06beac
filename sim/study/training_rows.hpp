#pragma once

#include "sim/config/library.hpp"
#include "sim/interchange/training_table.hpp"
#include "sim/study/loaded_configs.hpp"
#include "sim/study/model_names.hpp"
#include "sim/study/point.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// What a run says of the software beyond its release.
struct RunChoices {
    bool drops_tokens = false;   ///< rows of experts past the even share
    bool adapters_only = false;  ///< LoRA
    bool tp_alone = false;       ///< tensor-parallel collectives not under their GEMM
    bool selective = false;      ///< its software's selective recomputation
    bool full_recompute = false;
};

/// A recipe with a run's choices.
Recipe with_choices(Recipe recipe, RunChoices const& choices);

/// A run of a table, ready to simulate, and what the table left open.
struct TrainingRun {
    LoadedPoint point;
    std::vector<std::string> defaulted;  ///< "vp 1", "recipe megatron-bridge-26.06 for 26.08"
    RunChoices choices = {};             ///< which the point's recipe has
};

/// Shipped names that a table's words stand for. Throws ConfigError at `asked` with the nearest.
///   recipes  of the software and GPU, for that GPU before any, the newest that is no newer
std::string recipe_named(MeasuredTraining const& run,
                         std::string const& architecture,
                         LoadedConfigs& configs);

/// GPUs of an NVLink domain that fills units alike (Slurm's segment of equal parts): the largest
/// part of whole trays that divides `gpus`; 0: whole units do, or nothing does.
std::int64_t even_domain(ClusterSpec const& spec, std::int64_t gpus);

/// The smallest shipped cluster of that GPU with so many GPUs.
std::string cluster_named(std::string const& gpu,
                          std::int64_t gpus,
                          LoadedConfigs& configs,
                          Place const& asked);

/// The run's job as an experiment would describe it, and in `defaulted` what the row left open.
/// Throws ConfigError for what no job can be.
SystemSpec system_of_run(MeasuredTraining const& run,
                         Library const& library,
                         std::vector<std::string>& defaulted);

/// The run as its job would be configured; throws ConfigError for what no job can be.
TrainingRun training_run(MeasuredTraining const& run,
                         Library const& library,
                         GivenProfiles const& given);
/// The same with configs that other runs have named before.
TrainingRun training_run(MeasuredTraining const& run, LoadedConfigs& configs);

}  // namespace nvl72
