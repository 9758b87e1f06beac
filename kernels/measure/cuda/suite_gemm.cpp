/// The suite `gemm` on the first GPU.

#include "kernels/measure/cuda/gemm.hpp"
#include "kernels/measure/suites.hpp"

#include <charconv>

namespace nvl72::measure {

namespace {

// Rows: decode batches to a sequence; n and k: hidden, head and expert widths of current models.
constexpr std::int64_t rows[] = {1, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384};
constexpr std::int64_t widths[] = {1024, 2048, 4096, 7168, 8192, 16384};
constexpr std::int64_t rows_quick[] = {16, 512, 8192};
constexpr std::int64_t widths_quick[] = {1024, 8192};

std::vector<GemmShape> shapes_of(std::string const& precision, bool quick) {
    std::span<std::int64_t const> const m_all =
        quick ? std::span<std::int64_t const>(rows_quick) : rows;
    std::span<std::int64_t const> const wide =
        quick ? std::span<std::int64_t const>(widths_quick) : widths;
    std::vector<GemmShape> shapes;
    for (auto const m : m_all) {
        for (auto const n : wide) {
            for (auto const k : wide) shapes.push_back({precision, m, n, k});
        }
    }
    return shapes;
}

/// Compute capability 9.0 has FP8 tensor cores, 10.0 NVFP4 as well.
std::vector<std::string> precisions_of(Machine const& machine) {
    double capability = 0;
    auto const& text = machine.compute_capability;
    std::from_chars(text.data(), text.data() + text.size(), capability);
    std::vector<std::string> precisions{"bf16"};
    if (capability >= 8.9) precisions.emplace_back("fp8");
    if (capability >= 10) precisions.emplace_back("nvfp4");
    return precisions;
}

/// Kernels are chosen when a case first runs, so that a shape without one is skipped alone.
double time_gemm(std::shared_ptr<GemmMemory> const& memory,
                 GemmShape const& shape,
                 bool graph,
                 std::int64_t iterations) {
    Gemm const gemm(memory, shape);
    return time_on(memory->stream, iterations, graph,
                   [&](std::int64_t i) { gemm.enqueue(i, memory->stream); });
}

std::vector<Case> cases_of(std::vector<GemmShape> const& shapes, bool graphs) {
    auto const memory = std::make_shared<GemmMemory>(0, shapes);
    std::vector<Case> cases;
    for (auto const& shape : shapes) {
        for (bool const graph : {false, true}) {
            if (graph && !graphs) continue;
            cases.push_back(
                {GemmRow{shape.precision, shape.m, shape.n, shape.k, graph ? "graph" : "eager"},
                 [=](std::int64_t n) { return time_gemm(memory, shape, graph, n); }});
        }
    }
    return cases;
}

}  // namespace

std::vector<Batch> cuda_gemm(Settings const& settings, Machine const& machine) {
    std::vector<Batch> batches;
    for (auto const& precision : precisions_of(machine)) {
        auto const shapes = shapes_of(precision, settings.quick);
        batches.push_back(
            {precision, [shapes, graphs = settings.graph] { return cases_of(shapes, graphs); }});
    }
    return batches;
}

}  // namespace nvl72::measure
