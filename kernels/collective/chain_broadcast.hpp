#pragma once

#include "kernels/collective/wire.hpp"

namespace nvl72::kernels {

/// Broadcast along a chain: the root sends to the next rank, which keeps a message and hands it on.
struct ChainBroadcast {
    template <class Wire>
    static NVL_HD void run(Wire& wire, Call<typename Wire::T> const& call) {
        using T = typename Wire::T;
        int const n = wire.ranks();
        int const next = (wire.rank() + 1) % n;
        int const previous = (wire.rank() + n - 1) % n;
        if (wire.rank() == call.root) keep(wire, call.count, call.send, call.receive);
        if (n == 1) return;
        each_message(wire, call.count, [&](std::int64_t begin, std::int64_t size) {
            Run<T> const kept{call.receive + begin};
            if (wire.rank() == call.root) {
                wire.send(next, size, Run<T>{call.send + begin});
            } else if (next == call.root) {
                wire.receive(previous, size, kept);
            } else {
                wire.relay(previous, next, size, kept);
            }
        });
    }
};

}  // namespace nvl72::kernels
