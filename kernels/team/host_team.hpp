#pragma once

#include <sched.h>

namespace nvl72::kernels {

/// A rank as one host thread: a team of one lane. A Team is any type with these functions; the
/// bodies in kernels/collective are written over it.
class HostTeam {
public:
    /// spins_max: turns of a wait before the thread gives up its core (0 with more ranks than
    /// cores)
    HostTeam(int rank, int ranks, int spins_max)
        : rank_(rank), ranks_(ranks), spins_max_(spins_max) {}

    int rank() const { return rank_; }
    int ranks() const { return ranks_; }
    /// Teams of one rank that each move a share of the elements.
    static int channel() { return 0; }
    static int channels() { return 1; }
    /// Workers of this team that each move every lanes()-th element.
    static int lane() { return 0; }
    static int lanes() { return 1; }
    /// What a lane wrote before it, every lane of the team sees after it.
    static void sync() {}
    /// One turn of a wait, the `spin`-th.
    void pause(int spin) const {
        if (spin >= spins_max_) {
            sched_yield();
        } else {
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
    }

private:
    int rank_;
    int ranks_;
    int spins_max_;
};

}  // namespace nvl72::kernels
