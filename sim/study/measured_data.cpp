#include "sim/study/measured_data.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/cost/generation_cost.hpp"
#include "sim/interchange/collective_table.hpp"
#include "sim/interchange/moe_table.hpp"
#include "sim/study/machine_samples.hpp"
#include "sim/study/measured_files.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <iterator>
#include <map>
#include <set>

namespace nvl72 {

namespace {

namespace fs = std::filesystem;

template <class Kernel>
bool any_of_kind(std::vector<KernelSample> const& samples) {
    return std::ranges::any_of(
        samples, [](KernelSample const& s) { return std::holds_alternative<Kernel>(s.query); });
}

/// Attention rows of generation, or of context.
bool any_attention(std::vector<KernelSample> const& samples, bool generation) {
    return std::ranges::any_of(samples, [&](KernelSample const& sample) {
        auto const* attention = std::get_if<Attention>(&sample.query);
        return attention != nullptr && is_generation(*attention) == generation;
    });
}

void append_name(std::string& names, std::string const& name) {
    names += (names.empty() ? "" : ", ") + name;
}

/// The collectives of a table, a log, or a folder of logs.
std::vector<MeasuredCollective> collectives_in(MeasuredFile const& file,
                                               GivenFacts const& given,
                                               Library const& library,
                                               std::vector<std::string>& notes) {
    if (file.kind == MeasuredFileKind::collectives) {
        return read_collective_table(CsvTable::load(file.path), given.told.gpu);
    }
    auto const gpus = known_gpus(library);
    LogFolder folder;
    if (file.kind == MeasuredFileKind::log_folder) {
        folder = read_log_folder(file.path, given, gpus);
    } else {
        folder.logs.push_back(read_lone_log(file.path, given, gpus));
    }
    notes.insert(notes.end(), folder.notes.begin(), folder.notes.end());
    std::vector<MeasuredCollective> rows;
    for (auto const& log : folder.logs) {
        notes.insert(notes.end(), log.log.notes.begin(), log.log.notes.end());
        auto const own = measured_rows(log, gpus);
        rows.insert(rows.end(), own.begin(), own.end());
    }
    return rows;
}

/// "mine.log: 24 rows left aside: the GPU is not told ...", one line a reason.
std::vector<std::string> left_aside(std::vector<MeasuredCollective> const& rows) {
    std::map<std::pair<std::string, std::string>, std::size_t> counts;
    for (auto const& row : rows) {
        if (row.status != RowStatus::ok) ++counts[{row.source, row.reason}];
    }
    std::vector<std::string> lines;
    for (auto const& [why, count] : counts) {
        lines.push_back(fmt::format("{}: {} rows left aside: {}", why.first, count, why.second));
    }
    return lines;
}

/// Rows that could not be read, each reason once.
std::vector<std::string> left_aside(std::string const& path, std::vector<UnreadRow> const& unread) {
    std::map<std::string, std::size_t> counts;
    for (auto const& row : unread) ++counts[row.why];
    constexpr std::size_t shown = 3;
    std::vector<std::string> lines;
    for (auto const& [why, count] : counts) {
        if (lines.size() == shown) {
            lines.push_back(fmt::format("{}: {} rows in all left aside", path, unread.size()));
            break;
        }
        lines.push_back(fmt::format("{}: {} rows left aside: {}", path, count, why));
    }
    return lines;
}

/// Adds what nvl72-measure left of a machine to `data`; its kernels are a table like others.
void add_samples(MeasuredData& data,
                 std::vector<std::pair<std::string, KernelTable>>& tables,
                 std::set<std::string>& gpus,
                 std::string const& name,
                 MachineSamples machine) {
    gpus.insert(machine.gpu);
    data.device = machine.device;
    data.date = machine.date;
    data.notes.insert(data.notes.end(), machine.notes.begin(), machine.notes.end());
    if (!machine.kernels.empty()) tables.emplace_back(name, KernelTable{machine.kernels});
    if (!machine.collectives.empty()) append_name(data.collective_origin, name);
    if (!machine.microkernels.empty()) append_name(data.microkernel_origin, name);
    if (!machine.memory.empty()) append_name(data.memory_origin, name);
    data.nvlink = machine.nvlink;
    std::ranges::copy(machine.collectives, std::back_inserter(data.collectives));
    std::ranges::copy(machine.microkernels, std::back_inserter(data.microkernels));
    std::ranges::copy(machine.memory, std::back_inserter(data.memory));
    data.times.add(machine.times);
}

/// The measured rows of the data's GPU, and the tables they are from.
void take_kernels(MeasuredData& data,
                  std::vector<std::pair<std::string, KernelTable>> const& tables) {
    for (auto const& entry : tables) {
        std::vector<KernelSample> own;
        for (auto const& sample : entry.second.samples) {
            bool const counts = sample.seconds > 0 && sample.aside.empty();
            if (sample.gpu == data.gpu && counts) own.push_back(sample);
        }
        if (any_of_kind<Gemm>(own)) append_name(data.gemm_origin, entry.first);
        if (any_attention(own, false)) append_name(data.attention_origin, entry.first);
        if (any_attention(own, true)) append_name(data.generation_origin, entry.first);
        if (any_of_kind<MoeExchange>(own)) append_name(data.moe_origin, entry.first);
        data.samples.insert(data.samples.end(), own.begin(), own.end());
    }
}

}  // namespace

MeasuredCollectives read_measured_collectives(std::vector<std::string> const& paths,
                                              Library const& library,
                                              GivenFacts const& given) {
    MeasuredCollectives found;
    for (auto const& file : measured_files(paths, found.notes)) {
        bool const holds = file.kind == MeasuredFileKind::collectives ||
                           file.kind == MeasuredFileKind::log ||
                           file.kind == MeasuredFileKind::log_folder;
        if (!holds) continue;
        auto const rows = collectives_in(file, given, library, found.notes);
        auto const samples = samples_to_fit(rows);
        std::ranges::copy(left_aside(rows), std::back_inserter(found.notes));
        if (samples.empty()) continue;
        append_name(found.origin, fs::path(file.path).filename().string());
        std::ranges::copy(samples, std::back_inserter(found.samples));
    }
    return found;
}

std::vector<std::string> fitted_gpus(Library const& library) {
    std::vector<std::string> notes;
    std::set<std::string> gpus;
    for (auto const& file : measured_files({library.folder() + "/measurements"}, notes)) {
        if (file.kind != MeasuredFileKind::kernels) continue;
        for (auto const& sample : read_kernel_table(CsvTable::load(file.path), "").samples) {
            gpus.insert(sample.gpu);
        }
    }
    return {gpus.begin(), gpus.end()};
}

MeasuredData read_measured_data(std::vector<std::string> const& paths,
                                Library const& library,
                                std::string const& gpu,
                                GivenFacts given) {
    MeasuredData data;
    given.told.gpu = gpu;
    std::vector<std::string> aside;
    std::set<std::string> gpus;
    std::vector<std::pair<std::string, KernelTable>> tables;
    for (auto const& [path, kind] : measured_files(paths, data.notes)) {
        auto const name = fs::path(path).filename().string();
        // No constant of a profile is fitted to these.
        bool const unfitted = kind == MeasuredFileKind::training ||
                              kind == MeasuredFileKind::serving || kind == MeasuredFileKind::power;
        if (unfitted) continue;
        if (kind == MeasuredFileKind::experiments) {
            for (auto const& own : experiments_named_in(path, library)) {
                data.experiments.push_back(own);
            }
        } else if (kind == MeasuredFileKind::kernels || kind == MeasuredFileKind::moe) {
            auto const csv = CsvTable::load(path);
            tables.emplace_back(name, kind == MeasuredFileKind::moe ? read_moe_table(csv, gpu)
                                                                    : read_kernel_table(csv, gpu));
            auto const& table = tables.back().second;
            for (auto const& sample : table.samples) gpus.insert(sample.gpu);
            std::ranges::copy(left_aside(path, table.unread), std::back_inserter(aside));
        } else if (kind == MeasuredFileKind::samples) {
            add_samples(data, tables, gpus, name,
                        machine_samples(read_samples(path), library, gpu));
        } else {
            auto const rows = collectives_in({path, kind}, given, library, data.notes);
            auto const samples = samples_to_fit(rows);
            std::ranges::copy(left_aside(rows), std::back_inserter(aside));
            for (auto const& sample : samples) gpus.insert(sample.gpu);
            if (!samples.empty()) append_name(data.collective_origin, name);
            bool const table = kind == MeasuredFileKind::collectives;
            bool const shipped = path.starts_with(library.folder());
            if (!samples.empty() && !table && !shipped) append_name(data.logs, name);
            data.collectives.insert(data.collectives.end(), samples.begin(), samples.end());
        }
    }
    std::vector<std::string> const names(gpus.begin(), gpus.end());
    if (names.empty()) {
        throw ConfigError("--from: no GEMM, attention, MoE or collective rows, and no samples" +
                          (aside.empty() ? "" : " (" + join(aside, "; ") + ")"));
    }
    std::ranges::copy(aside, std::back_inserter(data.notes));
    if (gpu.empty() && names.size() > 1) {
        throw ConfigError(
            fmt::format("--from: rows of {} (expected one GPU, or --gpu NAME)", join(names)));
    }
    data.gpu = gpu.empty() ? names.front() : gpu;
    if (!gpus.contains(data.gpu)) {
        throw ConfigError(
            fmt::format("--gpu: no rows of {} (they are of {})", data.gpu, join(names)));
    }
    take_kernels(data, tables);
    return data;
}

}  // namespace nvl72
