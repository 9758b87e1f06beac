#include "sim/interchange/mlperf_results.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/interchange/mlperf_log.hpp"
#include "sim/interchange/shell_script.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace nvl72 {

namespace fs = std::filesystem;

namespace {

/// A variable of the config files and the setting of Megatron that it becomes.
struct Variable {
    std::string_view theirs, ours;
};
constexpr std::array variables{
    Variable{"DGXNNODES", "nnodes"},
    Variable{"DGXNGPU", "nproc_per_node"},
    Variable{"MINIBS", "mlperf_minibs"},
    Variable{"MICRO_BATCH_SIZE", "micro_batch_size"},
    Variable{"TENSOR_MODEL_PARALLEL", "tensor_model_parallel_size"},
    Variable{"PIPELINE_MODEL_PARALLEL", "pipeline_model_parallel_size"},
    Variable{"INTERLEAVED_PIPELINE", "virtual_pipeline_model_parallel_size"},
    Variable{"CONTEXT_PARALLEL", "context_parallel_size"},
    Variable{"EXPERT_PARALLEL", "expert_model_parallel_size"},
    Variable{"EXPERT_MODEL_PARALLEL", "expert_model_parallel_size"},
    Variable{"EXPERT_TENSOR_PARALLEL", "expert_tensor_parallel_size"},
    Variable{"SEQ_PARALLEL", "sequence_parallel"},
    Variable{"TP_COMM_OVERLAP", "tp_comm_overlap"},
    Variable{"OVERLAP_GRAD_REDUCE", "overlap_grad_reduce"},
    Variable{"OVERLAP_PARAM_GATHER", "overlap_param_gather"},
    Variable{"OVERLAP_P2P_COMM", "overlap_p2p_comm"},
    Variable{"USE_DIST_OPTIMIZER", "use_distributed_optimizer"},
    Variable{"FP8", "fp8"},
    Variable{"FP8_RECIPE", "fp8_recipe"},
    Variable{"FP4", "fp4"},
    Variable{"FP4_RECIPE", "fp4_recipe"},
    Variable{"ASYM_PP_EMBED", "account_for_embedding_in_pipeline_split"},
    Variable{"ASYM_PP_LOSS", "account_for_loss_in_pipeline_split"},
    Variable{"OVERWRITTEN_NUM_LAYERS", "overwritten_num_layers"},
    Variable{"MOE_TOKEN_DISPATCHER_TYPE", "moe_token_dispatcher_type"},
    Variable{"MOE_EXPERT_CAPACITY_FACTOR", "moe_expert_capacity_factor"},
    Variable{"USE_PRECISION_AWARE_OPTIMIZER", "use_precision_aware_optimizer"},
    Variable{"DEFER_EMBEDDING_WGRAD_COMPUTE", "defer_embedding_wgrad_compute"},
};

/// What the model of a benchmark is called elsewhere, where it is not its own name.
struct Benchmark {
    std::string_view name, model;
    bool adapters;
};
constexpr std::array benchmarks{
    Benchmark{"gpt3", "gpt3-175b", false},
    Benchmark{"llama2_70b_lora", "llama-2-70b", true},
};
constexpr std::array<std::string_view, 10> other_benchmarks{
    "bert",   "dlrm_dcnv2",       "rgat", "gnn", "retinanet", "ssd", "resnet",
    "unet3d", "stable_diffusion", "flux1"};

struct TextFile {
    fs::path path;
    std::string text;
};

std::string text_of(fs::path const& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

/// The parts of a run, as they were found.
struct Parts {
    std::vector<TextFile> logs, configs, shell;
    std::vector<TextFile> systems;
};

constexpr std::size_t files_max = 2000;

void sort_in(Parts& parts, fs::path const& path) {
    auto const extension = path.extension();
    bool const shell = extension == ".sh";
    bool const log = extension == ".txt" || extension == ".log" || extension == ".out";
    if (!shell && !log && extension != ".json") return;
    TextFile file{path, text_of(path)};
    if (shell) {
        if (is_mlperf_config(file.text)) parts.configs.push_back(file);
        parts.shell.push_back(std::move(file));
    } else if (log && is_mlperf_log(file.text)) {
        parts.logs.push_back(std::move(file));
    } else if (extension == ".json" &&
               file.text.find("accelerator_model_name") != std::string::npos) {
        parts.systems.push_back(std::move(file));
    }
}

void search(Parts& parts, fs::path const& folder) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::recursive_directory_iterator at(folder, error), end; at != end; at.increment(error)) {
        if (error) break;
        if (at->is_regular_file(error)) files.push_back(at->path());
        if (files.size() > files_max) {
            throw ConfigError(fmt::format("{}: more than {} files (expected one run's folder)",
                                          folder.string(), files_max));
        }
    }
    std::ranges::sort(files);
    for (auto const& file : files) sort_in(parts, file);
}

/// .../SUBMITTER/results/SYSTEM/BENCHMARK: what lies beside results.
void search_submission(Parts& parts, fs::path const& folder) {
    auto const benchmark = folder.filename();
    auto const system = folder.parent_path().filename();
    auto const results = folder.parent_path().parent_path();
    if (results.filename() != "results") return;
    auto const submitter = results.parent_path();
    std::error_code ignored;
    auto const json = submitter / "systems" / (system.string() + ".json");
    if (parts.systems.empty() && fs::exists(json, ignored)) sort_in(parts, json);
    auto const implementations = submitter / "benchmarks" / benchmark / "implementations";
    if (!parts.configs.empty()) return;
    auto const own = implementations / system;
    search(parts, fs::exists(own, ignored) ? own : implementations);
}

/// What the parts say of the run before a config is chosen.
struct Facts {
    std::int64_t nodes = 0;
    Place nodes_place;
};

std::string word_of(nlohmann::json const& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
}

/// The system's JSON: GPU, nodes, software.
void take_system(ForeignJob& job, TextFile const& file) {
    auto const json = nlohmann::json::parse(file.text, nullptr, false);
    if (!json.is_object()) fail({file.path.string(), 1, ""}, "no JSON object", "a system's JSON");
    auto const said = [&](char const* key) {
        return json.contains(key) ? word_of(json[key]) : std::string();
    };
    auto const place = [&](char const* key) {
        int line = 1;
        auto const at = file.text.find(fmt::format("\"{}\"", key));
        for (std::size_t i = 0; i < std::min(at, file.text.size()); ++i)
            line += file.text[i] == '\n' ? 1 : 0;
        return Place{file.path.string(), line, key};
    };
    job.gpu = said("accelerator_model_name");
    job.gpu_place = place("accelerator_model_name");
    if (!said("number_of_nodes").empty())
        job.set({"system_nodes", said("number_of_nodes"), place("number_of_nodes")});
    if (!said("accelerators_per_node").empty())
        job.set({"system_gpus_per_node", said("accelerators_per_node"),
                 place("accelerators_per_node")});
}

ShellScript run_config(TextFile const& config,
                       Parts const& parts,
                       std::map<std::string, std::string> const& environment) {
    ShellScript script(environment, [&](std::string const& name) -> std::optional<ShellWord> {
        // The one in the config's own folder before another of that name.
        for (bool const own : {true, false}) {
            for (auto const& file : parts.shell) {
                bool const beside = file.path.parent_path() == config.path.parent_path();
                if (file.path.filename() == name && (beside || !own))
                    return ShellWord{file.text, 0, file.path.string()};
            }
        }
        return std::nullopt;
    });
    script.run(config.text, config.path.string());
    return script;
}

std::string said(ShellScript const& script, std::string const& name) {
    auto const found = script.variables().find(name);
    return found == script.variables().end() ? "" : found->second.value.text;
}

/// The config whose nodes are the system's.
TextFile const& chosen_config(Parts const& parts,
                              ForeignJob const& job,
                              std::map<std::string, std::string> const& environment) {
    auto const* nodes = job.find("system_nodes");
    std::vector<TextFile const*> fit;
    std::vector<std::string> names;
    for (auto const& config : parts.configs) {
        auto const script = run_config(config, parts, environment);
        bool const other = nodes != nullptr && said(script, "DGXNNODES") != nodes->value;
        names.push_back(config.path.filename().string());
        if (!other || parts.configs.size() == 1) fit.push_back(&config);
    }
    if (fit.size() == 1) return *fit.front();
    std::string const found =
        parts.configs.empty()
            ? "no config_*.sh with DGXNNODES or TENSOR_MODEL_PARALLEL"
            : fmt::format("{} configs for the run's nodes: {}", fit.size(), join(names));
    throw ConfigError(
        fmt::format("{}: {} (expected the run's own beside its results)", job.file, found));
}

void take_config(ForeignJob& job, ShellScript const& script) {
    for (auto const& [name, variable] : script.variables()) {
        if (variable.value.file == "command line" || variable.array) continue;
        auto const found = std::ranges::find(variables, name, &Variable::theirs);
        auto const ours =
            found == variables.end() ? "mlperf_" + megatron_name(name) : std::string(found->ours);
        job.set({ours, variable.value.text, {variable.value.file, variable.value.line, name}});
    }
    for (auto const& note : script.notes())
        job.notes.push_back(fmt::format("{} line {}: {}", fs::path(note.file).filename().string(),
                                        note.line, note.text));
}

/// The benchmark's language model; refuses the benchmarks of others.
void take_benchmark(ForeignJob& job, std::string const& name, Place const& place) {
    if (std::ranges::find(other_benchmarks, name) != other_benchmarks.end()) {
        fail(place, fmt::format("'{}'", name),
             "a benchmark of a decoder-only language model, such as llama31_405b");
    }
    auto const found = std::ranges::find(benchmarks, name, &Benchmark::name);
    job.model = found == benchmarks.end() ? name : std::string(found->model);
    job.model_place = place;
    if (found != benchmarks.end() && found->adapters) job.set({"peft", "lora", place});
}

void take_logs(ForeignJob& job, std::vector<TextFile> const& logs) {
    std::vector<double> steps;
    for (auto const& file : logs) {
        auto const log = read_mlperf_log(file.text, file.path.string());
        if (job.model.empty() && !log.benchmark.value.empty())
            take_benchmark(job, log.benchmark.value, log.benchmark.place);
        for (auto const& setting : log.settings) {
            auto const* old = job.find(setting.name);
            if (old != nullptr && old->place.file != setting.place.file &&
                setting.name == "global_batch_size" && old->value != setting.value) {
                fail(setting.place, setting.value,
                     fmt::format("{}, as {} has it", old->value, old->place.text()));
            }
            if (old == nullptr) job.set(setting);
        }
        if (log.unreadable > 0)
            job.notes.push_back(fmt::format("{}: {} :::MLLOG lines are no JSON",
                                            file.path.filename().string(), log.unreadable));
        auto own = log.steps_s;
        drop_warm_up(own);
        steps.insert(steps.end(), own.begin(), own.end());
    }
    job.steps_s = std::move(steps);
}

/// "5.0" of .../training_results_v5.0/...
std::string round_of(fs::path const& path) {
    constexpr std::string_view mark = "training_results_v";
    auto const text = fs::absolute(path).string();
    auto const at = text.find(mark);
    if (at == std::string::npos) return "";
    auto const rest = text.substr(at + mark.size());
    return rest.substr(0, rest.find_first_not_of("0123456789."));
}

}  // namespace

bool is_mlperf_config(std::string_view text) {
    return text.find("TENSOR_MODEL_PARALLEL=") != std::string_view::npos ||
           (text.find("DGXNNODES=") != std::string_view::npos &&
            text.find("MINIBS=") != std::string_view::npos);
}

bool is_mlperf_log(std::string_view text) {
    return text.find(":::MLLOG") != std::string_view::npos;
}

ForeignJob read_mlperf_results(std::string const& path,
                               std::map<std::string, std::string> const& environment) {
    ForeignJob job;
    job.file = path;
    job.kind = JobFileKind::mlperf;
    job.software = "nemo-mlperf";
    job.release = round_of(path);
    Parts parts;
    fs::path folder(path);
    std::error_code ignored;
    if (fs::is_directory(folder, ignored)) {
        if (!folder.has_filename()) folder = folder.parent_path();
        search(parts, folder);
        search_submission(parts, fs::weakly_canonical(folder, ignored));
    } else {
        parts.configs.push_back({folder, text_of(folder)});
        for (auto const& beside :
             fs::directory_iterator(folder.parent_path().empty() ? "." : folder.parent_path())) {
            auto const& other = beside.path();
            bool const shell = other.extension() == ".sh" && other.filename() != folder.filename();
            if (shell) parts.shell.push_back({other, text_of(other)});
        }
    }
    if (parts.systems.size() > 1) {
        throw ConfigError(
            fmt::format("{}: {} systems' JSON (expected one)", path, parts.systems.size()));
    }
    if (!parts.systems.empty()) take_system(job, parts.systems.front());
    auto const script = run_config(chosen_config(parts, job, environment), parts, environment);
    take_config(job, script);
    take_logs(job, parts.logs);
    return job;
}

}  // namespace nvl72
