#include "sim/interchange/log_folder.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <type_traits>

namespace nvl72 {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t box_gpus_max = 8;  // NVLink of GPUs that no rack holds ends at its wall

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
        return word(column).empty() ? 0 : table_.whole(row_, column, 1, ranks_max);
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
    facts.channels_min = channels_asked(row.word("env"));
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

/// GPUs of one NVLink domain; 0: the facts do not tell.
std::int64_t domain_of(LogFacts const& facts, KnownGpu const& gpu) {
    if (facts.nvlink_domain > 0) return facts.nvlink_domain;
    if (facts.nodes == 1) return facts.ranks;
    bool const in_boxes = !gpu.spans_trays && facts.ranks <= facts.nodes * box_gpus_max;
    return in_boxes ? ceil_of(facts.ranks, facts.nodes) : 0;
}

/// All that a prediction needs and the facts do not tell, and the options that do; "" for nothing.
std::string lack_of(LogFacts const& facts, std::string const& op, KnownGpu const& gpu) {
    std::vector<std::string> what, options;
    auto const lacks = [&](bool lack, char const* name, char const* option) {
        if (!lack) return;
        what.emplace_back(name);
        options.emplace_back(option);
    };
    lacks(op.empty(), "the operation", "--op");
    lacks(facts.gpu.empty(), "the GPU", "--gpu");
    lacks(facts.ranks == 0, "the number of ranks", "--ranks");
    // Nodes of a box each would tell the domain; those of a rack do not.
    bool const nodes = facts.nodes == 0 && !gpu.spans_trays;
    bool const domain = facts.ranks == 0 ? facts.nvlink_domain == 0 && facts.nodes == 0
                                         : domain_of(facts, gpu) == 0;
    lacks(domain, "the GPUs of an NVLink domain",
          nodes ? "--nodes or --nvlink-domain" : "--nvlink-domain");
    if (what.empty()) return {};
    bool const by_cluster = domain || facts.gpu.empty();
    return fmt::format("not told: {} (expected {}{}, or INDEX.csv)", join(what), join(options),
                       by_cluster ? ", --cluster" : "");
}

/// Shape of the ranks, and what the facts lack for it.
struct ShapeOrLack {
    GroupShape shape;
    std::string lack;       ///< the rows cannot be predicted
    std::string defaulted;  ///< they can, once the study fills it
};

ShapeOrLack shape_of(LogFacts const& facts, std::string const& op, KnownGpus const& gpus) {
    ShapeOrLack found;
    if (facts.ranks == 1) return {{}, "1 rank, which sends nothing (expected 2 or more)", ""};
    KnownGpu const* known = find_gpu(gpus, facts.gpu);
    KnownGpu const gpu = known == nullptr ? KnownGpu{} : *known;
    found.lack = lack_of(facts, op, gpu);
    if (!found.lack.empty()) return found;
    auto const domain = domain_of(facts, gpu);
    auto& shape = found.shape;
    shape.ranks = facts.ranks;
    shape.domains = ceil_of(facts.ranks, domain);
    if (!gpu.spans_trays && domain <= box_gpus_max) {
        shape.domains = std::max(shape.domains, facts.nodes);
    }
    shape.ranks_per_domain = ceil_of(shape.ranks, shape.domains);
    bool const direct = domain <= gpu.direct;  // no switches: each GPU is wired to the others
    shape.planes = shape.planes_up = direct ? 0 : planes_assumed;
    if (shape.domains == 1) return found;
    if (facts.nodes == 0 || facts.nics_per_node == 0 || facts.nic_gbps == 0) {
        std::vector<std::string> missing;
        if (facts.nodes == 0) missing.emplace_back("--nodes");
        if (facts.nics_per_node == 0) missing.emplace_back("--nics-per-node");
        if (facts.nic_gbps == 0) missing.emplace_back("--nic-gbps");
        found.defaulted =
            fmt::format("NICs not told (expected {}, --cluster, or INDEX.csv)", join(missing));
        return found;
    }
    auto const ranks_per_node = static_cast<double>(facts.ranks) / static_cast<double>(facts.nodes);
    shape.per_gpu_nic =
        BytesPerSecond{facts.nics_per_node * facts.nic_gbps / ranks_per_node * 1e9 / 8};
    return found;
}

std::string unknown_gpu(std::string const& gpu, KnownGpus const& gpus) {
    std::vector<std::string> kinds;
    for (auto const& known : gpus) {
        if (known.name.starts_with(gpu + "-")) kinds.push_back(known.name);
    }
    if (kinds.empty()) {
        return fmt::format("GPU '{}' is not among configs/gpus (expected --gpu, or --cluster)",
                           gpu);
    }
    return fmt::format("GPU '{}' may be {} (expected --gpu)", gpu, join(kinds, " or "));
}

void set_status(MeasuredCollective& row,
                LogFacts const& facts,
                ShapeOrLack const& found,
                KnownGpus const& gpus) {
    auto const skip = [&](std::string const& reason) {
        row.status = RowStatus::skipped;
        row.reason = reason;
    };
    if (row.status == RowStatus::skipped) return;
    if (row.query.size.count == 0) return skip("0 bytes: fewer elements than ranks");
    if (!row.op.empty() && !collective_op(row.op)) {
        return skip(fmt::format("operation '{}' is not simulated", row.op));
    }
    if (!row.gpu.empty() && find_gpu(gpus, row.gpu) == nullptr) {
        return skip(unknown_gpu(row.gpu, gpus));
    }
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

/// What neither the log, nor an index, nor an option tells.
void fill_from_cluster(LogFacts& facts,
                       GivenFacts const& given,
                       KnownGpus const& gpus,
                       std::string const& file) {
    auto const& own = given.of_cluster;
    if (find_gpu(gpus, facts.gpu) == nullptr) facts.gpu = own.gpu;
    if (facts.gpu != own.gpu) {
        fail({file, 0, ""}, fmt::format("GPUs {} on --cluster {}", facts.gpu, given.cluster),
             "a cluster of that GPU");
    }
    if (given.gpus_max > 0 && facts.ranks > given.gpus_max) {
        fail({file, 0, ""}, fmt::format("{} ranks on --cluster {}", facts.ranks, given.cluster),
             fmt::format("at most {}, as it has GPUs{}", given.gpus_max,
                         given.larger.empty() ? "" : ", or " + given.larger));
    }
    if (facts.nodes == 0) facts.nodes = ceil_of(facts.ranks, given.gpus_per_node);
    if (facts.nics_per_node == 0) facts.nics_per_node = own.nics_per_node;
    if (facts.nic_gbps == 0) facts.nic_gbps = own.nic_gbps;
    if (facts.nvlink_domain == 0) facts.nvlink_domain = own.nvlink_domain;
    if (facts.fabric.empty()) facts.fabric = own.fabric;
}

std::optional<double> seconds_of(std::optional<NcclTime> const& time) {
    return time ? std::optional(time->time_us.value * 1e-6) : std::nullopt;
}

}  // namespace

void fill_facts(LogFacts& facts,
                GivenFacts const& given,
                KnownGpus const& gpus,
                std::string const& file) {
    auto const& told = given.told;
    auto const fill = [&](auto& fact, auto const& own, char const* option, auto const& text) {
        using Fact = std::decay_t<decltype(fact)>;
        if (own == Fact{}) return;
        if (fact != Fact{} && fact != own) {
            fail({file, 0, ""}, fmt::format("{} {}", option, text(own)),
                 text(fact) + ", as told here");
        }
        fact = own;
    };
    auto const number = [](auto value) { return fmt::format("{}", value); };
    auto const word = [](std::string const& value) { return value; };
    auto const launch = [](LaunchMode mode) { return std::string(name_of(mode)); };
    fill(facts.op, told.op, "--op", word);
    fill(facts.ranks, told.ranks, "--ranks", number);
    fill(facts.nodes, told.nodes, "--nodes", number);
    fill(facts.nics_per_node, told.nics_per_node, "--nics-per-node", number);
    fill(facts.nic_gbps, told.nic_gbps, "--nic-gbps", number);
    fill(facts.nvlink_domain, told.nvlink_domain, "--nvlink-domain", number);
    fill(facts.fabric, told.fabric, "--fabric", word);
    fill(facts.launch, told.launch, "--launch", launch);
    fill(facts.algorithm, told.algorithm, "--algorithm", word);
    bool const known = find_gpu(gpus, facts.gpu) != nullptr;
    if (!known && !told.gpu.empty()) facts.gpu = told.gpu;
    if (!given.cluster.empty()) fill_from_cluster(facts, given, gpus, file);
    bool const asked = told.nodes > 0 || told.ranks > 0;
    if (asked && facts.nodes > 0 && facts.ranks % facts.nodes != 0) {
        fail({file, 0, ""}, fmt::format("{} nodes of {} ranks", facts.nodes, facts.ranks),
             "equal shares");
    }
}

bool is_log_index(CsvTable const& table) {
    return table.has("file") && table.has("gpu") && table.has("ngpus") &&
           table.has("nvlink_domain");
}

LogFolder read_log_folder(std::string const& folder,
                          GivenFacts const& given,
                          KnownGpus const& gpus) {
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
        fill_facts(indexed.facts, given, gpus, indexed.facts.told_by);
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

LogFacts facts_of(NcclLog const& log) {
    LogFacts facts;
    facts.op = log.op;
    if (log.devices.size() == 1) facts.gpu = gpu_name(log.devices.front());
    facts.ranks = log.ranks;
    facts.nodes = log.hosts;
    if (log.graph > 0) facts.launch = LaunchMode::graph;
    facts.told_by = log.file;
    return facts;
}

IndexedLog read_lone_log(std::string const& path, GivenFacts const& given, KnownGpus const& gpus) {
    auto log = read_nccl_log(path);
    auto facts = facts_of(log);
    fill_facts(facts, given, gpus, path);
    // What was not told is needed to check the rows' bandwidths.
    LogHints hints;
    if (log.op.empty()) hints.op = facts.op;
    if (log.ranks == 0) hints.ranks = facts.ranks;
    if (!hints.op.empty() || hints.ranks > 0) log = read_nccl_log(path, hints);
    return {facts, log};
}

std::vector<MeasuredCollective> measured_rows(IndexedLog const& indexed, KnownGpus const& gpus) {
    auto const& facts = indexed.facts;
    std::vector<MeasuredCollective> rows;
    for (auto const& own : indexed.log.rows) {
        // A file may hold several tests, of several operations and numbers of ranks.
        LogFacts of_row = facts;
        if (own.ranks > 0) of_row.ranks = own.ranks;
        if (own.hosts > 0 && own.ranks != facts.ranks) of_row.nodes = own.hosts;
        auto const found = shape_of(of_row, own.op.empty() ? facts.op : own.op, gpus);
        MeasuredCollective row;
        row.source = indexed.log.file;
        row.line = own.line;
        row.gpu = facts.gpu;
        row.op = own.op.empty() ? facts.op : own.op;
        row.query.op = collective_op(row.op).value_or(CollectiveOp::all_reduce);
        row.query.size = Bytes{own.bytes};
        row.type = own.type;
        if (auto const* type = element_type(own.type)) row.query.bytes_per_element = type->bytes;
        row.query.shape = found.shape;
        row.launch = facts.launch;
        row.algorithm = facts.algorithm;
        row.channels_min = facts.channels_min;
        // Over domains NCCL_ALGO=NVLS is NVLS below a tree.
        if (row.algorithm == "nvls" && found.shape.domains > 1) row.algorithm = "hierarchical";
        int const per_thread =
            indexed.log.gpus_per_thread > 0 ? indexed.log.gpus_per_thread : facts.gpus_per_thread;
        row.query.launch = launch_of(row.launch, std::max(1, per_thread));
        row.fabric = facts.fabric;
        row.quality = facts.quality;
        take_times(row, seconds_of(own.out_of_place), seconds_of(own.in_place));
        if (row.seconds <= 0) {  // of a log there is nothing to learn then
            row.status = RowStatus::skipped;
            if (!own.dropped.empty()) row.reason = own.dropped;
        }
        set_status(row, facts, found, gpus);
        rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace nvl72
