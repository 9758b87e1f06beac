#pragma once

#include "sim/base/random.hpp"
#include "sim/workload/reliability.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// Whether training waits for a checkpoint to reach the storage, or only to leave the GPU.
enum class CheckpointMode : std::uint8_t { blocking, asynchronous };
template <>
struct EnumNames<CheckpointMode> {
    static constexpr std::array words{"blocking", "asynchronous"};
};

/// What a job does when no spare is left for a lost node: waits for a repair, or runs on without
/// the data-parallel replicas that the node carried.
enum class WithoutSpare : std::uint8_t { wait, shrink };
template <>
struct EnumNames<WithoutSpare> {
    static constexpr std::array words{"wait", "shrink"};
};

/// What of the fabric is lost while the job runs on.
struct Degradation {
    bool plane = false, nic = false;
    friend auto operator<=>(Degradation const&, Degradation const&) = default;
};

/// A job over many steps, all it needs to know: times in seconds.
struct CampaignSpec {
    std::int64_t steps = 0;            ///< to do; 0: as many as `wall_s` holds
    std::optional<double> wall_s;      ///< ends then, whatever is done
    double checkpoint_block_s = 0;     ///< training stands still
    double checkpoint_write_s = 0;     ///< from its start until it would survive a failure
    double load_s = 0;                 ///< of a checkpoint, at a restart
    std::optional<double> interval_s;  ///< useful time between checkpoints; none: young_daly
    std::int64_t spares = 0;           ///< hot spare nodes
    std::int64_t nodes = 1;            ///< of the job
    double replicas_per_node = 0;      ///< data-parallel replicas that a lost node breaks
    double replicas = 1;               ///< of the job
    WithoutSpare without_spare = WithoutSpare::wait;
    FailureExposure exposure;
};

/// Seconds of one step with parts of the fabric lost, infinite where it cannot run on; memoised by
/// the caller.
using StepTime = std::function<double(Degradation const&)>;

/// Where a campaign's wall time went, in seconds, and what happened. The times sum to `wall`.
struct CampaignRun {
    double wall = 0;
    double useful = 0;      ///< steps that count, at the time of a whole fabric
    double slowed = 0;      ///< what they took longer, degraded or shrunk
    double lost = 0;        ///< work that a failure undid
    double checkpoint = 0;  ///< standing still for one
    double restart = 0;     ///< noticing, starting, loading
    double waiting = 0;     ///< for a node
    std::int64_t steps = 0;
    std::int64_t interruptions = 0;      ///< stops of the job, planned ones included
    std::vector<std::int64_t> failures;  ///< by cause, those that it ran on with included

    [[nodiscard]] double goodput() const { return wall > 0 ? useful / wall : 1; }
};

/// A part of a campaign's time and its name.
struct CampaignPart {
    std::string_view column, title;
    double CampaignRun::* member;
};
extern std::array<CampaignPart, 6> const campaign_parts;

/// Useful time between checkpoints that loses least, where a checkpoint stops training for
/// `block_s` and failures come every `mtti_s` on average: sqrt(2 block mtti) - block (Young 1974,
/// Daly 2006), at least as long as the next checkpoint may begin after, `write_s`.
double young_daly(double block_s, double write_s, double mtti_s);

/// Failures an hour that stop the job and undo work.
double stopping_rate(CampaignSpec const& spec, Reliability const& table, StepTime const& step);

/// Steps between checkpoints of a campaign: its interval, or Young and Daly's, in whole steps.
std::int64_t steps_between(CampaignSpec const& spec,
                           Reliability const& table,
                           StepTime const& step);

/// Failures from exponential times, of the stream of `seed`; in order.
class FailureProcess {
public:
    FailureProcess(Reliability const& table, FailureExposure const& exposure, std::uint64_t seed);
    /// The next one; nothing where nothing ever fails.
    std::optional<Failure> next();

private:
    std::vector<double> until_;  ///< rates, summed up
    RandomStream stream_;
    double hours_ = 0;
};

/// Runs a campaign against failures in order; a call of `next` gives the next. Between two events
/// whole intervals are taken at once: the work grows with the failures, not with the steps.
CampaignRun run_campaign(CampaignSpec const& spec,
                         Reliability const& table,
                         StepTime const& step,
                         std::function<std::optional<Failure>()> next);

}  // namespace nvl72
