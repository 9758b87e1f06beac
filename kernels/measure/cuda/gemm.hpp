#pragma once

#include "kernels/measure/cuda/api.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace nvl72::measure {

struct GemmShape {
    std::string precision;  ///< bf16, fp8, nvfp4
    std::int64_t m = 0, n = 0, k = 0;
};

/// Memory that the GEMMs of one precision share on one GPU: operands of random bits, results,
/// scales of one and cuBLASLt's workspace.
struct GemmMemory {
    /// Holds the largest of the shapes, which are of one precision.
    GemmMemory(int device, std::vector<GemmShape> const& shapes);

    Stream stream;
    std::int64_t span;  ///< through which the operands of small shapes move on: past the L2
    DeviceMemory a, b, d, scales, workspace;
};

/// One GEMM of cuBLASLt, by the algorithm that its heuristic puts first.
class Gemm {
public:
    /// Throws CaseUnavailable when cuBLASLt is not there or has no kernel for the shape.
    Gemm(std::shared_ptr<GemmMemory> memory, GemmShape const& shape);
    Gemm(Gemm const&) = delete;
    Gemm& operator=(Gemm const&) = delete;
    Gemm(Gemm&&) = delete;
    Gemm& operator=(Gemm&&) = delete;
    ~Gemm();
    /// The i-th call, on operands of its own.
    void enqueue(std::int64_t i, Stream const& stream) const;

private:
    struct Plan;
    std::shared_ptr<GemmMemory> memory_;
    GemmShape shape_;
    std::unique_ptr<Plan> plan_;
};

}  // namespace nvl72::measure
