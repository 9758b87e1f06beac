#include "sim/interchange/job_file.hpp"

#include "sim/base/error.hpp"
#include "sim/interchange/bridge_config.hpp"
#include "sim/interchange/megatron_arguments.hpp"
#include "sim/interchange/mlperf_results.hpp"

#include <cctype>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sstream>

namespace nvl72 {

namespace fs = std::filesystem;

namespace {

constexpr auto kinds =
    "Megatron's arguments or their dump, Megatron-Bridge's ConfigContainer, or an MLPerf result "
    "folder";

std::string text_of(std::string const& path) {
    std::error_code ignored;
    if (!fs::exists(path, ignored)) throw ConfigError(path + ": no such file");
    if (!fs::is_regular_file(path, ignored))
        throw ConfigError(fmt::format("{}: not a file (expected {})", path, kinds));
    constexpr std::uintmax_t bytes_max = 1u << 30;
    if (fs::file_size(path, ignored) > bytes_max)
        throw ConfigError(fmt::format("{}: more than 1 GiB (expected {})", path, kinds));
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) throw ConfigError(path + ": cannot be read");
    return text.str();
}

JobFileKind kind_of(std::string const& text, std::string const& path) {
    // A log of Bridge may hold arguments too, a log of Megatron the command that started it.
    if (has_bridge_config(text)) return JobFileKind::bridge;
    if (has_megatron_dump(text)) return JobFileKind::megatron_dump;
    if (is_mlperf_config(text)) return JobFileKind::mlperf;
    if (has_megatron_arguments(text)) return JobFileKind::megatron;
    if (is_mlperf_log(text)) {
        throw ConfigError(fmt::format(
            "{}: an MLPerf log without its config (expected the folder that holds both)", path));
    }
    throw ConfigError(fmt::format("{}: nothing of a training job (expected {})", path, kinds));
}

ForeignJob read_text(std::string const& text,
                     std::string const& path,
                     JobFileKind kind,
                     JobFileOptions const& options) {
    switch (kind) {
        case JobFileKind::bridge: return read_bridge_config(text, path);
        case JobFileKind::megatron_dump: return read_megatron_dump(text, path);
        case JobFileKind::megatron: return read_megatron_arguments(text, path, options.words);
        case JobFileKind::mlperf: break;
    }
    return read_mlperf_results(path, options.words);
}

bool is_setting(std::string const& name) {
    return !name.empty() && std::islower(static_cast<unsigned char>(name.front())) != 0;
}

}  // namespace

ForeignJob read_job_file(std::string const& path, JobFileOptions const& options) {
    std::error_code ignored;
    ForeignJob job;
    std::string text;
    if (fs::is_directory(path, ignored)) {
        if (options.kind && *options.kind != JobFileKind::mlperf)
            throw ConfigError(fmt::format("{}: a folder (expected a file, or --as mlperf)", path));
        job = read_mlperf_results(path, options.words);
    } else {
        text = text_of(path);
        job = read_text(text, path, options.kind ? *options.kind : kind_of(text, path), options);
        if (job.gpu.empty()) {
            auto const named = named_gpu(text);
            auto const by_file = named_gpu(fs::path(path).filename().string());
            job.gpu = named.gpu.empty() ? by_file.gpu : named.gpu;
            job.gpu_place = {path, named.gpu.empty() ? 0 : named.line, "GPU"};
        }
    }
    for (auto const& [name, value] : options.words) {
        if (is_setting(name)) job.set({name, value, {"command line", 0, name}});
    }
    bool const some = job.find("num_layers") != nullptr ||
                      job.find("encoder_num_layers") != nullptr || !job.model.empty() ||
                      job.find("micro_batch_size") != nullptr ||
                      job.find("tensor_model_parallel_size") != nullptr;
    if (!some) {
        throw ConfigError(fmt::format("{}: no setting of a {} job (expected {})", path,
                                      name_of(job.kind), kinds));
    }
    return job;
}

}  // namespace nvl72
