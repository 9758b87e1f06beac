#pragma once

#include <functional>
#include <map>
#include <utility>

namespace nvl72 {

/// A job's step by what is broken: simulated once for each, however often a process asks.
/// `Faults` orders; `Answer` is what a process needs of a step.
template <class Faults, class Answer>
class StepOracle {
public:
    explicit StepOracle(std::function<Answer(Faults const&)> simulate)
        : simulate_(std::move(simulate)) {}

    Answer const& operator()(Faults const& faults) {
        auto const known = known_.find(faults);
        if (known != known_.end()) return known->second;
        return known_.emplace(faults, simulate_(faults)).first->second;
    }
    [[nodiscard]] std::size_t simulated() const { return known_.size(); }

private:
    std::function<Answer(Faults const&)> simulate_;
    std::map<Faults, Answer> known_;
};

}  // namespace nvl72
