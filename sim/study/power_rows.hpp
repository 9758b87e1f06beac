#pragma once

#include "sim/config/library.hpp"
#include "sim/cost/profile.hpp"
#include "sim/interchange/power_table.hpp"
#include "sim/power/choice.hpp"
#include "sim/study/validation_row.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// How a benchmark is run on so many GPUs of a kind.
struct BenchmarkRun {
    Place place;
    std::string model;  ///< as tables of power name it
    std::string gpu, task, precision;
    std::int64_t gpus = 0, sequence = 0, global_batch = 0, micro_batch = 1;
    std::int64_t tp = 1, pp = 1, cp = 1, vp = 1;
};
std::vector<Field<BenchmarkRun>> const& fields_of(BenchmarkRun const*);

/// How the nodes are cooled whose description has all these words.
struct PoweredSystem {
    Place place;
    std::string words;
    Cooling cooling = Cooling::air;
};
std::vector<Field<PoweredSystem>> const& fields_of(PoweredSystem const*);

/// configs/measurements/power/benchmarks.yaml: what tables of power leave out.
struct Benchmarks {
    std::vector<PoweredSystem> nodes;
    std::vector<BenchmarkRun> runs;
};
std::vector<Field<Benchmarks>> const& fields_of(Benchmarks const*);
Benchmarks load_benchmarks(Library const& library);

/// The GPU of configs/gpus that the words of a system name; "" where they name none.
std::string gpu_of_system(std::string const& words, Library const& library);

/// Rows of a table of node power beside their predictions: each one's benchmark simulated as it is
/// run, its node's power at the feed that the row states. What no prediction can be made of is
/// skipped, with the reason.
std::vector<ValidationRow> power_rows(std::vector<MeasuredPower> const& runs,
                                      Library const& library,
                                      GivenProfiles const& given);

}  // namespace nvl72
