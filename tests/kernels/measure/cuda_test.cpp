/// What of the GPU side needs no GPU.

#include "kernels/measure/cuda/device.hpp"

#include "kernels/measure/suites.hpp"

#include <gtest/gtest.h>
#include <set>

#ifdef NVL72_CUDA
#include "kernels/measure/cuda/api.hpp"
#endif

namespace nvl72::measure {
namespace {

TEST(Suites, HaveNamesOfTheirOwnAndAMaker) {
    std::set<std::string> names;
    for (auto const& suite : suites()) {
        EXPECT_TRUE(names.insert(suite.name).second) << suite.name;
        EXPECT_NE(std::string(suite.help), "");
    }
    EXPECT_EQ(names.size(), 7U);
}

TEST(FindCuda, SaysWhyThereIsNone) {
    auto const found = find_cuda();
    EXPECT_EQ(found.devices == 0, !found.why_none.empty());
    EXPECT_EQ(found.why_none.find('\n'), std::string::npos);
}

TEST(Libraries, AreOpenedWithEveryFunctionThatIsUsed) {
    // Opening them fails when one function is missing; neither needs a driver for it.
    auto const nccl = nccl_version();
    auto const cublaslt = cublaslt_version();
    if (nccl.empty() || cublaslt.empty()) GTEST_SKIP() << "NCCL or cuBLASLt cannot be opened here";
    EXPECT_EQ(nccl[0], '2');
    EXPECT_NE(cublaslt.find('.'), std::string::npos);
}

#ifdef NVL72_CUDA
TEST(Window, MovesOnPastTheCacheAndStaysInside) {
    // 1,000 bytes take steps of 1,024; four of them fit into a span of 4,096.
    EXPECT_EQ(window(0, 1000, 4096, 1 << 20), 0);
    EXPECT_EQ(window(3, 1000, 4096, 1 << 20), 3072);
    EXPECT_EQ(window(4, 1000, 4096, 1 << 20), 0);
    // The arena is smaller than the span, or the buffer larger than either.
    EXPECT_EQ(window(2, 1024, 1 << 20, 2048), 0);
    EXPECT_EQ(window(7, 1 << 20, 4096, 1 << 20), 0);
    for (std::int64_t i = 0; i < 100; ++i) EXPECT_LE(window(i, 700, 5000, 5000) + 700, 5000);
}
#endif

}  // namespace
}  // namespace nvl72::measure
