#include "kernels/collective/collectives.hpp"

#include "kernels/collective/table.hpp"

#include <array>

namespace nvl72::kernels {

std::span<Collective const> collectives() {
    static constexpr auto rows = std::apply(
        [](auto const&... row) {
            return std::array{Collective{row.name, row.op, row.protocol, row.help}...};
        },
        table);
    return rows;
}

std::string_view name_of(Op op) {
    switch (op) {
        case Op::all_reduce: return "all_reduce";
        case Op::all_gather: return "all_gather";
        case Op::reduce_scatter: return "reduce_scatter";
        case Op::alltoall: return "alltoall";
        case Op::broadcast: return "broadcast";
        case Op::ping_pong: return "ping_pong";
        case Op::moe_dispatch: return "moe_dispatch";
        case Op::moe_combine: return "moe_combine";
    }
    return "?";
}

std::string_view name_of(Protocol protocol) {
    switch (protocol) {
        case Protocol::low_latency: return "ll";
        case Protocol::bulk: return "bulk";
        case Protocol::multicast: return "multicast";
    }
    return "?";
}

std::int64_t send_elements(Op op, std::int64_t count, int ranks) {
    bool const whole = op == Op::reduce_scatter || op == Op::alltoall || op == Op::moe_combine;
    return whole ? ranks * count : count;
}

std::int64_t receive_elements(Op op, std::int64_t count, int ranks) {
    bool const whole = op == Op::all_gather || op == Op::alltoall || op == Op::moe_dispatch;
    return whole ? ranks * count : count;
}

std::int64_t count_of(Op op, std::int64_t bytes, int ranks) {
    bool const parts = op == Op::all_gather || op == Op::reduce_scatter || op == Op::alltoall;
    return bytes / element_bytes / (parts ? ranks : 1);
}

}  // namespace nvl72::kernels
