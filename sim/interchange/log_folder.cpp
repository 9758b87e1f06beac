#include "sim/interchange/log_folder.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <set>

namespace nvl72 {

namespace fs = std::filesystem;

namespace {

/// GPUs whose NVLink domain may span several trays; all others' ends at the wall of their box.
constexpr std::array<std::string_view, 4> of_racks{"gb200", "gb300", "gh200", "rubin"};
constexpr std::int64_t box_gpus_max = 8;

std::int64_t ceil_of(std::int64_t whole, std::int64_t part) { return (whole + part - 1) / part; }

/// Cells of one row of the index, which may lack a column or leave it empty.
class IndexRow {
public:
    IndexRow(CsvTable const& table, std::size_t row) : table_(table), row_(row) {}

    [[nodiscard]] std::string word(char const* column) const {
        if (!table_.has(column)) return "";
        std::string const text(trimmed(table_.text(row_, column)));
        return text == "?" ? "" : text;
    }
    [[nodiscard]] double number(char const* column) const {
        return word(column).empty() ? 0 : table_.positive(row_, column);
    }
    [[nodiscard]] std::int64_t whole(char const* column) const {
        return word(column).empty() ? 0 : table_.whole(row_, column, 1);
    }
    [[nodiscard]] Place place(char const* column) const { return table_.place(row_, column); }

private:
    CsvTable const& table_;
    std::size_t row_;
};

/// N of an option "-g N" among the words of a text, 0 without one.
int option_g(std::string const& text) {
    std::string plain = text;
    std::ranges::replace(plain, ',', ' ');
    auto const words = split(plain, ' ');
    auto const option = std::ranges::find(words, "-g");
    if (option == words.end() || option + 1 == words.end()) return 0;
    int gpus = 0;
    auto const& word = *(option + 1);
    auto const read = std::from_chars(word.data(), word.data() + word.size(), gpus);
    return read.ec == std::errc{} && gpus > 0 ? gpus : 0;
}

LogFacts facts_at(IndexRow const& row) {
    LogFacts facts;
    facts.op = row.word("collective");
    facts.gpu = gpu_name(row.word("gpu"));
    facts.ranks = row.whole("ngpus");
    facts.nodes = row.whole("nnodes");
    facts.nics_per_node = row.number("nics_per_node");
    facts.nic_gbps = row.number("nic_gbps");
    facts.nvlink_domain = row.whole("nvlink_domain");
    facts.fabric = row.word("fabric");
    facts.launch = launch_mode(row.word("launch"), row.place("launch"));
    facts.gpus_per_thread = option_g(row.word("env"));
    facts.algorithm = forced_algorithm(row.word("env"));
    if (!row.word("quality").empty()) facts.quality = row.word("quality");
    facts.notes = row.word("notes");
    auto const place = row.place("");
    facts.told_by = fmt::format("{}:{}", fs::path(place.file).filename().string(), place.line);
    if (facts.ranks < 2) fail(row.place("ngpus"), "fewer than 2 ranks", "2 or more");
    if (facts.nodes > facts.ranks || (facts.nodes > 0 && facts.ranks % facts.nodes != 0)) {
        fail(row.place("nnodes"), fmt::format("{} nodes of {} GPUs", facts.nodes, facts.ranks),
             "equal shares");
    }
    return facts;
}

/// The path of the row's log; it lies in the folder itself.
fs::path log_path(IndexRow const& row, fs::path const& folder) {
    auto const name = row.word("file");
    auto const path = folder / name;
    std::error_code ignored;
    if (name.empty() || fs::path(name).filename() != fs::path(name)) {
        fail(row.place("file"), fmt::format("'{}'", name), "the name of a log beside the index");
    }
    if (!fs::exists(path, ignored)) {
        fail(row.place("file"), fmt::format("'{}' is not there", name),
             fmt::format("a log in {}, or the row deleted", folder.string()));
    }
    return path;
}

void note_unlisted(LogFolder& result, fs::path const& folder, std::set<std::string> const& listed) {
    std::set<std::string> others;
    for (auto const& entry : fs::directory_iterator(folder)) {
        auto const name = entry.path().filename().string();
        if (entry.is_regular_file() && !listed.contains(name) && name != "INDEX.csv" &&
            is_nccl_log(entry.path().string())) {
            others.insert(name);
        }
    }
    for (auto const& name : others) {
        result.notes.push_back(
            fmt::format("{}: left aside (expected a row in INDEX.csv)", (folder / name).string()));
    }
}

/// Shape of the ranks, and what the facts lack for it.
struct ShapeOrLack {
    GroupShape shape;
    std::string lack;       ///< the rows cannot be predicted
    std::string defaulted;  ///< they can, once the study fills it
};

ShapeOrLack shape_of(LogFacts const& facts) {
    ShapeOrLack found;
    if (facts.ranks < 2) return {{}, "the number of ranks is not told", ""};
    auto domain = facts.nvlink_domain;
    if (domain == 0 && facts.nodes == 1) domain = facts.ranks;
    if (domain == 0) return {{}, "nvlink_domain is not told", ""};
    bool const of_rack = std::ranges::find(of_racks, facts.gpu) != of_racks.end();
    auto& shape = found.shape;
    shape.ranks = facts.ranks;
    shape.domains = ceil_of(facts.ranks, domain);
    if (!of_rack && domain <= box_gpus_max) shape.domains = std::max(shape.domains, facts.nodes);
    shape.ranks_per_domain = ceil_of(shape.ranks, shape.domains);
    // Nodes of four Grace Hoppers have no switches: each GPU is wired to the three others.
    bool const direct = facts.gpu == "gh200" && domain <= 4;
    shape.planes = shape.planes_up = direct ? 0 : planes_assumed;
    if (shape.domains == 1) return found;
    if (facts.nodes == 0 || facts.nics_per_node == 0 || facts.nic_gbps == 0) {
        found.defaulted = "NICs not told: nnodes, nics_per_node, nic_gbps";
        return found;
    }
    auto const ranks_per_node = static_cast<double>(facts.ranks) / static_cast<double>(facts.nodes);
    shape.per_gpu_nic =
        BytesPerSecond{facts.nics_per_node * facts.nic_gbps / ranks_per_node * 1e9 / 8};
    return found;
}

std::string unknown_gpu(std::string const& gpu, std::span<std::string const> gpus) {
    std::vector<std::string> kinds;
    for (auto const& name : gpus) {
        if (name.starts_with(gpu + "-")) kinds.push_back(name);
    }
    if (kinds.empty()) return fmt::format("GPU '{}' is not among configs/gpus", gpu);
    return fmt::format("GPU '{}' may be {} (expected which)", gpu, join(kinds, " or "));
}

void set_status(MeasuredCollective& row,
                LogFacts const& facts,
                ShapeOrLack const& found,
                std::span<std::string const> gpus) {
    auto const skip = [&](std::string const& reason) {
        row.status = RowStatus::skipped;
        row.reason = reason;
    };
    if (row.status == RowStatus::skipped) return;
    if (row.query.size.count == 0) return skip("0 bytes: fewer elements than ranks");
    if (row.op.empty()) return skip("the operation is not told (expected --op, or INDEX.csv)");
    if (!collective_op(row.op)) return skip(fmt::format("operation '{}' is not simulated", row.op));
    if (row.gpu.empty()) return skip("the GPU is not told (expected --gpu, or INDEX.csv)");
    if (std::ranges::find(gpus, row.gpu) == gpus.end()) return skip(unknown_gpu(row.gpu, gpus));
    if (!found.lack.empty()) return skip(found.lack);
    if (row.quality != "ok") {
        row.status = RowStatus::set_aside;
        row.reason =
            fmt::format("quality '{}'{}, {}", row.quality,
                        facts.notes.empty() ? "" : " (" + facts.notes + ")", facts.told_by);
    } else if (!found.defaulted.empty()) {
        row.status = RowStatus::defaulted;
        row.reason = found.defaulted;
    }
}

std::optional<double> seconds_of(std::optional<NcclTime> const& time) {
    return time ? std::optional(time->time_us.value * 1e-6) : std::nullopt;
}

}  // namespace

bool is_log_index(CsvTable const& table) {
    return table.has("file") && table.has("gpu") && table.has("ngpus") &&
           table.has("nvlink_domain");
}

LogFolder read_log_folder(std::string const& folder) {
    auto const table = CsvTable::load((fs::path(folder) / "INDEX.csv").string());
    if (!is_log_index(table)) {
        fail({table.file(), 1, ""}, join(table.header()),
             "the columns file, gpu, ngpus, nvlink_domain");
    }
    LogFolder result;
    std::set<std::string> listed;
    for (std::size_t i = 0; i < table.rows(); ++i) {
        IndexRow const row(table, i);
        auto const path = log_path(row, folder);
        if (!listed.insert(path.filename().string()).second) {
            fail(row.place("file"), "a log listed twice", "once");
        }
        IndexedLog indexed{facts_at(row), {}};
        indexed.log = read_nccl_log(path.string(), {indexed.facts.op, indexed.facts.ranks});
        // "A100" of the index may be "A100-SXM4-40GB" in the log.
        auto const& devices = indexed.log.devices;
        auto const device = devices.size() == 1 ? gpu_name(devices.front()) : "";
        if (device.starts_with(indexed.facts.gpu + "-")) indexed.facts.gpu = device;
        auto const rows = row.whole("rows");
        if (rows > 0 && rows != static_cast<std::int64_t>(indexed.log.rows.size())) {
            result.notes.push_back(fmt::format("{}: {} rows (expected {}, as {} counts them)",
                                               path.string(), indexed.log.rows.size(), rows,
                                               indexed.facts.told_by));
        }
        result.logs.push_back(std::move(indexed));
    }
    note_unlisted(result, folder, listed);
    return result;
}

LogFacts facts_of(NcclLog const& log, std::string const& op, std::string const& gpu) {
    LogFacts facts;
    facts.op = op.empty() ? log.op : op;
    facts.gpu = gpu;
    if (gpu.empty() && log.devices.size() == 1) facts.gpu = gpu_name(log.devices.front());
    facts.ranks = log.ranks;
    facts.nodes = log.hosts;
    if (facts.nodes == 1 && facts.ranks <= box_gpus_max) facts.nvlink_domain = facts.ranks;
    if (log.graph > 0) facts.launch = LaunchMode::graph;
    facts.told_by = log.file;
    return facts;
}

std::vector<MeasuredCollective> measured_rows(IndexedLog const& indexed,
                                              std::span<std::string const> gpus) {
    auto const& facts = indexed.facts;
    std::vector<MeasuredCollective> rows;
    for (auto const& own : indexed.log.rows) {
        LogFacts of_row = facts;
        if (of_row.ranks == 0) of_row.ranks = own.ranks;
        auto const found = shape_of(of_row);
        MeasuredCollective row;
        row.source = indexed.log.file;
        row.line = own.line;
        row.gpu = facts.gpu;
        row.op = facts.op.empty() ? own.op : facts.op;
        row.query.op = collective_op(row.op).value_or(CollectiveOp::all_reduce);
        row.query.size = Bytes{own.bytes};
        if (auto const* type = element_type(own.type)) row.query.bytes_per_element = type->bytes;
        row.query.shape = found.shape;
        row.launch = facts.launch;
        row.algorithm = facts.algorithm;
        // Over domains NCCL_ALGO=NVLS is NVLS below a tree.
        if (row.algorithm == "nvls" && found.shape.domains > 1) row.algorithm = "hierarchical";
        int const per_thread =
            indexed.log.gpus_per_thread > 0 ? indexed.log.gpus_per_thread : facts.gpus_per_thread;
        row.query.launch = launch_of(row.launch, std::max(1, per_thread));
        row.fabric = facts.fabric;
        row.quality = facts.quality;
        take_times(row, seconds_of(own.out_of_place), seconds_of(own.in_place));
        if (row.status == RowStatus::skipped && !own.dropped.empty()) row.reason = own.dropped;
        set_status(row, facts, found, gpus);
        rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace nvl72
