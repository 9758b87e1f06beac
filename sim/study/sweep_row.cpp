#include "sim/study/sweep_row.hpp"

#include "sim/base/error.hpp"

#include <fmt/format.h>
#include <variant>

namespace nvl72 {

std::array<StepPart, 8> const step_parts{
    StepPart{"compute_s", "compute", &StepParts::compute},
    StepPart{"exposed_tp_s", "TP", &StepParts::exposed_tp},
    StepPart{"exposed_cp_s", "CP", &StepParts::exposed_cp},
    StepPart{"exposed_ep_s", "EP", &StepParts::exposed_ep},
    StepPart{"exposed_dp_s", "DP", &StepParts::exposed_dp},
    StepPart{"exposed_pp_s", "PP", &StepParts::exposed_pp},
    StepPart{"bubble_s", "bubble", &StepParts::bubble},
    StepPart{"idle_s", "idle", &StepParts::idle},
};

namespace {

using Member = std::variant<std::int64_t SweepRow::*, double SweepRow::*, std::string SweepRow::*>;

/// One column of /sweep: the file's layout and the struct, in one place.
struct SweepColumn {
    std::string_view name;
    std::string_view unit;
    std::string_view help;
    Member member;
    bool optional = false;
};

std::vector<SweepColumn> const& columns() {
    static std::vector<SweepColumn> const all{
        {"point", "", "row number; other tables refer to it", &SweepRow::point},
        {"kind", "", "system, sweep or measured", &SweepRow::kind},
        {"system", "", "label of the system", &SweepRow::system},
        {"cluster", "", "cluster config", &SweepRow::cluster},
        {"gpu", "", "GPU config", &SweepRow::gpu},
        {"gpus", "", "GPUs of the job", &SweepRow::gpus},
        {"model", "", "model config", &SweepRow::model},
        {"recipe", "", "training recipe", &SweepRow::recipe},
        {"precision", "", "precision of the recipe", &SweepRow::precision},
        {"sequence_length", "tokens", "tokens per sequence", &SweepRow::sequence_length},
        {"global_batch", "sequences", "sequences per optimizer step", &SweepRow::global_batch},
        {"tp", "", "tensor parallel size", &SweepRow::tp},
        {"pp", "", "pipeline stages", &SweepRow::pp},
        {"cp", "", "context parallel size", &SweepRow::cp},
        {"vp", "", "model chunks per stage", &SweepRow::vp},
        {"dp", "", "data parallel size", &SweepRow::dp},
        {"micro_batch", "sequences", "sequences per micro-batch", &SweepRow::micro_batch},
        {"micro_batches", "", "micro-batches per step and rank", &SweepRow::micro_batches},
        {"step_s", "s", "time of one optimizer step", &SweepRow::step_s},
        {"step_p10_s", "s", "90 % of measured steps take longer", &SweepRow::step_p10_s, true},
        {"step_p90_s", "s", "90 % of measured steps take less", &SweepRow::step_p90_s, true},
        {"drawn_p10_s", "s", "10th percentile over joint draws of the fitted constants",
         &SweepRow::drawn_p10_s, true},
        {"drawn_p90_s", "s", "90th percentile over joint draws of the fitted constants",
         &SweepRow::drawn_p90_s, true},
        {"tokens_per_s_per_gpu", "tokens/s", "throughput", &SweepRow::tokens_per_s_per_gpu},
        {"model_tflops_per_gpu", "TFLOP/s",
         "model FLOPs (causal attention half, recomputation excluded)",
         &SweepRow::model_tflops_per_gpu},
        {"mfu", "1", "model FLOPs over the dense peak of the block GEMMs' precision",
         &SweepRow::mfu},
        {"memory_gib", "GiB", "peak memory of the fullest GPU", &SweepRow::memory_gib},
        {"published_tokens_per_s_per_gpu", "tokens/s", "published throughput",
         &SweepRow::published_tokens_per_s_per_gpu, true},
        {"published_step_s", "s", "published step time (median)", &SweepRow::published_step_s,
         true},
        {"published_step_low_s", "s", "10th percentile of the run's steps",
         &SweepRow::published_step_low_s, true},
        {"published_step_high_s", "s", "90th percentile of the run's steps",
         &SweepRow::published_step_high_s, true},
        {"error", "1", "predicted over published throughput, minus 1", &SweepRow::error, true},
        {"basis", "", "what the calibration supports the prediction with", &SweepRow::basis},
        {"basis_share", "1", "share of the time that stands on that basis", &SweepRow::basis_share},
        {"published_source", "", "where the published figure is from", &SweepRow::published_source},
    };
    return all;
}

template <class T>
ResultColumn column_of(std::vector<SweepRow> const& rows,
                       SweepColumn const& column,
                       T SweepRow::* member) {
    std::vector<T> values;
    for (SweepRow const& row : rows) values.push_back(row.*member);
    return {std::string(column.name), std::string(column.unit), std::string(column.help),
            std::move(values), column.optional};
}

template <class T>
void read_column(std::vector<SweepRow>& rows,
                 ResultColumn const& column,
                 T SweepRow::* member,
                 std::string const& path) {
    auto const* values = std::get_if<std::vector<T>>(&column.values);
    if (values == nullptr) {
        throw ConfigError(
            fmt::format("{}: /sweep/{}: of another type (expected a file of this "
                        "program's version)",
                        path, column.name));
    }
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].*member = (*values)[i];
}

ResultColumn const& find_column(ResultTable const& table,
                                std::string_view name,
                                std::string const& path) {
    ResultColumn const* found = table.find(std::string(name));
    if (found == nullptr) {
        throw ConfigError(
            fmt::format("{}: no column /sweep/{} (expected a file of this program's "
                        "version)",
                        path, name));
    }
    return *found;
}

}  // namespace

StepParts parts_of(Breakdown const& breakdown) {
    auto const exposed = [&](ParallelDimension dimension) {
        return to_seconds(breakdown.exposed[static_cast<std::size_t>(dimension)]);
    };
    return {to_seconds(breakdown.compute),  exposed(ParallelDimension::tp),
            exposed(ParallelDimension::cp), exposed(ParallelDimension::ep),
            exposed(ParallelDimension::dp), exposed(ParallelDimension::pp),
            to_seconds(breakdown.bubble),   to_seconds(breakdown.idle)};
}

ResultTable to_table(std::vector<SweepRow> const& rows) {
    NVL72_EXPECT(!rows.empty(), "a result has at least one point");
    ResultTable table{"sweep", {}};
    for (SweepColumn const& column : columns()) {
        table.columns.push_back(std::visit(
            [&](auto member) { return column_of(rows, column, member); }, column.member));
    }
    for (StepPart const& part : step_parts) {
        std::vector<double> values;
        for (SweepRow const& row : rows) values.push_back(row.parts.*part.member);
        table.columns.push_back(
            {std::string(part.column), "s",
             fmt::format("part of the step: {}, averaged over GPUs", part.title),
             std::move(values)});
    }
    for (PowerColumn const& column : power_columns) {
        std::vector<double> values;
        for (SweepRow const& row : rows) values.push_back(row.power.*column.member);
        table.columns.push_back({std::string(column.column), std::string(column.unit),
                                 std::string(column.help), std::move(values), true});
    }
    for (CampaignColumn const& column : campaign_columns) {
        for (BandColumn const& band : band_columns) {
            std::vector<double> values;
            for (SweepRow const& row : rows)
                values.push_back(row.campaign.*column.member.*band.member);
            table.columns.push_back({fmt::format("{}{}", column.column, band.ending),
                                     std::string(column.unit), std::string(column.help),
                                     std::move(values), true});
        }
    }
    return table;
}

std::vector<SweepRow> sweep_rows(ResultFile const& result, std::string const& path) {
    ResultTable const* table = result.find("sweep");
    if (table == nullptr || table->columns.empty()) {
        throw ConfigError(
            fmt::format("{}: no table /sweep (expected a result of nvl72sim run)", path));
    }
    if (table->find("ttft_s") != nullptr || table->find("phases") != nullptr) {
        throw ConfigError(
            path +
            ": holds requests served or phases, not training steps (expected a result "
            "with step_s; run prints how its systems compare)");
    }
    std::vector<SweepRow> rows(table->columns.front().rows());
    for (SweepColumn const& column : columns()) {
        ResultColumn const& stored = find_column(*table, column.name, path);
        std::visit([&](auto member) { read_column(rows, stored, member, path); }, column.member);
    }
    for (StepPart const& part : step_parts) {
        ResultColumn const& stored = find_column(*table, part.column, path);
        auto const* values = std::get_if<std::vector<double>>(&stored.values);
        if (values == nullptr) throw ConfigError(path + ": /sweep holds a column of another type");
        for (std::size_t i = 0; i < rows.size(); ++i) rows[i].parts.*part.member = (*values)[i];
    }
    // A file of before there were power and campaigns has no such column: nothing is known of it.
    auto const read_known = [&](std::string const& name, auto const& member_of) {
        ResultColumn const* stored = table->find(name);
        auto const* values =
            stored != nullptr ? std::get_if<std::vector<double>>(&stored->values) : nullptr;
        for (std::size_t i = 0; values != nullptr && i < rows.size(); ++i)
            member_of(rows[i]) = (*values)[i];
    };
    for (PowerColumn const& column : power_columns) {
        read_known(std::string(column.column),
                   [&](SweepRow& row) -> double& { return row.power.*column.member; });
    }
    for (CampaignColumn const& column : campaign_columns) {
        for (BandColumn const& band : band_columns) {
            read_known(
                fmt::format("{}{}", column.column, band.ending),
                [&](SweepRow& row) -> double& { return row.campaign.*column.member.*band.member; });
        }
    }
    return rows;
}

}  // namespace nvl72
