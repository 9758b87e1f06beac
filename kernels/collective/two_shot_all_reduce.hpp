#pragma once

#include "kernels/collective/wire.hpp"

namespace nvl72::kernels {

/// All-reduce in two crossings: each rank adds up its part, then sends the sum to everyone.
struct TwoShotAllReduce {
    template <class Wire>
    static NVL_HD void run(Wire& wire, Call<typename Wire::T> const& call) {
        using T = typename Wire::T;
        int const n = wire.ranks();
        if (n == 1) return keep(wire, call.count, call.send, call.receive);
        auto const mine = channel_share(wire, call.count);
        for (std::int64_t done = 0; done < mine.size; done += n * wire.room()) {
            std::int64_t const turn = least(mine.size - done, n * wire.room());
            T* const send = call.send + mine.begin + done;
            T* const receive = call.receive + mine.begin + done;
            each_next(wire, [&](int peer) {
                auto const part = share(turn, peer, n);
                wire.send(peer, part.size, Run<T>{send + part.begin});
            });
            auto const own = share(turn, wire.rank(), n);
            T* sum = send + own.begin;
            each_previous(wire, [&](int peer) {
                wire.receive_add(peer, own.size, Run<T>{sum}, Run<T>{receive + own.begin});
                sum = receive + own.begin;
            });
            each_next(wire, [&](int peer) { wire.send(peer, own.size, Run<T>{sum}); });
            each_previous(wire, [&](int peer) {
                auto const part = share(turn, peer, n);
                wire.receive(peer, part.size, Run<T>{receive + part.begin});
            });
        }
    }
};

}  // namespace nvl72::kernels
