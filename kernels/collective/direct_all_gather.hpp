#pragma once

#include "kernels/collective/wire.hpp"

namespace nvl72::kernels {

/// All-gather in one crossing: everyone sends its elements to everyone.
struct DirectAllGather {
    template <class Wire>
    static NVL_HD void run(Wire& wire, Call<typename Wire::T> const& call) {
        using T = typename Wire::T;
        keep(wire, call.count, call.send, call.receive + wire.rank() * call.count);
        each_message(wire, call.count, [&](std::int64_t begin, std::int64_t size) {
            each_next(wire, [&](int peer) { wire.send(peer, size, Run<T>{call.send + begin}); });
            each_previous(wire, [&](int peer) {
                wire.receive(peer, size, Run<T>{call.receive + peer * call.count + begin});
            });
        });
    }
};

}  // namespace nvl72::kernels
