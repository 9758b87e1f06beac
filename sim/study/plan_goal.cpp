#include "sim/study/plan_goal.hpp"

#include "sim/base/text.hpp"
#include "sim/config/value.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <vector>

namespace nvl72 {

namespace {

struct Objective {
    std::string_view first, second;
    PlanObjective means;
};
constexpr std::array objectives{
    Objective{"fastest", "", PlanObjective::fastest},
    Objective{"fewest", "gpus", PlanObjective::fewest_gpus},
    Objective{"least", "energy", PlanObjective::least_energy},
    Objective{"least", "cost", PlanObjective::least_cost},
    Objective{"least", "memory", PlanObjective::least_memory},
};

/// A unit of a limit: which limit, and how much of it one is.
struct Unit {
    std::string_view word;
    std::optional<double> PlanGoal::* limit;
    double one;
};
constexpr std::array units{
    Unit{"hours", &PlanGoal::seconds, 3600},
    Unit{"days", &PlanGoal::seconds, 86400},
    Unit{"weeks", &PlanGoal::seconds, 7 * 86400.},
    Unit{"usd", &PlanGoal::usd, 1},
    Unit{"mwh", &PlanGoal::mwh, 1},
    Unit{"gib", &PlanGoal::memory_gib, 1},
};
constexpr std::string_view unit_words = "hours, days, weeks, gpus, usd, MWh or GiB";
constexpr std::string_view objective_words =
    "fastest | fewest gpus | least energy | least cost | least memory";

class GoalReader {
public:
    explicit GoalReader(std::string_view text) {
        goal_.text = text;
        for (auto const& word : split(text, ' ')) {
            if (word.empty()) continue;
            std::string lower = word;
            std::ranges::transform(lower, lower.begin(),
                                   [](unsigned char c) { return std::tolower(c); });
            words_.push_back(std::move(lower));
        }
    }

    PlanGoal read() {
        objective();
        if (is("under")) {
            do limit();
            while (is("and"));
        }
        if (is("for")) {
            goal_.tokens = number("tokens");
            if (!is("tokens")) refuse(next(), "tokens, as in 'for 15e12 tokens'");
        }
        if (at_ < words_.size())
            refuse(next(), goal_.tokens ? "the end" : "'under', 'for' or the end");
        check();
        return goal_;
    }

private:
    [[noreturn]] static void refuse(std::string const& found, std::string_view expected) {
        fail({"--goal", 0, ""}, fmt::format("'{}'", found), std::string(expected));
    }
    [[nodiscard]] std::string next() const { return at_ < words_.size() ? words_[at_] : "the end"; }
    bool is(std::string_view word) {
        if (at_ >= words_.size() || words_[at_] != word) return false;
        ++at_;
        return true;
    }

    double number(std::string_view of) {
        std::string const word = next();
        double value = 0;
        auto const* const end = word.data() + word.size();
        auto const [stop, error] = std::from_chars(word.data(), end, value);
        bool const good = error == std::errc{} && stop == end && value > 0 && std::isfinite(value);
        if (!good) refuse(word, fmt::format("a number of {} above 0", of));
        ++at_;
        return value;
    }

    void objective() {
        std::string const found = next();
        for (auto const& row : objectives) {
            if (!is(row.first)) continue;
            if (!row.second.empty() && !is(row.second)) {
                --at_;
                continue;
            }
            goal_.objective = row.means;
            return;
        }
        refuse(goal_.text.empty() ? found : goal_.text,
               fmt::format("{} [under LIMIT [and LIMIT]...] [for N tokens]", objective_words));
    }

    void limit() {
        double const value = number(unit_words);
        if (is("gpus")) {
            goal_.gpus = static_cast<std::int64_t>(std::min(value, 1e9));
            return;
        }
        auto const* const unit = std::ranges::find(units, next(), &Unit::word);
        if (unit == units.end()) refuse(next(), unit_words);
        ++at_;
        goal_.*unit->limit = value * unit->one;
    }

    void check() const {
        bool const fewest = goal_.objective == PlanObjective::fewest_gpus;
        bool const bounded = goal_.seconds || goal_.usd || goal_.mwh;
        if (fewest && !goal_.seconds)
            refuse(goal_.text,
                   "fewest gpus under a time, as in 'fewest gpus under 30 days for "
                   "15e12 tokens'");
        if (bounded && !goal_.tokens)
            refuse(goal_.text, "how much is to be trained within it, as in 'for 15e12 tokens'");
    }

    std::vector<std::string> words_;
    std::size_t at_ = 0;
    PlanGoal goal_;
};

}  // namespace

PlanGoal parse_goal(std::string_view text) { return GoalReader(text).read(); }

}  // namespace nvl72
