#include "kernels/measure/cuda/gemm.hpp"

#include "kernels/measure/cuda/device.hpp"
#include "kernels/measure/cuda/kernels.hpp"
#include "kernels/measure/cuda/library.hpp"
#include "kernels/measure/errors.hpp"

#include <algorithm>
#include <cublasLt.h>

namespace nvl72::measure {

namespace {

/// The calls of cuBLASLt that are used, found in the opened library.
struct Lt {
    Library library{{"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}, "cuBLASLt"};
    decltype(cublasLtCreate)* create = nullptr;
    decltype(cublasLtGetVersion)* version = nullptr;
    decltype(cublasLtGetStatusString)* text = nullptr;
    decltype(cublasLtMatmul)* matmul = nullptr;
    decltype(cublasLtMatmulAlgoGetHeuristic)* heuristic = nullptr;
    decltype(cublasLtMatmulDescCreate)* desc_create = nullptr;
    decltype(cublasLtMatmulDescDestroy)* desc_destroy = nullptr;
    decltype(cublasLtMatmulDescSetAttribute)* desc_set = nullptr;
    decltype(cublasLtMatrixLayoutCreate)* layout_create = nullptr;
    decltype(cublasLtMatrixLayoutDestroy)* layout_destroy = nullptr;
    decltype(cublasLtMatmulPreferenceCreate)* preference_create = nullptr;
    decltype(cublasLtMatmulPreferenceDestroy)* preference_destroy = nullptr;
    decltype(cublasLtMatmulPreferenceSetAttribute)* preference_set = nullptr;

    Lt() {
        library.find(create, "cublasLtCreate");
        library.find(version, "cublasLtGetVersion");
        library.find(text, "cublasLtGetStatusString");
        library.find(matmul, "cublasLtMatmul");
        library.find(heuristic, "cublasLtMatmulAlgoGetHeuristic");
        library.find(desc_create, "cublasLtMatmulDescCreate");
        library.find(desc_destroy, "cublasLtMatmulDescDestroy");
        library.find(desc_set, "cublasLtMatmulDescSetAttribute");
        library.find(layout_create, "cublasLtMatrixLayoutCreate");
        library.find(layout_destroy, "cublasLtMatrixLayoutDestroy");
        library.find(preference_create, "cublasLtMatmulPreferenceCreate");
        library.find(preference_destroy, "cublasLtMatmulPreferenceDestroy");
        library.find(preference_set, "cublasLtMatmulPreferenceSetAttribute");
    }
};

Lt const& lt() {
    static Lt const opened;
    return opened;
}

void lt_expect(cublasStatus_t status, char const* what) {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    throw CaseUnavailable(std::string(what) + ": " + lt().text(status));
}

/// A handle per GPU, kept to the end of the process; its GPU is current.
cublasLtHandle_t handle_of(int device) {
    static std::vector<cublasLtHandle_t> handles;
    auto const index = static_cast<std::size_t>(device);
    if (handles.size() <= index) handles.resize(index + 1, nullptr);
    if (handles[index] == nullptr) lt_expect(lt().create(&handles[index]), "cublasLtCreate");
    return handles[index];
}

constexpr std::int64_t workspace_bytes = 32 << 20;  // what cuBLAS's documentation advises on Hopper
                                                    // and Blackwell
constexpr std::int64_t scale_block = 16;            // elements that share a scale in NVFP4
constexpr std::int64_t one_scale_bytes = 256;       // the FP32 scale of FP8, before the others
constexpr std::int64_t result_bytes = 2;            // BF16, whatever the operands

/// How a precision is stored, and random bits made numbers of it that are no NaN.
struct Precision {
    char const* name;
    cudaDataType_t type;
    std::int64_t bits;
    std::uint32_t keep, set;
};
constexpr Precision precisions[] = {
    {"bf16", CUDA_R_16BF, 16, 0x807F807F, 0x3F003F00},  // +-0.5 to 1
    {"fp8", CUDA_R_8F_E4M3, 8, 0xBFBFBFBF, 0},          // below 2
    {"nvfp4", CUDA_R_4F_E2M1, 4, 0xFFFFFFFF, 0},        // every pattern is a number
};

Precision const& precision_of(std::string const& name) {
    for (auto const& row : precisions) {
        if (name == row.name) return row;
    }
    throw std::invalid_argument("no precision " + name);
}

std::int64_t round_up(std::int64_t value, std::int64_t to) { return (value + to - 1) / to * to; }

std::int64_t operand_bytes(GemmShape const& shape, std::int64_t rows) {
    return rows * shape.k * precision_of(shape.precision).bits / 8;
}
std::int64_t bytes_a(GemmShape const& shape) { return operand_bytes(shape, shape.n); }
std::int64_t bytes_b(GemmShape const& shape) { return operand_bytes(shape, shape.m); }
std::int64_t bytes_d(GemmShape const& shape) { return shape.m * shape.n * result_bytes; }

/// Scales come in tiles of 128 rows x 4 (cuBLAS documentation, "1D block scaling factors layout").
std::int64_t bytes_scales(GemmShape const& shape) {
    auto const rows = round_up(std::max(shape.m, shape.n), 128);
    return one_scale_bytes + rows * round_up(shape.k / scale_block, 4);
}

std::int64_t most(std::vector<GemmShape> const& shapes, std::int64_t (*bytes)(GemmShape const&)) {
    std::int64_t largest = 256;
    for (auto const& shape : shapes) largest = std::max(largest, bytes(shape));
    return round_up(largest, 256);
}

std::int64_t past_l2() {
    constexpr std::int64_t multiple = 2;
    int bytes = 0;
    cuda_expect(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, 0),
                "cudaDeviceGetAttribute");
    return multiple * bytes;
}

}  // namespace

GemmMemory::GemmMemory(int device, std::vector<GemmShape> const& shapes)
    : stream(device),
      span(past_l2()),
      a(device, std::max(most(shapes, bytes_a), span)),
      b(device, std::max(most(shapes, bytes_b), span)),
      d(device, std::max(most(shapes, bytes_d), span)),
      scales(device, most(shapes, bytes_scales)),
      workspace(device, workspace_bytes) {
    auto const& precision = precision_of(shapes.front().precision);
    constexpr std::uint32_t one_f32 = 0x3F800000;
    constexpr std::uint32_t one_ue4m3 = 0x38383838;
    launch_fill(a.data(), a.bytes(), precision.keep, precision.set, stream.get());
    launch_fill(b.data(), b.bytes(), precision.keep, precision.set, stream.get());
    launch_fill(scales.data(), one_scale_bytes, 0, one_f32, stream.get());
    launch_fill(scales.data() + one_scale_bytes, scales.bytes() - one_scale_bytes, 0, one_ue4m3,
                stream.get());
    stream.wait();
}

/// Descriptors and the chosen algorithm. cuBLAS counts columns first: its A is our (k x n), read
/// transposed, its B our (m x k), its D (n x m) our rows of n.
struct Gemm::Plan {
    cublasLtMatmulDesc_t desc = nullptr;
    cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;
    cublasLtMatmulPreference_t preference = nullptr;
    cublasLtMatmulAlgo_t algorithm{};

    Plan() = default;
    Plan(Plan const&) = delete;
    Plan& operator=(Plan const&) = delete;
    Plan(Plan&&) = delete;
    Plan& operator=(Plan&&) = delete;
    ~Plan() {
        if (preference != nullptr) lt().preference_destroy(preference);
        for (auto* layout : {a, b, d}) {
            if (layout != nullptr) lt().layout_destroy(layout);
        }
        if (desc != nullptr) lt().desc_destroy(desc);
    }

    template <class Value>
    void set(cublasLtMatmulDescAttributes_t which, Value const& value) const {
        lt_expect(lt().desc_set(desc, which, static_cast<void const*>(&value), sizeof value),
                  "cublasLtMatmulDescSetAttribute");
    }
    static void layout(cublasLtMatrixLayout_t& made,
                       cudaDataType_t type,
                       std::int64_t rows,
                       std::int64_t columns) {
        lt_expect(lt().layout_create(&made, type, static_cast<std::uint64_t>(rows),
                                     static_cast<std::uint64_t>(columns), rows),
                  "cublasLtMatrixLayoutCreate");
    }
    void scale(std::string const& precision, std::byte* scales) const {
        if (precision == "bf16") return;
        void const* first = scales;
        if (precision == "nvfp4") {
            first = scales + one_scale_bytes;
            auto const mode = CUBLASLT_MATMUL_MATRIX_SCALE_VEC16_UE4M3;
            set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, static_cast<std::int32_t>(mode));
            set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, static_cast<std::int32_t>(mode));
        }
        set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, first);
        set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, first);
    }
    void choose(int device) {
        cublasLtMatmulHeuristicResult_t result{};
        int found = 0;
        lt_expect(lt().preference_create(&preference), "cublasLtMatmulPreferenceCreate");
        auto const bytes = static_cast<std::size_t>(workspace_bytes);
        lt_expect(lt().preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                      sizeof bytes),
                  "cublasLtMatmulPreferenceSetAttribute");
        lt_expect(
            lt().heuristic(handle_of(device), desc, a, b, d, d, preference, 1, &result, &found),
            "cublasLtMatmulAlgoGetHeuristic");
        if (found < 1) throw CaseUnavailable("cuBLASLt has no kernel for this shape");
        algorithm = result.algo;
    }
};

Gemm::Gemm(std::shared_ptr<GemmMemory> memory, GemmShape const& shape)
    : memory_(std::move(memory)), shape_(shape) {
    memory_->stream.use();
    (void)handle_of(memory_->stream.device());  // opens the library, or says why not
    plan_ = std::make_unique<Plan>();
    lt_expect(lt().desc_create(&plan_->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F),
              "cublasLtMatmulDescCreate");
    plan_->set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    plan_->set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
    plan_->scale(shape.precision, memory_->scales.data());
    auto const type = precision_of(shape.precision).type;
    Plan::layout(plan_->a, type, shape.k, shape.n);
    Plan::layout(plan_->b, type, shape.k, shape.m);
    Plan::layout(plan_->d, CUDA_R_16BF, shape.n, shape.m);
    plan_->choose(memory_->stream.device());
}

Gemm::~Gemm() = default;

void Gemm::enqueue(std::int64_t i, Stream const& stream) const {
    float const alpha = 1;
    float const beta = 0;
    auto const at = [&](DeviceMemory const& arena, std::int64_t bytes) {
        return arena.data() + window(i, bytes, memory_->span, arena.bytes());
    };
    auto* const d = at(memory_->d, bytes_d(shape_));
    lt_expect(lt().matmul(handle_of(memory_->stream.device()), plan_->desc, &alpha,
                          at(memory_->a, bytes_a(shape_)), plan_->a,
                          at(memory_->b, bytes_b(shape_)), plan_->b, &beta, d, plan_->d, d,
                          plan_->d, &plan_->algorithm, memory_->workspace.data(),
                          static_cast<std::size_t>(workspace_bytes), stream.get()),
              "cublasLtMatmul");
}

std::string cublaslt_version() {
    try {
        auto const version = lt().version();  // 130100 is 13.1.0
        return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
               std::to_string(version % 100);
    } catch (CaseUnavailable const&) {
        return {};
    }
}

}  // namespace nvl72::measure
