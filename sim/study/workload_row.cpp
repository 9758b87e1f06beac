#include "sim/study/workload_row.hpp"

namespace nvl72 {

std::vector<PhaseColumn> const& phase_columns() {
    using R = PhaseRow;
    static std::vector<PhaseColumn> const all{
        {"point", "", "row of /sweep", &R::point},
        {"phase", "", "its name", &R::phase},
        {"kind", "", "what it does", &R::kind},
        {"pool", "", "its machine; of a search its stages have theirs", &R::pool},
        {"basis", "", "what its times stand on", &R::basis},
        {"rounds", "", "done", &R::rounds},
        {"items", "", "done", &R::items},
        {"items_per_s", "1/s", "over the span", &R::items_per_s},
        {"busy_share", "1", "of the span, on its machine were it alone", &R::busy_share},
        {"input_share", "1", "of the span, waiting for input", &R::input_share},
        {"output_share", "1", "of the span, waiting for room behind it", &R::output_share},
        {"turn_share", "1", "of the span, waiting for others on its machine", &R::turn_share},
        {"barrier_share", "1", "of the span, waiting at a barrier", &R::barrier_share},
        {"real_share", "1", "of what it took, from people", &R::real_share, true},
        {"age", "", "versions that its weights were behind, mean", &R::age, true},
        {"energy_per_item_j", "J", "of its GPUs' machines while it ran", &R::energy_per_item_j,
         true},
        {"usd_per_item", "USD", "price of that time", &R::usd_per_item, true},
        {"robots", "", "that ask all servers of the pool", &R::robots, true},
        {"miss_share", "1", "of robots' requests answered too late", &R::miss_share, true},
        {"answer_p50_s", "s", "from a robot's request to its answer", &R::answer_p50_s, true},
        {"answer_p99_s", "s", "99 % of them take less", &R::answer_p99_s, true},
        {"age_p50_s", "s", "from seeing to acting", &R::age_p50_s, true},
        {"age_p99_s", "s", "99 % of actions are younger", &R::age_p99_s, true},
    };
    return all;
}

namespace {

struct WorkloadColumn {
    std::string_view name, unit, help;
    std::variant<std::int64_t WorkloadRow::*, double WorkloadRow::*, std::string WorkloadRow::*>
        member;
    bool optional = false;
};
std::vector<WorkloadColumn> const& workload_columns() {
    using R = WorkloadRow;
    static std::vector<WorkloadColumn> const all{
        {"point", "", "row number; other tables refer to it", &R::point},
        {"kind", "", "system or sweep", &R::kind},
        {"system", "", "label of the system", &R::system},
        {"group", "", "that label without what a sweep sets", &R::group},
        {"cluster", "", "cluster config", &R::cluster},
        {"gpu", "", "GPU config", &R::gpu},
        {"gpus", "", "of all pools", &R::gpus},
        {"phases", "", "how many", &R::phases},
        {"span_s", "s", "simulated", &R::span_s},
        {"cluster_w", "W", "mean draw of the GPUs' machines", &R::cluster_w, true},
        {"energy_j", "J", "the same over the span", &R::energy_j, true},
        {"usd", "USD", "price of the span", &R::usd, true},
        {"bound_by", "", "phase, and stage of a search, that is busy most", &R::bound_by},
        {"bound_share", "1", "of the span that it is", &R::bound_share},
        {"published_s", "s", "reported wall time", &R::published_s, true},
        {"error", "1", "span over reported, minus 1", &R::error, true},
    };
    return all;
}

template <class Row, class Columns>
ResultTable table_of(std::string name, std::vector<Row> const& rows, Columns const& columns) {
    ResultTable table{std::move(name), {}};
    for (auto const& column : columns) {
        std::visit(
            [&]<class T>(T Row::* member) {
                std::vector<T> values;
                for (Row const& row : rows) values.push_back(row.*member);
                table.columns.push_back({std::string(column.name), std::string(column.unit),
                                         std::string(column.help), std::move(values),
                                         column.optional});
            },
            column.member);
    }
    return table;
}

}  // namespace

ResultTable to_table(std::vector<WorkloadRow> const& rows) {
    return table_of("sweep", rows, workload_columns());
}

ResultTable to_table(std::vector<PhaseRow> const& rows) {
    return table_of("phases", rows, phase_columns());
}

}  // namespace nvl72
