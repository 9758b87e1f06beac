#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nvl72 {

/// What a plan is to be best at. `fastest` is what it is without a goal.
enum class PlanObjective : std::uint8_t {
    fastest,
    fewest_gpus,
    least_energy,
    least_cost,
    least_memory
};

/// An objective within limits:
///   GOAL      := OBJECTIVE ["under" LIMIT ("and" LIMIT)*] ["for" NUMBER "tokens"]
///   OBJECTIVE := "fastest" | "fewest gpus" | "least energy" | "least cost" | "least memory"
///   LIMIT     := NUMBER ("hours" | "days" | "weeks" | "gpus" | "usd" | "MWh" | "GiB")
/// Time, money and energy are those of so many tokens.
struct PlanGoal {
    PlanObjective objective = PlanObjective::fastest;
    std::optional<double> seconds, usd, mwh, memory_gib, tokens;
    std::optional<std::int64_t> gpus;
    std::string text;

    /// Whether other numbers of GPUs are looked at, too.
    [[nodiscard]] bool sizes() const {
        return objective != PlanObjective::fastest && objective != PlanObjective::least_memory;
    }
};

/// Throws ConfigError at --goal, in one line, for what is no goal.
PlanGoal parse_goal(std::string_view text);

}  // namespace nvl72
