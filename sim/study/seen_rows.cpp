#include "sim/study/seen_rows.hpp"

#include "sim/cost/fabric_profile.hpp"
#include "sim/interchange/collective_table.hpp"
#include "sim/interchange/kernel_table.hpp"
#include "sim/interchange/moe_table.hpp"
#include "sim/study/fit_collectives.hpp"
#include "sim/study/measured_files.hpp"
#include "sim/study/training_constants.hpp"

#include <cmath>

namespace nvl72 {

SeenRows::SeenRows(Library const& library) {
    auto const add = [&](std::vector<KernelSample> const& samples) {
        for (auto const& sample : samples) {
            if (sample.seconds > 0 && sample.aside.empty())
                rows_.insert(row_of(sample.gpu, sample.query, sample.seconds));
        }
    };
    std::vector<std::string> notes;
    for (auto const& [path, kind] : measured_files({library.folder() + "/measurements"}, notes)) {
        if (kind == MeasuredFileKind::kernels) {
            add(read_kernel_table(CsvTable::load(path), "").samples);
        } else if (kind == MeasuredFileKind::moe) {
            add(read_moe_table(CsvTable::load(path), "").samples);
        } else if (kind == MeasuredFileKind::collectives) {
            for (auto const& row : read_collective_table(CsvTable::load(path), "")) {
                bool const fabrics_own = fabric_name(library, row.fabric) != "unknown";
                if (fitted_to(row.query, row.fabric) || fabrics_own)
                    rows_.insert(row_of(row.gpu, row.query, row.seconds));
            }
        } else if (kind == MeasuredFileKind::training) {
            auto const apart = load_training_facts(library).apart;
            for (auto const& run : read_training_table(CsvTable::load(path))) {
                bool const fitted = run.aside.empty() && !named_in(apart, run);
                if (fitted) runs_.insert(run_of(run));
            }
        }
    }
}

bool SeenRows::holds(std::string const& gpu, Query const& query, double seconds) const {
    return rows_.contains(row_of(gpu, query, seconds));
}

bool SeenRows::holds(Point const& run) const { return runs_.contains(run_of(run)); }

/// In nanoseconds, as finely as tables print. A collective is known by what was sent between how
/// many ranks in that very time: how it was launched, or what NICs it had, another may tell anew.
SeenRows::Row SeenRows::row_of(std::string const& gpu, Query const& query, double seconds) {
    auto const nanoseconds = std::llround(seconds * 1e9);
    auto const* given = std::get_if<Collective>(&query);
    if (given == nullptr) return {gpu, query, nanoseconds};
    Collective known;
    known.op = given->op;
    known.size = given->size;
    known.shape.ranks = given->shape.ranks;
    return {gpu, known, nanoseconds};
}

bool SeenRows::holds(MeasuredTraining const& run) const { return runs_.contains(run_of(run)); }

SeenRows::Run SeenRows::run_of(Point const& point) {
    auto const& published = point.system.published;
    double figure = 0;
    if (published.step) figure = to_seconds(published.step->value);
    if (published.tokens_per_s_per_gpu) figure = published.tokens_per_s_per_gpu->value;
    return {point.system.cluster.gpus, point.system.global_batch.value, std::llround(1e3 * figure)};
}

SeenRows::Run SeenRows::run_of(MeasuredTraining const& run) {
    double const figure =
        run.step_asked ? run.step_s.value_or(0) : run.tokens_per_s_per_gpu.value_or(0);
    return {run.gpus.value_or(0), run.global_batch.value_or(0), std::llround(1e3 * figure)};
}

}  // namespace nvl72
