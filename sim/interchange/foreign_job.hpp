#pragma once

#include "sim/config/quantity.hpp"
#include "sim/config/value.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// One setting of another program's job, by Megatron's name for it where it has one
/// (`tensor_model_parallel_size`), with the place and the name under which it was written.
struct ForeignSetting {
    std::string name;
    std::string value;  ///< "" for a bare switch
    Place place;        ///< its key is the name as written
};

/// What kind of file a job was told in.
enum class JobFileKind : std::uint8_t { megatron, megatron_dump, bridge, mlperf };
template <>
struct EnumNames<JobFileKind> {
    static constexpr std::array words{"megatron", "megatron-dump", "bridge", "mlperf"};
};

/// A training job as the files of another program tell it. No setting is interpreted yet.
struct ForeignJob {
    std::string file;
    JobFileKind kind{};
    std::vector<ForeignSetting> settings;  ///< each name once, the last word of the file
    bool absent_is_off = false;            ///< what is not there has Megatron's own default
    std::string software, release;         ///< "nemo-mlperf", "5.0"; "" where nothing tells
    std::string model;                     ///< its name in the file's words; ""
    std::string gpu;                       ///< the GPU in the file's words; ""
    Place model_place, gpu_place;
    std::vector<double> steps_s;     ///< measured step times, without warm-up
    std::string steps_source;        ///< what they are of, for a source
    std::vector<std::string> notes;  ///< what the reader passed over

    [[nodiscard]] ForeignSetting const* find(std::string_view name) const;
    /// Adds a setting, or replaces it.
    void set(ForeignSetting setting);
};

/// `line` without colour codes, carriage returns and the prefixes of launchers and loggers
/// ("0: ", "[rank0]:", "[default0]:", a time in brackets).
std::string plain_line(std::string_view line);

/// Megatron's form of a name: "--Micro-Batch-Size" -> "micro_batch_size".
std::string megatron_name(std::string_view word);

/// The one GPU that a text names among its words ("--gres=gpu:h100:8", "DGXH100"), with its line;
/// empty where none or several are named.
struct NamedGpu {
    std::string gpu;
    int line = 0;
};
NamedGpu named_gpu(std::string_view text);

/// Step times of Megatron's own log lines (elapsed time per iteration), in s.
std::vector<double> logged_steps(std::string_view text);

/// The first is warm-up, if there are more.
void drop_warm_up(std::vector<double>& steps);

}  // namespace nvl72
