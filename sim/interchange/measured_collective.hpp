#pragma once

#include "sim/cost/query.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nvl72 {

/// What may be done with a measured row; all but `ok` have a reason.
enum class RowStatus : std::uint8_t {
    ok,
    defaulted,  ///< a fact is missing that the study must fill: the reason names it
    set_aside,  ///< measured, but its source says that it is no yardstick
    skipped     ///< nothing that we could predict: an operation or a GPU unknown to us
};
template <>
struct EnumNames<RowStatus> {
    static constexpr std::array words{"ok", "defaulted", "set_aside", "skipped"};
};

/// One measured collective, of a table or of a log: a row of its source each.
struct MeasuredCollective {
    std::string source;  ///< the file, and the physical line in it
    int line = 0;
    std::string gpu;  ///< as configs/gpus names it, where we know it
    std::string op;   ///< as the source names it; query.op holds where we simulate it
    /// Neither an algorithm nor the rate of NVLink, which no source states.
    Collective query;
    std::string type;    ///< of an element, as the source names it
    double seconds = 0;  ///< the target: the smaller of the two times, 0 where neither is there
    std::optional<double> out_of_place, in_place;  ///< seconds
    LaunchMode launch = LaunchMode::unknown;       ///< as stated; query.launch is what to price
    std::string algorithm{};  ///< that the run forced, as collective_algorithms names it
    int channels_min = 0;     ///< that the run asked for; 0: as NCCL chooses
    std::string fabric;       ///< "none", "infiniband", ... as the source says; may be empty
    std::string site{};       ///< the cluster, where a table names it
    std::string quality = "ok";
    RowStatus status = RowStatus::ok;
    std::string reason;
};

/// One time that a fit takes: the query has neither an algorithm nor the rate of its NVLink.
struct CollectiveSample {
    std::string gpu;
    Collective query;
    double seconds = 0;
    std::string fabric{};     ///< between its domains; "" where it is not told
    std::string algorithm{};  ///< that its run forced, as collective_algorithms names it
    std::string site{};       ///< the cluster, or the file where no table names it
};

/// The rows of status ok as a fit takes them. An all-reduce counts both of its times, one sample
/// each; other operations the first that a row states, as the profile prices them out of place.
std::vector<CollectiveSample> samples_to_fit(std::vector<MeasuredCollective> const& rows);

/// Sets the target; a row without a time can be predicted all the same, and says "no time".
void take_times(MeasuredCollective& row,
                std::optional<double> out_of_place,
                std::optional<double> in_place);

/// Rows of a source whose quality is not "ok" are set aside, as `file` says.
void take_quality(MeasuredCollective& row, std::string const& quality, std::string const& file);

/// The algorithm that NCCL_ALGO and NCCL_PROTO in a text force, as collective_algorithms names it
/// ("NCCL_ALGO=Ring NCCL_PROTO=LL128" -> "ring-ll128"); "" where it forces none.
std::string forced_algorithm(std::string_view text);

/// NCCL_MIN_NCHANNELS of a text, by which a run asks for more channels; 0 where it does not.
int channels_asked(std::string_view text);

/// The launch to price: what is not told is a thread a GPU.
Launch launch_of(LaunchMode mode, int gpus_per_thread);

/// "" is unknown; fails at `place` for a word that is none of LaunchMode's.
LaunchMode launch_mode(std::string_view word, Place const& place);

/// More ranks than any job has; beyond it a table or an index is mistaken.
inline constexpr std::int64_t ranks_max = 1 << 24;

/// NVLink switch planes of a measured group: no source counts them, only whether there are any
/// matters.
inline constexpr int planes_assumed = 1;

/// A type of elements by the names that NCCL, nccl-tests, rccl-tests and aiconfigurator use.
struct ElementType {
    std::string_view name;
    int bytes;
    double deviation_max;  ///< above it the first nccl-tests call a result wrong
};
std::span<ElementType const> element_types();
ElementType const* element_type(std::string_view name);  ///< null: unknown

/// The operation that nccl-tests calls `word`: "all_reduce", also as a program "all_reduce_perf".
std::optional<CollectiveOp> collective_op(std::string_view word);

/// A GPU as configs/gpus names it: "H100-SXM", "NVIDIA H100 80GB HBM3" -> "h100", "A100-40G" ->
/// "a100-40gb". What is none of ours comes back in lower case.
std::string gpu_name(std::string_view text);

}  // namespace nvl72
