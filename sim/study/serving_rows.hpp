#pragma once

#include "sim/config/library.hpp"
#include "sim/cost/profile.hpp"
#include "sim/interchange/serving_table.hpp"
#include "sim/serving/metrics.hpp"
#include "sim/study/loaded_configs.hpp"
#include "sim/study/profiles.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace nvl72 {

/// A run of a table as it was predicted.
struct PredictedServing {
    std::string gpu, model, engine, profile;
    std::int64_t gpus = 0;
    bool experts = false;
    ServingMetrics metrics;
    BasisVerdict basis;
    std::vector<std::string> defaulted;  ///< "engine trt-llm for 0.8.1"
    std::string part;  ///< "aggregated dense": the regime whose rows tell how sure this is
    std::vector<std::pair<std::string, ServingSpread>> spreads;  ///< of the engine, by regime

    /// How far measurements lie from this one; unknown for a metric that none told of.
    [[nodiscard]] Spread spread_of(std::string const& metric) const;
};

/// The engine for a table's software, release and GPU architecture: of that software and
/// architecture, and of the releases that begin as that one does, before any.
std::string engine_named(std::string const& software,
                         std::string const& release,
                         std::string const& architecture,
                         Library const& library);

/// Runs rows of tables as they were run. Costs of steps are kept from row to row.
class ServingPredictor {
public:
    /// `adapt` changes engines before they are used: a fit's trial values.
    using Adapt = std::function<void(EngineProfile&)>;
    ServingPredictor(Library const& library,
                     std::vector<std::string> const& calibrations,
                     Adapt adapt = {});

    /// Throws ConfigError for what cannot be predicted, DoesNotFit for what has no memory.
    PredictedServing predict(MeasuredServing const& run);

private:
    struct Plan;

    /// A run of MLPerf Inference: as many replicas as its GPUs make, in the layout that answers its
    /// data set soonest; Server and Interactive at the rate that the row states.
    PredictedServing predict_mlperf(MeasuredServing const& run);
    void fill(PredictedServing& predicted, Plan const& plan, StepCost const& cost);
    Pool pool_of(Plan const& plan, StepCost& cost, int servers);
    static RequestSource mlperf_source(MeasuredServing const& run,
                                       Library const& library,
                                       std::string const& name);

    StepCost& cost_of(Plan const& plan, MeasuredCut const& cut, Place const& place);
    Plan plan_of(MeasuredServing const& run);
    EngineProfile const& engine(std::string const& name);
    Architecture const& model(std::string const& name);
    std::string const& model_name(std::string const& words, Place const& place);
    std::string const& engine_for(MeasuredServing const& run, std::string const& architecture);
    GpuSpec const& gpu(std::string const& name, Place const& place);

    Library const& library_;
    LoadedConfigs configs_;  ///< for the shipped clusters alone
    Profiles profiles_;
    Adapt adapt_;
    std::map<std::string, EngineProfile> engines_;
    std::map<std::string, Architecture> models_;
    std::map<std::string, GpuSpec> gpus_;
    std::map<std::string, std::string> model_names_, engine_names_;
    std::map<std::string, std::unique_ptr<StepCost>> costs_;
};

}  // namespace nvl72
