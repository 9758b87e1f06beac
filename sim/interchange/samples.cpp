#include "sim/interchange/samples.hpp"

#include "sim/base/error.hpp"
#include "sim/trace/atomic_file.hpp"
#include "sim/trace/hdf5_read.hpp"
#include "sim/trace/seal.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>

namespace nvl72 {

namespace {

constexpr std::string_view format_name = "nvl72-samples";
constexpr int format_version = 2;
constexpr SealKind samples_seal{"nvl72 samples", format_version, "a samples file of nvl72-measure",
                                "nvl72-measure", "measure again: nvl72-measure -o FILE.h5"};

/// A column of the file and where a row holds it.
template <class Row>
struct Column {
    std::string name;
    std::variant<std::string Row::*, std::int64_t Row::*, double Row::*> member;
};

/// One row of a block, before the blocks of a case are put together.
struct Block {
    std::int64_t outlier = 0;
    double time_s = 0;
};

template <class Row, class Member>
void fill(std::vector<Row>& rows, Hdf5Column const& column, Member Row::* member) {
    auto const put = [&](auto const& values) {
        for (std::size_t i = 0; i < rows.size(); ++i) rows[i].*member = values[i];
    };
    if constexpr (std::is_same_v<Member, std::int64_t>) put(column.whole_numbers());
    if constexpr (std::is_same_v<Member, double>) put(column.real_numbers());
    if constexpr (std::is_same_v<Member, std::string>) put(column.texts());
}

template <class Row>
std::vector<Row> read_rows(hid_t group,
                           std::string const& table,
                           std::vector<Column<Row>> const& columns) {
    std::vector<Row> rows;
    bool first = true;
    for (auto const& column : columns) {
        Hdf5Column const open(group, column.name, "/" + table + "/" + column.name);
        if (first) rows.resize(open.rows);
        first = false;
        if (open.rows != rows.size()) {
            hdf5_damaged(open.place + " has another length than its table");
        }
        std::visit([&](auto member) { fill(rows, open, member); }, column.member);
    }
    return rows;
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    auto const half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// As SampledCase says.
double representative(std::vector<Block> const& blocks, bool host) {
    std::vector<double> all, kept;
    for (auto const& block : blocks) {
        all.push_back(block.time_s);
        if (block.outlier == 0) kept.push_back(block.time_s);
    }
    if (host) return *std::ranges::min_element(all);
    return median(kept.empty() ? all : kept);
}

/// The cases of a table, in the order in which the file names them first.
template <class Row>
std::vector<Row> read_cases(hid_t file,
                            std::string const& table,
                            std::vector<Column<Row>> const& columns,
                            bool host) {
    if (H5Lexists(file, table.c_str(), H5P_DEFAULT) <= 0) return {};
    Hdf5Handle const group(H5Gopen2(file, table.c_str(), H5P_DEFAULT), H5Gclose,
                           "unreadable /" + table);
    auto const rows = read_rows<Row>(group, table, columns);
    auto const blocks =
        read_rows<Block>(group, table, {{"outlier", &Block::outlier}, {"time_s", &Block::time_s}});
    if (rows.size() != blocks.size()) hdf5_damaged("/" + table + " has columns of unequal lengths");
    using Key = std::vector<std::variant<std::string, std::int64_t, double>>;
    std::map<Key, std::size_t> places;
    std::vector<Row> cases;
    std::vector<std::vector<Block>> times;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!std::isfinite(blocks[i].time_s) || blocks[i].time_s <= 0) {
            hdf5_damaged(fmt::format("/{} row {} has a time of {} s", table, i, blocks[i].time_s));
        }
        Key key;
        for (auto const& column : columns) {
            std::visit([&](auto member) { key.emplace_back(rows[i].*member); }, column.member);
        }
        auto const [place, added] = places.try_emplace(key, cases.size());
        if (added) {
            cases.push_back(rows[i]);
            times.emplace_back();
        }
        times[place->second].push_back(blocks[i]);
    }
    for (std::size_t i = 0; i < cases.size(); ++i) {
        auto const [quickest, slowest] = std::ranges::minmax(times[i], {}, &Block::time_s);
        cases[i].seconds = representative(times[i], host);
        cases[i].quickest = quickest.time_s;
        cases[i].slowest = slowest.time_s;
        cases[i].blocks = static_cast<std::int64_t>(times[i].size());
        if (!host) continue;
        for (auto const& block : times[i]) {
            cases[i].over_quickest.push_back(block.time_s / quickest.time_s);
        }
    }
    return cases;
}

std::vector<Column<SampledCollective>> collective_columns() {
    using R = SampledCollective;
    return {{"suite", &R::suite},         {"op", &R::op},
            {"algorithm", &R::algorithm}, {"protocol", &R::protocol},
            {"launch", &R::launch},       {"wiring", &R::wiring},
            {"ranks", &R::ranks},         {"nodes", &R::nodes},
            {"channels", &R::channels},   {"bytes", &R::bytes},
            {"tokens", &R::tokens},       {"top_k", &R::top_k},
            {"dtype", &R::dtype},         {"in_place", &R::in_place}};
}
std::vector<Column<SampledGemm>> gemm_columns() {
    using R = SampledGemm;
    return {{"precision", &R::precision},
            {"m", &R::m},
            {"n", &R::n},
            {"k", &R::k},
            {"launch", &R::launch}};
}
std::vector<Column<SampledMemory>> memory_columns() {
    using R = SampledMemory;
    return {{"kind", &R::kind}, {"bytes", &R::bytes}, {"traffic_bytes", &R::traffic_bytes}};
}
std::vector<Column<SampledCopy>> copy_columns() {
    using R = SampledCopy;
    return {{"from", &R::from}, {"to", &R::to}, {"engine", &R::engine}, {"bytes", &R::bytes}};
}

std::vector<Column<SampledOverlap>> overlap_columns() {
    using R = SampledOverlap;
    return {{"what", &R::what},
            {"precision", &R::precision},
            {"m", &R::m},
            {"n", &R::n},
            {"k", &R::k},
            {"op", &R::op},
            {"algorithm", &R::algorithm},
            {"protocol", &R::protocol},
            {"ranks", &R::ranks},
            {"bytes", &R::bytes},
            {"sms", &R::sms}};
}

/// The seal says it already; who seals another file by hand is told here.
void expect_ours(hid_t file) {
    if (auto const format = text_attribute(file, "format"); format != format_name) {
        hdf5_damaged(fmt::format("format '{}' (expected {})", format, format_name));
    }
    if (auto const version = number_attribute(file, "version"); version != format_version) {
        hdf5_damaged(fmt::format("version {} in a seal of {}", version, format_version));
    }
}

/// Counts that later arithmetic relies on.
void expect_sane(Samples const& samples) {
    if (samples.device_kind != "host" && samples.device_kind != "cuda") {
        hdf5_damaged("device_kind is '" + samples.device_kind + "' (cuda or host)");
    }
    for (auto const& row : samples.collectives) {
        if (row.ranks < 1 || row.nodes < 1 || row.bytes < 1 || row.tokens < 0 || row.top_k < 0) {
            hdf5_damaged(fmt::format("/collectives has a case of {} ranks, {} nodes, {} bytes",
                                     row.ranks, row.nodes, row.bytes));
        }
    }
    for (auto const& row : samples.memory) {
        if (row.traffic_bytes < 1) {
            hdf5_damaged(fmt::format("/memory has a case of {} bytes", row.traffic_bytes));
        }
    }
    for (auto const& row : samples.copies) {
        if (row.bytes < 1) hdf5_damaged(fmt::format("/copy has a case of {} bytes", row.bytes));
    }
    for (auto const& row : samples.gemms) {
        if (row.m < 1 || row.n < 1 || row.k < 1) {
            hdf5_damaged(fmt::format("/gemm has a case of {} x {} x {}", row.m, row.n, row.k));
        }
    }
}

Samples read_all(hid_t file, std::string const& path) {
    Samples samples;
    samples.path = path;
    samples.date = text_attribute(file, "date");
    samples.device_kind = text_attribute(file, "device_kind");
    samples.device_name = text_attribute(file, "device_name");
    samples.command = text_attribute(file, "command");
    samples.nccl_version = text_attribute(file, "nccl_version");
    for (auto const& [name, member] :
         std::initializer_list<std::pair<char const*, std::int64_t Samples::*>>{
             {"device_count", &Samples::device_count},
             {"nodes", &Samples::nodes},
             {"cpu_cores", &Samples::cpu_cores},
             {"multicast", &Samples::multicast},
             {"peer_access", &Samples::peer_access}}) {
        samples.*member = static_cast<std::int64_t>(number_attribute(file, name));
    }
    if (has_attribute(file, "drift")) {
        samples.drift = real_attribute(file, "drift");
        samples.drift_batch = text_attribute(file, "drift_batch");
    }
    bool const host = samples.host();
    samples.collectives =
        read_cases<SampledCollective>(file, "collectives", collective_columns(), host);
    samples.gemms = read_cases<SampledGemm>(file, "gemm", gemm_columns(), host);
    samples.memory = read_cases<SampledMemory>(file, "memory", memory_columns(), host);
    samples.copies = read_cases<SampledCopy>(file, "copy", copy_columns(), host);
    samples.launches =
        read_cases<SampledLaunch>(file, "launch", {{"kind", &SampledLaunch::kind}}, host);
    samples.overlaps = read_cases<SampledOverlap>(file, "overlap", overlap_columns(), host);
    expect_sane(samples);
    return samples;
}

bool has_rows(Samples const& samples) {
    return !samples.collectives.empty() || !samples.gemms.empty() || !samples.memory.empty() ||
           !samples.copies.empty() || !samples.launches.empty() || !samples.overlaps.empty();
}

}  // namespace

bool is_samples_file(std::string const& path) {
    std::ifstream in(path, std::ios::binary);
    std::string first(samples_seal.words.size() + 1, '\0');
    in.read(first.data(), static_cast<std::streamsize>(first.size()));
    return in && begins_like(first, samples_seal);
}

Samples read_samples(std::string const& path) {
    auto const bytes = read_whole(path);
    check_seal(bytes, path, samples_seal);
    Hdf5Session const session;
    try {
        auto const file = hdf5_open_image(bytes);
        expect_ours(file);
        auto samples = read_all(file, path);
        if (!has_rows(samples)) {
            throw ConfigError(path +
                              ": no times in it (expected rows in /collectives, /gemm, "
                              "/memory, /copy, /launch or /overlap; measure again)");
        }
        return samples;
    } catch (Error const&) {
        throw;
    } catch (std::exception const& failed) {
        throw ConfigError(
            fmt::format("{}: damaged: {} (expected a whole samples file of nvl72-measure; measure "
                        "again)",
                        path, failed.what()));
    }
}

}  // namespace nvl72
