#pragma once

#include "sim/base/table.hpp"
#include "sim/config/value.hpp"
#include "sim/cost/spread.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// Kinds of tables that `validate` knows, in the order in which it shows them.
enum class ValidationKind : std::uint8_t { kernels, collectives, training, serving, power, claims };
template <>
struct EnumNames<ValidationKind> {
    static constexpr std::array words{"kernels", "collectives", "training",
                                      "serving", "power",       "claims"};
};

/// One measured figure beside its prediction: a line of `validate --format csv`.
struct ValidationRow {
    std::string table;       ///< a word of ValidationKind
    std::string source;      ///< file
    std::int64_t line = 0;   ///< physical line in it
    std::string metric;      ///< time_us, step_s, tokens_per_s_per_gpu, ttft_ms, node_w
    std::string unit;        ///< of `measured`, `predicted` and the interval
    std::string gpu;         ///< as configs/gpus names it
    std::int64_t gpus = 0;   ///< 0: not told
    std::string subject;     ///< gemm, attention, all_reduce, a system's name
    std::string precision;   ///< or the element type
    std::int64_t bytes = 0;  ///< of the full buffer; 0: none
    std::optional<double> measured, predicted;
    Spread spread;  ///< of `predicted`, in the metric's own sense
    std::string basis;
    double basis_share = 1;
    bool in_fit = false;
    std::string status = "ok";  ///< ok | defaulted | set_aside | skipped | does_not_fit
    std::string reason;
    std::string bound_by, profile, recipe;
    std::string part;          ///< the fitted part that prices it: "gemm fp8"
    std::int64_t domains = 0;  ///< NVLink domains that the ranks of a collective span; 0: none
    std::string two_times;     ///< "1-128 KiB": sizes at which runs take one of two times; or empty
    std::string fabric;        ///< "infiniband", "roce" ... as the source says; may be empty
    std::string release;       ///< of training: software and release; may be empty
    std::string job;           ///< of training: what it has in common with its like on another GPU
    double model_tflops = 0;   ///< of training: model TFLOP/s per GPU as predicted; 0: none
    std::string verdict;       ///< of claims: holds | differs | slip | not a simulator's question
    std::string from;          ///< of claims: experiment or cluster, and its expression

    /// predicted / measured - 1, where both are known.
    [[nodiscard]] std::optional<double> error() const;
    /// Counts in a summary: predicted, measured, and neither set aside nor skipped.
    [[nodiscard]] bool scored() const;
};

/// The columns that scripts depend on, in their order; new ones only at the end.
Table validation_table(std::vector<ValidationRow> const& rows);

/// How the scored rows of one group fare.
struct ValidationSummary {
    std::string table, gpu, group;
    std::size_t rows = 0, scored = 0, in_fit = 0;
    double mape = 0, median = 0, p90 = 0, p95 = 0, worst = 0;  ///< absolute relative errors
    double bias = 0;                ///< median of predicted / measured - 1
    std::optional<double> covered;  ///< share inside the 80 % interval, where there is one
    std::optional<double> width;    ///< median width over the predicted figure
};

/// all: the rows of a table together. size_class: collectives by where they run (a box or tray of
/// up to 8 GPUs, by GPU; a rack; across NVLink domains, by fabric) and how large they are. trait:
/// times of training by GPU, by precision, by release, and by model.
enum class GroupBy { part, source, size_class, trait, all };

/// One summary a group, in order of first appearance.
std::vector<ValidationSummary> summarise(std::vector<ValidationRow> const& rows, GroupBy by);
Table summary_table(std::vector<ValidationSummary> const& summaries);

/// Rows that are not scored, counted by status and reason.
Table skipped_table(std::vector<ValidationRow> const& rows);

}  // namespace nvl72
