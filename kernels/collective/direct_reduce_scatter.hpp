#pragma once

#include "kernels/collective/wire.hpp"

namespace nvl72::kernels {

/// Reduce-scatter in one crossing: everyone sends each rank its part, which adds them up.
struct DirectReduceScatter {
    template <class Wire>
    static NVL_HD void run(Wire& wire, Call<typename Wire::T> const& call) {
        using T = typename Wire::T;
        T* const own = call.send + wire.rank() * call.count;
        if (wire.ranks() == 1) return keep(wire, call.count, own, call.receive);
        each_message(wire, call.count, [&](std::int64_t begin, std::int64_t size) {
            each_next(wire, [&](int peer) {
                wire.send(peer, size, Run<T>{call.send + peer * call.count + begin});
            });
            T* sum = own + begin;
            each_previous(wire, [&](int peer) {
                wire.receive_add(peer, size, Run<T>{sum}, Run<T>{call.receive + begin});
                sum = call.receive + begin;
            });
        });
    }
};

}  // namespace nvl72::kernels
