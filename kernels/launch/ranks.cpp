#include "kernels/launch/ranks.hpp"

#include "kernels/launch/places.hpp"

#include <algorithm>

namespace nvl72::kernels {

std::string why_not(Where where) { return where == Where::host ? "" : why_no_gpus(where); }

std::unique_ptr<Ranks> make_ranks(RanksSpec const& spec) {
    auto refuse = [](std::string const& found, std::string const& expected) {
        throw RanksError(found + " (expected " + expected + ")");
    };
    if (spec.ranks < 1 || spec.ranks > ranks_max)
        refuse(std::to_string(spec.ranks) + " ranks", "1 to " + std::to_string(ranks_max));
    if (spec.bytes_max < 0 || spec.sets < 1 || spec.channels < 0)
        refuse("a negative size or no buffer", "bytes_max >= 0, sets >= 1, channels >= 0");
    if (spec.slots < 0 || spec.slots == 1)
        refuse("1 slot", "2 or more: a ring would wait for itself");
    if (spec.slot_bytes < 0 || spec.slot_bytes % 128 != 0)
        refuse("slots of " + std::to_string(spec.slot_bytes) + " bytes", "a multiple of 128");
    return spec.where == Where::host ? make_host_ranks(spec) : make_cuda_ranks(spec);
}

void check_job(Job const& job, Ranks const& ranks, std::int64_t bytes_max, Routed const& routed) {
    if (job.row >= collectives().size())
        throw RanksError("no such row in the table of collectives");
    auto const& row = collectives()[job.row];
    int const n = ranks.ranks();
    auto refuse = [&](std::string const& why) {
        throw RanksError(std::string(row.name) + ": " + why);
    };
    if (std::string reason; !ranks.runs(job.row, &reason)) refuse(reason);
    if (job.iterations < 1) refuse("no iterations (expected 1 or more)");
    if (job.root < 0 || job.root >= n)
        refuse("root " + std::to_string(job.root) + " is none of " + std::to_string(n) + " ranks");
    std::int64_t const most =
        std::max(send_elements(row.op, job.count, n), receive_elements(row.op, job.count, n));
    if (job.count < 0 || most > bytes_max / element_bytes)
        refuse(std::to_string(job.count) + " elements do not fit buffers of " +
               std::to_string(bytes_max) + " bytes");
    if (row.op != Op::moe_dispatch && row.op != Op::moe_combine) return;
    if (job.in_place) refuse("has no in-place form");
    if (routed.tokens < 0) refuse("no routing yet (call route first)");
    if (routed.tokens == 0 ? job.count != 0 : job.count % routed.tokens != 0)
        refuse(std::to_string(job.count) + " elements are no whole rows of " +
               std::to_string(routed.tokens) + " tokens");
    if (row.op == Op::moe_combine && !routed.dispatched)
        refuse("nothing to send back (expected a moe_dispatch first)");
}

void place_operands(Job const& job, int rank, std::byte*& send, std::byte*& receive) {
    if (!job.in_place) return;
    std::int64_t const part = rank * job.count * element_bytes;
    switch (collectives()[job.row].op) {
        case Op::all_gather: send = receive + part; break;
        case Op::reduce_scatter: receive = send + part; break;
        default: send = receive;
    }
}

}  // namespace nvl72::kernels
