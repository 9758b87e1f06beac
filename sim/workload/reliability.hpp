#pragma once

#include "sim/config/fields.hpp"
#include "sim/config/library.hpp"
#include "sim/cost/section.hpp"

#include <optional>
#include <string>
#include <vector>

namespace nvl72 {

/// What a rate of failures counts: each GPU, NIC, node (box or compute tray), unit (box or rack),
/// or the job as a whole.
enum class FailureUnit : std::uint8_t { gpu, nic, node, unit, job };
template <>
struct EnumNames<FailureUnit> {
    static constexpr std::array words{"gpu", "nic", "node", "unit", "job"};
};

/// What a failure does to the job: it stops and goes back to its last checkpoint; it stops after a
/// checkpoint, as people planned; or it runs on with what is left of a switch plane or a NIC.
enum class FailureEffect : std::uint8_t { stop, planned, lose_plane, lose_nic };
template <>
struct EnumNames<FailureEffect> {
    static constexpr std::array words{"stop", "planned", "lose_plane", "lose_nic"};
};

/// One cause of interruptions, each of whose units fails at random, as often at any age.
struct FailureCause {
    Place place;
    std::string name;
    FailureUnit per = FailureUnit::gpu;
    Seconds mtbf;  ///< mean time between failures of one such unit
    FailureEffect effect = FailureEffect::stop;
    bool takes_node = false;        ///< its node is out until repaired: a spare takes over, or none
    std::optional<Seconds> repair;  ///< until what it took is back; the table's when not given
};
std::vector<Field<FailureCause>> const& fields_of(FailureCause const*);

/// How often what fails, and how long what follows takes: configs/reliability/NAME.yaml.
struct Reliability {
    Place place;
    std::string name;  ///< of the file
    std::string title;
    std::vector<FailureCause> causes;
    Seconds detect;   ///< from a failure until it is noticed and its node found
    Seconds restart;  ///< from then until the first step: start of processes, loading apart
    Seconds repair;   ///< of a node
    Seconds checkpoint_stall;        ///< that every checkpoint stops training for, however written
    BytesPerSecond storage_per_gpu;  ///< bandwidth of checkpoints, written and read
};
std::vector<Field<Reliability>> const& fields_of(Reliability const*);

/// Throws ConfigError for a mean time of nothing, two causes of one name, no storage.
Reliability load_reliability(Library const& library,
                             std::string const& name,
                             Place const& asked,
                             Trail* trail = nullptr);

/// How many of each unit a job has.
struct FailureExposure {
    double gpus = 0, nics = 0, nodes = 0, units = 0;

    [[nodiscard]] double of(FailureUnit unit) const;
};

/// Failures an hour of a cause in a job.
double hourly_rate(FailureCause const& cause, FailureExposure const& exposure);

/// A failure at a time of the campaign, and the row of `causes` that it is of.
struct Failure {
    double hours = 0;
    std::size_t cause = 0;
};

/// A trace: CSV with the columns `hours` (since the start) and `cause` (a name of the table).
std::vector<Failure> read_failures(std::string const& path, Reliability const& reliability);

}  // namespace nvl72
