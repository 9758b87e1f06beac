#pragma once

#include "kernels/collective/wire.hpp"

namespace nvl72::kernels {

/// Send and receive: an even rank sends all to the next, which sends it back; a call is a round
/// trip. The last of an odd number of ranks has no partner and does nothing.
struct PingPong {
    template <class Wire>
    static NVL_HD void run(Wire& wire, Call<typename Wire::T> const& call) {
        bool const first = wire.rank() % 2 == 0;
        int const partner = first ? wire.rank() + 1 : wire.rank() - 1;
        if (partner == wire.ranks()) return;
        if (first) send(wire, partner, call.count, call.send);
        receive(wire, partner, call.count, call.receive);
        if (!first) send(wire, partner, call.count, call.receive);
    }

private:
    template <class Wire, class T>
    static NVL_HD void send(Wire& wire, int to, std::int64_t count, T* from) {
        each_message(wire, count, [&](std::int64_t begin, std::int64_t size) {
            wire.send(to, size, Run<T>{from + begin});
        });
    }
    template <class Wire, class T>
    static NVL_HD void receive(Wire& wire, int from, std::int64_t count, T* to) {
        each_message(wire, count, [&](std::int64_t begin, std::int64_t size) {
            wire.receive(from, size, Run<T>{to + begin});
        });
    }
};

}  // namespace nvl72::kernels
