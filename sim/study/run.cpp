#include "sim/study/run.hpp"

#include "sim/base/error.hpp"
#include "sim/study/point.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <fmt/format.h>
#include <mutex>
#include <thread>

namespace nvl72 {

namespace {

/// Collects rows of one result table, column by column.
class Rows {
public:
    explicit Rows(ResultTable layout) : table_(std::move(layout)) {}

    void add(std::vector<std::variant<std::int64_t, double, std::string>> const& row) {
        NVL72_EXPECT(row.size() == table_.columns.size(), "a row fills every column");
        for (std::size_t c = 0; c < row.size(); ++c) {
            std::visit(
                [&](auto const& value) {
                    using T = std::decay_t<decltype(value)>;
                    std::get<std::vector<T>>(table_.columns[c].values).push_back(value);
                },
                row[c]);
        }
    }

    void move_to(ResultFile& file) {
        if (table_.columns.front().rows() > 0) file.tables.push_back(std::move(table_));
    }

private:
    ResultTable table_;
};

using Integers = std::vector<std::int64_t>;
using Reals = std::vector<double>;
using Texts = std::vector<std::string>;

ResultTable classes_layout() {
    ResultTable table{"classes",
                      {{"point", "", "row of /sweep", Integers{}},
                       {"class", "", "number of the class", Integers{}},
                       {"name", "", "pipeline stage", Texts{}},
                       {"gpus", "", "GPUs in the class", Integers{}},
                       {"representative", "", "rank of its first GPU", Integers{}}}};
    for (StepPart const& part : step_parts) {
        table.columns.push_back({std::string(part.column), "s",
                                 fmt::format("part of the step: {}", part.title), Reals{}});
    }
    return table;
}

ResultTable memory_layout() {
    return {"memory",
            {{"point", "", "row of /sweep", Integers{}},
             {"class", "", "row of /classes of that point", Integers{}},
             {"owner", "", "who holds it", Texts{}},
             {"gib", "GiB", "peak memory of one GPU", Reals{}}}};
}

ResultTable links_layout() {
    return {"links",
            {{"point", "", "row of /sweep", Integers{}},
             {"name", "", "class and kind of link", Texts{}},
             {"capacity", "B/s", "of one GPU, one direction", Reals{}},
             {"bytes", "B", "sent by one GPU in the step", Reals{}},
             {"utilisation", "1", "bytes over capacity times step", Reals{}}}};
}

ResultTable topology_layout() {
    return {"topology",
            {{"point", "", "row of /sweep", Integers{}},
             {"fact", "", "derived from the wiring", Texts{}},
             {"value", "", "number, or text for names", Texts{}},
             {"unit", "", "unit of the value", Texts{}}}};
}

ResultTable ops_layout() {
    return {"ops",
            {{"point", "", "row of /sweep", Integers{}},
             {"class", "", "row of /classes of that point", Integers{}},
             {"stream", "", "FIFO it ran on", Texts{}},
             {"kind", "", "compute, collective or transfer", Texts{}},
             {"dimension", "", "parallel dimension of a communication", Texts{}},
             {"phase", "", "what part of the step", Texts{}},
             {"micro_batch", "", "-1: none", Integers{}},
             {"chunk", "", "model chunk on the stage; -1: none", Integers{}},
             {"start_ps", "ps", "from the start of the step", Integers{}},
             {"end_ps", "ps", "from the start of the step", Integers{}}}};
}

void add_classes(Rows& rows, std::int64_t point, StepResult const& step) {
    for (std::size_t c = 0; c < step.by_class.size(); ++c) {
        RankClass const& who = step.graph.classes()[c];
        std::vector<std::variant<std::int64_t, double, std::string>> row{
            point, static_cast<std::int64_t>(c), who.name,
            static_cast<std::int64_t>(who.multiplicity),
            static_cast<std::int64_t>(who.representative.value)};
        StepParts const parts = parts_of(step.by_class[c]);
        for (StepPart const& part : step_parts) row.emplace_back(parts.*part.member);
        rows.add(row);
    }
}

void add_memory(Rows& rows, std::int64_t point, StepResult const& step) {
    for (std::size_t s = 0; s < step.memory.size(); ++s) {
        Table const owners = memory_table(step.memory[s]);
        for (std::size_t r = 0; r < owners.rows(); ++r) {
            auto const* owner = std::get_if<std::string>(&owners.at(r, 0));
            auto const* gib = std::get_if<double>(&owners.at(r, 1));
            NVL72_EXPECT(owner != nullptr && gib != nullptr, "the memory table is owner, GiB, ...");
            if (*owner == "total") continue;
            rows.add({point, static_cast<std::int64_t>(s), *owner, *gib});
        }
    }
}

void add_links(Rows& rows, std::int64_t point, StepResult const& step) {
    for (LinkUse const& link : step.links) {
        rows.add({point, link.name, link.capacity, link.bytes,
                  link.bytes / (link.capacity * to_seconds(step.step))});
    }
}

void add_topology(Rows& rows, std::int64_t point, Fabric const& fabric) {
    for (Fact const& fact : fabric.facts()) {
        std::string value;
        if (auto const* text = std::get_if<std::string>(&fact.value)) value = *text;
        if (auto const* real = std::get_if<double>(&fact.value)) value = fmt::format("{}", *real);
        if (auto const* whole = std::get_if<std::int64_t>(&fact.value)) {
            value = fmt::format("{}", *whole);
        }
        rows.add({point, fact.name, value, fact.unit});
    }
}

void add_ops(Rows& rows, std::int64_t point, StepResult const& step) {
    static constexpr std::array kinds{"compute", "collective", "transfer"};
    TaskGraph const& graph = step.graph;
    for (std::uint32_t i = 0; i < graph.tasks().size(); ++i) {
        Task const& task = graph.tasks()[i];
        rows.add({point, static_cast<std::int64_t>(graph.class_of(TaskId{i}).value),
                  graph.streams()[task.stream.value].name,
                  std::string(kinds.at(static_cast<std::size_t>(task.kind))),
                  name_of(task.dimension), graph.phases()[task.phase],
                  static_cast<std::int64_t>(task.micro_batch),
                  static_cast<std::int64_t>(task.chunk), step.execution.start[i].count,
                  step.execution.finish[i].count});
    }
}

/// Simulates all points on `threads` workers; each result lands in its own place.
std::vector<SimulatedPoint> simulate_all(std::vector<LoadedPoint> const& points,
                                         RunOptions const& options) {
    std::vector<SimulatedPoint> done(points.size());
    std::vector<std::exception_ptr> failures(points.size());
    std::atomic<std::size_t> next{0};
    std::atomic<std::size_t> finished{0};
    std::mutex telling;
    auto const tell = [&](double share) {
        if (!options.progress) return;
        std::scoped_lock const lock(telling);
        options.progress(share);
    };
    auto const work = [&] {
        for (std::size_t i = next++; i < points.size(); i = next++) {
            try {
                auto const inner = [&](double share) {
                    tell((static_cast<double>(finished) + share) /
                         static_cast<double>(points.size()));
                };
                done[i] = simulate_point(points[i], static_cast<std::int64_t>(i), inner);
                ++finished;
                tell(static_cast<double>(finished) / static_cast<double>(points.size()));
            } catch (...) {
                // Points are begun in order, so the first that fails is among those begun.
                failures[i] = std::current_exception();
                next = points.size();
            }
        }
    };
    std::vector<std::jthread> workers;
    for (int t = 1; t < options.threads; ++t) workers.emplace_back(work);
    work();
    workers.clear();
    for (auto const& failure : failures) {
        if (failure) std::rethrow_exception(failure);
    }
    return done;
}

/// Which network a system's numbers rest on: the routing factor is stated, not simulated.
std::string network_note(LoadedPoint const& point) {
    Fabric const& fabric = point.fabric;
    if (fabric.domains() == 1) {
        return fmt::format("{}: {} GPUs stay inside one NVLink domain; no network is crossed",
                           point.system.name, fabric.gpus());
    }
    return fmt::format(
        "{}: {} GPUs in {} NVLink domains{}; routing {}, folded, at the stated {:.0f} % of "
        "line rate where several switches are crossed",
        point.system.name, fabric.gpus(), fabric.domains(),
        point.system.fabric ? ", fabric " + point.system.fabric->value : "",
        name_of(fabric.routing()), 100 * fabric.routing_factor());
}

std::vector<std::string> unique_names(std::vector<std::string> names) {
    std::vector<std::string> kept;
    for (auto& name : names) {
        if (std::ranges::find(kept, name) == kept.end()) kept.push_back(std::move(name));
    }
    return kept;
}

}  // namespace

RunResult run_experiment(Experiment const& experiment,
                         Library const& library,
                         RunOptions const& options) {
    std::vector<LoadedPoint> points;
    DrawnProfiles drawn(library, experiment.seed);
    for (Point const& point : experiment.points) {
        points.push_back(load_point(point, library, options.calibrations));
        points.back().draws = drawn.of(points.back().profile_name);
    }
    std::vector<std::string> gpus;
    for (auto const& point : points) gpus.push_back(point.fabric.gpu().name);
    expect_used(options.calibrations, library, unique_names(std::move(gpus)));
    auto const simulated = simulate_all(points, options);

    RunResult result;
    Rows classes(classes_layout());
    Rows memory(memory_layout());
    Rows links(links_layout());
    Rows topology(topology_layout());
    Rows ops(ops_layout());
    for (std::size_t i = 0; i < simulated.size(); ++i) {
        auto const& [row, step] = simulated[i];
        result.rows.push_back(row);
        auto const fullest = std::ranges::max_element(
            step.memory, {}, [](Memory const& own) { return own.total(); });
        result.memory.push_back(memory_table(*fullest));
        if (options.trace == TraceLevel::none) continue;
        add_classes(classes, row.point, step);
        add_memory(memory, row.point, step);
        add_links(links, row.point, step);
        add_topology(topology, row.point, points[i].fabric);
        if (options.trace == TraceLevel::ops && points[i].kind == PointKind::system) {
            add_ops(ops, row.point, step);
        }
    }

    ResultFile& file = result.file;
    file.config = experiment.config;
    file.seed = experiment.seed;
    file.program_version = options.program_version;
    std::vector<std::string> profiles;
    std::vector<std::string> recipes;
    if (std::ranges::any_of(points, [](auto const& point) { return !point.draws->empty(); })) {
        result.notes.push_back(interval_note());
    }
    for (LoadedPoint const& point : points) {
        if (point.kind == PointKind::system) result.notes.push_back(network_note(point));
        profiles.push_back(point.profile_name);
        recipes.push_back(point.recipe.name);
    }
    file.calibrations = unique_names(std::move(profiles));
    file.recipes = unique_names(std::move(recipes));
    file.tables.push_back(to_table(result.rows));
    for (Rows* rows : {&classes, &memory, &links, &topology, &ops}) rows->move_to(file);
    return result;
}

}  // namespace nvl72
