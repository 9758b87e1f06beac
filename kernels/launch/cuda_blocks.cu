#include "kernels/collective/table.hpp"
#include "kernels/launch/cuda_blocks.hpp"
#include "kernels/team/cuda_team.hpp"

#include <array>
#include <utility>

namespace nvl72::kernels {
namespace {

template <class Body, class T, Protocol protocol>
__global__ void __launch_bounds__(cuda_lanes)
    run_blocks(World const __grid_constant__ world, CudaBlocks const __grid_constant__ blocks) {
    auto const block = static_cast<int>(blockIdx.x);
    int const rank = blocks.rank_first + block / world.channels;
    CudaTeam team(rank, world.ranks, block % world.channels, world.channels);
    Wire<CudaTeam, T, protocol> wire(team, world);
    CudaOperands const& mine = blocks.ranks[rank];
    for (int i = 0; i < blocks.iterations; ++i) {
        std::int64_t const offset = i % blocks.sets * blocks.stride;
        auto at = [&](std::byte* buffer) { return reinterpret_cast<T*>(buffer + offset); };
        Call<T> const call{at(mine.send),
                           at(mine.receive),
                           blocks.count,
                           blocks.root,
                           mine.routes,
                           at(mine.multicast_send),
                           at(mine.multicast_receive)};
        Body::run(wire, call);
    }
    wire.save();
}

template <std::size_t row, class T>
void const* kernel_of() {
    auto* const kernel = &run_blocks<typename RowAt<row>::Body, T, RowAt<row>::protocol>;
    return reinterpret_cast<void const*>(kernel);
}

template <class T, std::size_t... row>
std::array<void const*, table_size> kernels_of(std::index_sequence<row...>) {
    return {kernel_of<row, T>()...};
}

}  // namespace

void const* cuda_kernel(std::size_t row, Element element) {
    auto const rows = std::make_index_sequence<table_size>{};
    static auto const f32 = kernels_of<float>(rows);
    static auto const i32 = kernels_of<std::int32_t>(rows);
    return (element == Element::f32 ? f32 : i32)[row];
}

}  // namespace nvl72::kernels
