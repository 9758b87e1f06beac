#pragma once

#include <chrono>
#include <string>

namespace nvl72 {

/// Shows how far a run is: a bar on a terminal, a line every few seconds in a log. An interrupt
/// (Ctrl-C) surfaces here as an Error with exit code 130, so nothing is left half-written.
class Progress {
public:
    Progress(bool quiet, std::string what);
    void show(double share);
    void finish();

private:
    using Clock = std::chrono::steady_clock;
    bool quiet_;
    bool terminal_;
    bool drawn_ = false;
    std::string what_;
    Clock::time_point shown_;
};

}  // namespace nvl72
