#include "kernels/measure/machine.hpp"

#include "kernels/measure/summary.hpp"

#include <gtest/gtest.h>

namespace nvl72::measure {
namespace {

TEST(CpuModel, IsReadFromTheKernelsText) {
    EXPECT_EQ(cpu_model_of("processor\t: 0\nmodel name\t: Some CPU 9000\nstepping\t: 1\n"),
              "Some CPU 9000");
    EXPECT_EQ(cpu_model_of("CPU implementer\t: 0x41\n"), "unknown CPU");
}

TEST(CacheBytes, AreReadFromTheKernelsText) {
    EXPECT_EQ(cache_bytes_of("32768K\n"), 33554432);
    EXPECT_EQ(cache_bytes_of("114M"), 119537664);
    EXPECT_EQ(cache_bytes_of(""), 0);
    EXPECT_EQ(cache_bytes_of("many"), 0);
    EXPECT_EQ(cache_bytes_of("12"), 0);
}

TEST(CudaVersion, IsMajorAndMinor) {
    EXPECT_EQ(cuda_version_text(13000), "13.0");
    EXPECT_EQ(cuda_version_text(12080), "12.8");
    EXPECT_EQ(cuda_version_text(0), "");
}

TEST(HostMachine, HasCoresMemoryAndAName) {
    auto const machine = host_machine();
    EXPECT_EQ(machine.device_kind, "host");
    EXPECT_FALSE(machine.device_name.empty());
    EXPECT_GE(machine.cpu_cores, 1);
    EXPECT_GT(machine.host_memory_bytes, 1 << 20);
    EXPECT_FALSE(machine.compiler.empty());
}

TEST(BusFactor, IsNcclTestsOwn) {
    EXPECT_DOUBLE_EQ(bus_factor("all_reduce", 8), 1.75);  // 2 x 7 / 8
    EXPECT_DOUBLE_EQ(bus_factor("alltoall", 4), 0.75);    // 3 / 4
    EXPECT_DOUBLE_EQ(bus_factor("sendrecv", 4), 1);
}

TEST(Summary, ShowsMedianSpreadAndBusBandwidth) {
    CollectiveRow row;
    row.op = "all_reduce";
    row.ranks = 4;
    row.bytes = 1'000'000;
    // Median 1 ms: 1 GB/s, on the bus 2 x 3 / 4 = 1.50. Distances 0, 0, 1 ms: median 0.
    auto const text =
        summary_text({{row, {{0, 0, 1, 1e-3, 0}, {1, 1, 1, 1e-3, 0}, {2, 2, 1, 2e-3, 1}}}});
    EXPECT_NE(text.find("1.50    1000.000        0.0        1"), std::string::npos) << text;
}

}  // namespace
}  // namespace nvl72::measure
