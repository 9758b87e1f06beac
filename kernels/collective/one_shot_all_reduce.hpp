#pragma once

#include "kernels/collective/wire.hpp"

namespace nvl72::kernels {

/// All-reduce in one crossing: everyone sends everything to everyone and adds up for itself. Ranks
/// add in different orders, so sums that round may differ between them in the last bit.
struct OneShotAllReduce {
    template <class Wire>
    static NVL_HD void run(Wire& wire, Call<typename Wire::T> const& call) {
        using T = typename Wire::T;
        if (wire.ranks() == 1) return keep(wire, call.count, call.send, call.receive);
        each_message(wire, call.count, [&](std::int64_t begin, std::int64_t size) {
            T* sum = call.send + begin;
            each_next(wire, [&](int peer) { wire.send(peer, size, Run<T>{sum}); });
            each_previous(wire, [&](int peer) {
                wire.receive_add(peer, size, Run<T>{sum}, Run<T>{call.receive + begin});
                sum = call.receive + begin;
            });
        });
    }
};

}  // namespace nvl72::kernels
