#pragma once

#include "kernels/collective/wire.hpp"

namespace nvl72::kernels {

/// All-reduce by a ring: n-1 steps add each part up on its way to its owner, n-1 more carry the
/// sums around. Every rank sends 2(n-1)/n of the elements.
struct RingAllReduce {
    template <class Wire>
    static NVL_HD void run(Wire& wire, Call<typename Wire::T> const& call) {
        using T = typename Wire::T;
        int const n = wire.ranks();
        if (n == 1) return keep(wire, call.count, call.send, call.receive);
        int const next = (wire.rank() + 1) % n;
        int const previous = (wire.rank() + n - 1) % n;
        auto const mine = channel_share(wire, call.count);
        for (std::int64_t done = 0; done < mine.size; done += n * wire.room()) {
            std::int64_t const turn = least(mine.size - done, n * wire.room());
            // Part of the step: rank + n - step, so that it ends at its owner.
            auto part = [&](int step) { return share(turn, (wire.rank() + 2 * n - step) % n, n); };
            auto from = [&](Share p) { return Run<T>{call.send + mine.begin + done + p.begin}; };
            auto to = [&](Share p) { return Run<T>{call.receive + mine.begin + done + p.begin}; };
            auto p = part(1);
            wire.send(next, p.size, from(p));
            for (int step = 2; step < n; ++step) {
                p = part(step);
                wire.relay_add(previous, next, p.size, from(p), Nothing{});
            }
            p = part(n);
            wire.relay_add(previous, next, p.size, from(p), to(p));
            for (int step = 1; step < n - 1; ++step) {
                p = part(step);
                wire.relay(previous, next, p.size, to(p));
            }
            p = part(n - 1);
            wire.receive(previous, p.size, to(p));
        }
    }
};

}  // namespace nvl72::kernels
