#pragma once

#include "kernels/collective/wire.hpp"

namespace nvl72::kernels {

/// All-reduce by the switch (NVLS): each rank has it add up one part of everyone's buffers and
/// write the sum to all. Device code only: the launcher takes it where GPUs have multicast.
///   source  PTX ISA, multimem.ld_reduce and multimem.st (sm_90 and later)
struct NvlsAllReduce {
    template <class Wire>
    static NVL_HD void run(Wire& wire, Call<typename Wire::T> const& call) {
        auto const mine = channel_share(wire, call.count);
        auto const part = share(mine.size, wire.rank(), wire.ranks());
        std::int64_t const begin = mine.begin + part.begin;
        meet(wire);
        add_up(wire.team(), part.size, call.multicast_send + begin, call.multicast_receive + begin);
        meet(wire);
    }

private:
    /// Waits until this channel of every rank is here: an empty message from each.
    template <class Wire>
    static NVL_HD void meet(Wire& wire) {
        using T = typename Wire::T;
        each_next(wire, [&](int peer) { wire.send(peer, 0, Zeros<T>{}); });
        each_previous(wire, [&](int peer) { wire.receive(peer, 0, Run<T>{nullptr}); });
    }

    template <class Team>
    static NVL_HD void add_up([[maybe_unused]] Team const& team,
                              [[maybe_unused]] std::int64_t count,
                              [[maybe_unused]] float* from,
                              [[maybe_unused]] float* to) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
        std::int64_t const packs = on_pack(from) && on_pack(to) ? count / 4 : 0;
        for (std::int64_t j = team.lane(); j < packs; j += team.lanes()) {
            Pack<float> v;
            asm volatile("multimem.ld_reduce.relaxed.sys.global.add.v4.f32 {%0, %1, %2, %3}, [%4];"
                         : "=f"(v.of[0]), "=f"(v.of[1]), "=f"(v.of[2]), "=f"(v.of[3])
                         : "l"(from + 4 * j)
                         : "memory");
            asm volatile(
                "multimem.st.relaxed.sys.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to + 4 * j),
                "f"(v.of[0]), "f"(v.of[1]), "f"(v.of[2]), "f"(v.of[3])
                : "memory");
        }
        for (std::int64_t i = 4 * packs + team.lane(); i < count; i += team.lanes()) {
            float v = 0;
            asm volatile("multimem.ld_reduce.relaxed.sys.global.add.f32 %0, [%1];"
                         : "=f"(v)
                         : "l"(from + i)
                         : "memory");
            asm volatile("multimem.st.relaxed.sys.global.f32 [%0], %1;" ::"l"(to + i), "f"(v)
                         : "memory");
        }
#endif
    }
    template <class Team>
    static NVL_HD void add_up([[maybe_unused]] Team const& team,
                              [[maybe_unused]] std::int64_t count,
                              [[maybe_unused]] std::int32_t* from,
                              [[maybe_unused]] std::int32_t* to) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
        for (std::int64_t i = team.lane(); i < count; i += team.lanes()) {
            std::int32_t v = 0;
            asm volatile("multimem.ld_reduce.relaxed.sys.global.add.s32 %0, [%1];"
                         : "=r"(v)
                         : "l"(from + i)
                         : "memory");
            asm volatile("multimem.st.relaxed.sys.global.s32 [%0], %1;" ::"l"(to + i), "r"(v)
                         : "memory");
        }
#endif
    }
};

}  // namespace nvl72::kernels
