#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace nvl72 {

/// Robots that ask a server for their next actions, each once a period, and go on with what they
/// have until the answer comes.
struct ControlPlan {
    std::int64_t robots = 1;     ///< of one server
    double period_s = 1;         ///< between a robot's requests
    double deadline_s = 1;       ///< after which what it has is used up
    double span_s = 60;          ///< of simulated time
    double network_s = 0;        ///< there and back, without the jitter
    double jitter_s = 0;         ///< mean of what may come on top (exponential)
    std::int64_t batch_max = 1;  ///< requests answered together
    double gather_s = 0;         ///< that the server waits for more, from its first
    std::function<double(std::int64_t batch)> seconds;  ///< of one batch
};

struct ControlRun {
    std::int64_t requests = 0, misses = 0, batches = 0;
    double busy_share = 0;         ///< of the server
    std::vector<double> answer_s;  ///< sorted: from sending to having the actions
    double age_p50_s = 0,
           age_p99_s = 0;  ///< of an action when it is carried out, since it was seen
};

/// Runs one server and its robots; the first tenth of the span, which fills the queue, is not
/// counted.
ControlRun run_control_loop(ControlPlan const& plan, std::uint64_t seed);

}  // namespace nvl72
