#include "kernels/measure/rows.hpp"

#include <fmt/format.h>

namespace nvl72::measure {

template <>
char const* table_name<CollectiveRow>() {
    return "collectives";
}
template <>
char const* table_name<GemmRow>() {
    return "gemm";
}
template <>
char const* table_name<MemoryRow>() {
    return "memory";
}
template <>
char const* table_name<CopyRow>() {
    return "copy";
}
template <>
char const* table_name<LaunchRow>() {
    return "launch";
}
template <>
char const* table_name<OverlapRow>() {
    return "overlap";
}
template <>
char const* table_name<Timing>() {
    return "timing";
}
template <>
char const* table_name<ClockRow>() {
    return "clocks";
}
template <>
char const* table_name<SkippedRow>() {
    return "skipped";
}

template <>
std::vector<RowColumn<CollectiveRow>> row_columns() {
    using R = CollectiveRow;
    return {
        {"suite", "", "microkernel (ours) or nccl", &R::suite},
        {"op", "", "operation, in nccl-tests' names", &R::op},
        {"algorithm", "", "ring, one_shot, direct, ...; auto: the library chose", &R::algorithm},
        {"protocol", "", "ll, bulk, multicast; ll, ll128, simple of NCCL; auto", &R::protocol},
        {"launch", "", "eager, graph, persistent or host-threads", &R::launch},
        {"wiring", "", "peer, one-gpu or host", &R::wiring},
        {"ranks", "", "GPUs or threads that take part", &R::ranks},
        {"nodes", "", "nodes they stand on", &R::nodes},
        {"channels", "", "thread blocks per rank; 0: the library chose", &R::channels},
        {"bytes", "bytes", "full buffer, as nccl-tests counts it", &R::bytes},
        {"tokens", "", "tokens of one rank, of moe_dispatch and moe_combine", &R::tokens},
        {"top_k", "", "experts per token, of moe_dispatch and moe_combine", &R::top_k},
        {"dtype", "", "element type", &R::dtype},
        {"in_place", "", "1: send and receive buffer are one", &R::in_place},
    };
}

template <>
std::vector<RowColumn<GemmRow>> row_columns() {
    using R = GemmRow;
    return {
        {"precision", "", "bf16, fp8 or nvfp4", &R::precision},
        {"m", "", "rows of the result", &R::m},
        {"n", "", "columns of the result", &R::n},
        {"k", "", "length of the sums", &R::k},
        {"launch", "", "eager or graph", &R::launch},
    };
}

template <>
std::vector<RowColumn<MemoryRow>> row_columns() {
    using R = MemoryRow;
    return {
        {"kind", "", "copy, fill or reduce", &R::kind},
        {"bytes", "bytes", "of one array", &R::bytes},
        {"traffic_bytes", "bytes", "read plus written", &R::traffic_bytes},
    };
}

template <>
std::vector<RowColumn<CopyRow>> row_columns() {
    using R = CopyRow;
    return {
        {"from", "", "host or gpuN", &R::from},
        {"to", "", "host or gpuN", &R::to},
        {"engine", "", "ce: copy engine; sm: a kernel", &R::engine},
        {"bytes", "bytes", "moved", &R::bytes},
    };
}

template <>
std::vector<RowColumn<LaunchRow>> row_columns() {
    return {{"kind", "", "what was started", &LaunchRow::kind}};
}

template <>
std::vector<RowColumn<OverlapRow>> row_columns() {
    using R = OverlapRow;
    return {
        {"what", "", "gemm_alone, gemm_with, collective_alone or collective_with", &R::what},
        {"precision", "", "of the GEMM", &R::precision},
        {"m", "", "rows of the GEMM's result", &R::m},
        {"n", "", "columns of the GEMM's result", &R::n},
        {"k", "", "length of the GEMM's sums", &R::k},
        {"op", "", "the collective", &R::op},
        {"algorithm", "", "of the collective", &R::algorithm},
        {"protocol", "", "of the collective", &R::protocol},
        {"ranks", "", "of the collective", &R::ranks},
        {"bytes", "bytes", "of the collective", &R::bytes},
        {"sms", "", "SMs that the collective holds", &R::sms},
    };
}

template <>
std::vector<RowColumn<Timing>> row_columns() {
    using R = Timing;
    return {
        {"block", "", "which repetition of the case", &R::block},
        {"order", "", "running number over the whole file", &R::order},
        {"iterations", "", "operations timed together", &R::iterations},
        {"time_s", "s", "per operation, slowest rank", &R::time_s},
        {"outlier", "", "1: far from the median of its case", &R::outlier},
    };
}

template <>
std::vector<RowColumn<ClockRow>> row_columns() {
    using R = ClockRow;
    return {
        {"order", "", "taken before this running number", &R::order},
        {"device", "", "index of the GPU; 0 for host", &R::device},
        {"core_clock_hz", "Hz", "0: not told", &R::core_clock_hz},
        {"memory_clock_hz", "Hz", "0: not told", &R::memory_clock_hz},
        {"power_w", "W", "0: not told", &R::power_w},
        {"temperature_degc", "degC", "0: not told", &R::temperature_degc},
    };
}

template <>
std::vector<RowColumn<SkippedRow>> row_columns() {
    using R = SkippedRow;
    return {
        {"suite", "", "of nvl72-measure", &R::suite},
        {"subject", "", "what was asked for", &R::subject},
        {"reason", "", "why it was not measured", &R::reason},
    };
}

namespace {

struct Describe {
    std::string operator()(CollectiveRow const& r) const {
        return fmt::format("{} {} {} {} {}, {} ranks, {} bytes{}", r.suite, r.op, r.algorithm,
                           r.protocol, r.launch, r.ranks, r.bytes, r.in_place ? ", in place" : "");
    }
    std::string operator()(GemmRow const& r) const {
        return fmt::format("gemm {} {} x {} x {} {}", r.precision, r.m, r.n, r.k, r.launch);
    }
    std::string operator()(MemoryRow const& r) const {
        return fmt::format("memory {}, {} bytes", r.kind, r.bytes);
    }
    std::string operator()(CopyRow const& r) const {
        return fmt::format("copy {} to {} by {}, {} bytes", r.from, r.to, r.engine, r.bytes);
    }
    std::string operator()(LaunchRow const& r) const { return "launch " + r.kind; }
    std::string operator()(OverlapRow const& r) const {
        return fmt::format("{} {} {} x {} x {} beside {} on {} SMs", r.what, r.precision, r.m, r.n,
                           r.k, r.op, r.sms);
    }
};

}  // namespace

std::string describe(CaseRow const& row) { return std::visit(Describe{}, row); }

std::string table_of(CaseRow const& row) {
    return std::visit(
        [](auto const& r) { return std::string(table_name<std::decay_t<decltype(r)>>()); }, row);
}

}  // namespace nvl72::measure
