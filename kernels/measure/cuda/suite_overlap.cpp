/// The suite `overlap`: a GEMM on every GPU while a collective holds some of its SMs. With one GPU
/// a copy by so many SMs stands for the collective.

#include "kernels/measure/cuda/gemm.hpp"
#include "kernels/measure/cuda/kernels.hpp"
#include "kernels/measure/cuda/nccl.hpp"
#include "kernels/measure/errors.hpp"
#include "kernels/measure/suites.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nvl72::measure {

namespace {

constexpr std::int64_t collective_bytes = 256 << 20;  // a gradient bucket; bandwidth-bound
constexpr int sms_held[] = {4, 8, 16, 24, 32};
constexpr double margin = 1.5;  // how much longer the one that is beside runs
constexpr int attempts = 4;     // to cover the timed one, each twice as long
GemmShape const gemm_shape{"bf16", 8192, 8192, 8192};

/// The collective, or what stands for it: puts its i-th call on its streams, one per GPU.
struct Beside {
    std::string op, algorithm, protocol;
    std::int64_t ranks;
    std::vector<Stream const*> streams;
    std::function<void(std::int64_t i)> enqueue;
};

/// A GEMM per GPU, each with a stream of its own.
struct Gemms {
    explicit Gemms(int devices) {
        for (int device = 0; device < devices; ++device) {
            auto memory = std::make_shared<GemmMemory>(device, std::vector{gemm_shape});
            streams.push_back(&memory->stream);
            all.push_back(std::make_unique<Gemm>(memory, gemm_shape));
            memories.push_back(std::move(memory));
        }
    }
    void enqueue(std::int64_t i) const {
        for (std::size_t k = 0; k < all.size(); ++k) {
            streams[k]->use();
            all[k]->enqueue(i, *streams[k]);
        }
    }
    std::vector<std::shared_ptr<GemmMemory>> memories;
    std::vector<Stream const*> streams;
    std::vector<std::unique_ptr<Gemm>> all;
};

/// One of the two sides: its streams and how to put a call on them.
struct Side {
    std::vector<Stream const*> streams;
    std::function<void(std::int64_t i)> enqueue;
};

void start(Side const& side, std::int64_t calls) {
    for (auto const* stream : side.streams) {
        stream->use();
        stream->mark_begin();
    }
    for (std::int64_t i = 0; i < calls; ++i) side.enqueue(i);
    for (auto const* stream : side.streams) {
        stream->use();
        stream->mark_end();
    }
}

double finish(Side const& side, std::int64_t calls) {
    double slowest = 0;
    for (auto const* stream : side.streams) {
        stream->wait();
        slowest = std::max(slowest, stream->seconds());
    }
    return slowest / static_cast<double>(calls);
}

double alone(Side const& side, std::int64_t calls) {
    start(side, calls);
    return finish(side, calls);
}

/// Time of a call of `timed` while `beside` runs from before the first to after the last.
double with(Side const& timed, Side const& beside, std::int64_t calls) {
    double const timed_s = alone(timed, 1) * static_cast<double>(calls);
    double const beside_s = alone(beside, 1);
    double calls_beside = std::ceil(margin * timed_s / beside_s) + 1;
    for (int attempt = 0; attempt < attempts; ++attempt, calls_beside *= 2) {
        auto const count = static_cast<std::int64_t>(calls_beside);
        beside.enqueue(0);  // it holds its SMs before the other asks for them
        start(beside, count);
        start(timed, calls);
        double const seconds = finish(timed, calls);
        (void)finish(beside, count);
        bool covered = true;
        for (std::size_t k = 0; k < timed.streams.size(); ++k) {
            covered = covered && beside.streams[k]->ends_after(*timed.streams[k]) > 0;
        }
        if (covered) return seconds;
    }
    throw CaseUnavailable("the one beside ended first, however often it was repeated");
}

Beside nccl_beside(int devices, int sms) {
    auto const group =
        std::make_shared<NcclRanks>(devices, NcclBranch{"ring", "simple"}, collective_bytes, sms);
    NcclCall const call{"all_reduce", collective_bytes, false};
    return {"all_reduce",     "ring",
            "simple",         devices,
            group->streams(), [group, call](std::int64_t i) { group->enqueue(call, i); }};
}

Beside copy_beside(int sms) {
    struct Copy {
        Stream stream{0, true};
        DeviceMemory from{0, collective_bytes}, to{0, collective_bytes};
    };
    auto const copy = std::make_shared<Copy>();
    return {"copy", "none", "none", 1, {&copy->stream}, [copy, sms](std::int64_t) {
                copy->stream.use();
                launch_copy(copy->to.data(), copy->from.data(), collective_bytes, sms, true,
                            copy->stream.get());
            }};
}

std::vector<Case> cases_of(int devices, int sms) {
    auto const gemms = std::make_shared<Gemms>(devices);
    auto const beside =
        std::make_shared<Beside>(devices > 1 ? nccl_beside(devices, sms) : copy_beside(sms));
    Side const gemm{gemms->streams, [gemms](std::int64_t i) { gemms->enqueue(i); }};
    Side const collective{beside->streams, [beside](std::int64_t i) { beside->enqueue(i); }};
    OverlapRow row;
    row.precision = gemm_shape.precision;
    row.m = gemm_shape.m;
    row.n = gemm_shape.n;
    row.k = gemm_shape.k;
    row.op = beside->op;
    row.algorithm = beside->algorithm;
    row.protocol = beside->protocol;
    row.ranks = beside->ranks;
    row.bytes = collective_bytes;
    row.sms = sms;
    std::vector<Case> cases;
    auto const add = [&](char const* what, std::function<double(std::int64_t)> run) {
        row.what = what;
        cases.push_back({row, std::move(run)});
    };
    add("gemm_alone", [=](std::int64_t n) { return alone(gemm, n); });
    add("gemm_with", [=](std::int64_t n) { return with(gemm, collective, n); });
    add("collective_alone", [=](std::int64_t n) { return alone(collective, n); });
    add("collective_with", [=](std::int64_t n) { return with(collective, gemm, n); });
    return cases;
}

}  // namespace

std::vector<Batch> cuda_overlap(Settings const& settings, Machine const& machine) {
    auto const devices = static_cast<int>(machine.device_count);
    std::vector<Batch> batches;
    for (int const sms : sms_held) {
        if (settings.quick && sms != 16) continue;
        batches.push_back({fmt::format("{} SMs", sms), [=] { return cases_of(devices, sms); }});
    }
    return batches;
}

}  // namespace nvl72::measure
