#include "sim/interchange/training_table.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace nvl72 {

namespace {

/// What tells a kind of table, and what it implies.
struct TableKind {
    std::string_view software;
    std::array<std::string_view, 4> columns;  ///< that it has
    std::array<std::string_view, 4> marks;    ///< by which it is known where it lacks some of them
    bool step_asked;
};
constexpr std::array table_kinds{
    TableKind{"",
              {"software", "release", "gpu", "model"},
              {"software", "sequence", "global_batch", "micro_batch"},
              false},
    TableKind{"megatron-bridge",
              {"release", "system", "model", "tokens_per_s_per_gpu"},
              {"task", "note", "ga", "model_tflops_per_gpu"},
              false},
    TableKind{"nemo-mlperf",
              {"round", "gpu", "model", "step_s"},
              {"submitter", "microbatches", "step_from", "step_s_p10"},
              true},
    TableKind{"torchtitan",
              {"gpu", "local_batch", "seq", "tokens_s_gpu"},
              {"memory_GiB", "async_tp", "compile", "recompute"},
              false},
};

/// The kind whose columns the table has; else the one of whose columns and marks it has the most,
/// and no fewer than four.
TableKind const* kind_of(CsvTable const& table) {
    auto const here = [&](std::string_view column) { return table.has(column); };
    TableKind const* nearest = nullptr;
    std::ptrdiff_t most = 3;
    for (auto const& kind : table_kinds) {
        if (std::ranges::all_of(kind.columns, here)) return &kind;
        auto const known =
            std::ranges::count_if(kind.columns, here) + std::ranges::count_if(kind.marks, here);
        if (known <= most) continue;
        most = known;
        nearest = &kind;
    }
    return nearest;
}

bool tells_release(TableKind const& kind) {
    return std::ranges::any_of(kind.columns, [](std::string_view column) {
        return column == "release" || column == "round";
    });
}

/// Cells of one row, by the first of several names that the table has.
class Cells {
public:
    Cells(CsvTable const& table, std::size_t row) : table_(table), row_(row) {}

    using Names = std::initializer_list<std::string_view>;

    [[nodiscard]] std::string text(Names names) const {
        auto const column = find(names);
        if (column.empty()) return "";
        auto const cell = trimmed(table_.text(row_, column));
        bool const missing = cell == "nan" || cell == "NaN" || cell == "null" || cell == "NULL";
        return missing ? std::string() : std::string(cell);
    }
    [[nodiscard]] std::optional<std::int64_t> count(Names names, std::int64_t least = 1) const {
        if (blank(names)) return std::nullopt;
        return table_.whole(row_, find(names), least);
    }
    [[nodiscard]] std::optional<double> number(Names names) const {
        if (blank(names)) return std::nullopt;
        return table_.positive(row_, find(names));
    }
    /// A switch written 0 or 1, or in a word.
    [[nodiscard]] bool flag(Names names, bool fallback) const {
        auto const word = text(names);
        for (std::string_view const yes : {"true", "True", "yes"}) {
            if (word == yes) return true;
        }
        for (std::string_view const no : {"false", "False", "no"}) {
            if (word == no) return false;
        }
        auto const given = count(names, 0);
        return given ? *given != 0 : fallback;
    }

private:
    [[nodiscard]] bool blank(Names names) const {
        auto const column = find(names);
        return column.empty() || table_.blank(row_, column);
    }
    [[nodiscard]] std::string_view find(Names names) const {
        for (auto const name : names) {
            if (table_.has(name)) return name;
        }
        return {};
    }

    CsvTable const& table_;
    std::size_t row_;
};

void read_row(MeasuredTraining& run,
              CsvTable const& table,
              std::size_t row,
              TableKind const& kind) {
    Cells const cells(table, row);
    run.software = kind.software.empty() ? cells.text({"software"}) : std::string(kind.software);
    run.aside = aside_of(table, row);
    run.release = cells.text({"release", "round"});
    run.release_missing = run.release.empty() && tells_release(kind);
    // "system" is the GPU of one table and a site's name in another.
    run.gpu = cells.text({"gpu", "system"});
    run.model = cells.text({"model"});
    run.precision = cells.text({"precision"});
    run.note = cells.text({"note"});
    run.task = cells.text({"task"});
    run.schedule = cells.text({"schedule"});
    run.recompute = cells.text({"recompute"});
    run.gpus = cells.count({"gpus"});
    run.sequence = cells.count({"sequence", "seq_len", "seq"});
    run.global_batch = cells.count({"global_batch", "gbs"});
    run.local_batch = cells.count({"local_batch"});
    run.micro_batch = cells.count({"micro_batch", "mbs"});
    run.micro_batches = cells.count({"micro_batches", "microbatches", "ga"});
    run.tp = cells.count({"tp"});
    run.pp = cells.count({"pp"});
    run.cp = cells.count({"cp"});
    run.vp = cells.count({"vp"});
    run.ep = cells.count({"ep"});
    run.fsdp = cells.count({"fsdp"}, 0);
    run.compiled = cells.flag({"compiled", "compile"}, true);
    run.async_tp = cells.flag({"async_tp"}, true);
    run.tokens_per_s_per_gpu = cells.number({"tokens_per_s_per_gpu", "tokens_s_gpu"});
    run.step_s = cells.number({"step_s"});
    run.step_asked = kind.step_asked || (run.step_s && !run.tokens_per_s_per_gpu);
    run.memory_gib = cells.number({"memory_gib"});
}

}  // namespace

bool is_training_table(CsvTable const& table) { return kind_of(table) != nullptr; }

std::vector<MeasuredTraining> read_training_table(CsvTable const& table) {
    std::vector<MeasuredTraining> runs;
    auto const* kind = kind_of(table);
    for (std::size_t row = 0; kind != nullptr && row < table.rows(); ++row) {
        MeasuredTraining run;
        run.source = table.file();
        run.line = table.place(row, "").line;
        run.step_asked = kind->step_asked;
        try {
            read_row(run, table, row, *kind);
        } catch (ConfigError const& error) {
            run.unreadable = error.what();
        }
        runs.push_back(std::move(run));
    }
    return runs;
}

}  // namespace nvl72
