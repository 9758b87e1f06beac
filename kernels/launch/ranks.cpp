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

void check_job(Job const& job, int ranks, std::int64_t bytes_max) {
    if (job.row >= collectives().size())
        throw RanksError("no such row in the table of collectives");
    auto const& row = collectives()[job.row];
    std::string const name(row.name);
    if (job.iterations < 1) throw RanksError(name + ": no iterations (expected 1 or more)");
    if (job.root < 0 || job.root >= ranks)
        throw RanksError(name + ": root " + std::to_string(job.root) + " is none of " +
                         std::to_string(ranks) + " ranks");
    std::int64_t const most = std::max(send_elements(row.op, job.count, ranks),
                                       receive_elements(row.op, job.count, ranks));
    if (job.count < 0 || most > bytes_max / element_bytes)
        throw RanksError(name + ": " + std::to_string(job.count) +
                         " elements do not fit buffers of " + std::to_string(bytes_max) + " bytes");
    bool const moe = row.op == Op::moe_dispatch || row.op == Op::moe_combine;
    if (moe && job.in_place) throw RanksError(name + ": has no in-place form");
}

}  // namespace nvl72::kernels
