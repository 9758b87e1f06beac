#pragma once

#include "kernels/collective/wire.hpp"

namespace nvl72::kernels {

/// All-to-all: everyone sends each rank its part. A message goes out to all before one comes in
/// from any, so that in place no part is overwritten before it is sent.
struct AllToAll {
    template <class Wire>
    static NVL_HD void run(Wire& wire, Call<typename Wire::T> const& call) {
        using T = typename Wire::T;
        std::int64_t const own = wire.rank() * call.count;
        keep(wire, call.count, call.send + own, call.receive + own);
        each_message(wire, call.count, [&](std::int64_t begin, std::int64_t size) {
            each_next(wire, [&](int peer) {
                wire.send(peer, size, Run<T>{call.send + peer * call.count + begin});
            });
            each_previous(wire, [&](int peer) {
                wire.receive(peer, size, Run<T>{call.receive + peer * call.count + begin});
            });
        });
    }
};

}  // namespace nvl72::kernels
