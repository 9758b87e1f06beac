#include "sim/interchange/moe_table.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

KernelTable read(std::string const& text, std::string const& gpu = "") {
    return read_moe_table(CsvTable::parse(text, "t.csv"), gpu);
}

std::string error_of(std::string const& text, std::string const& gpu = "") {
    auto const table = read(text, gpu);
    return table.unread.empty() ? "no error" : table.unread.front().why;
}

MoeExchange at(KernelTable const& table, std::size_t row) {
    return std::get<MoeExchange>(table.samples.at(row).query);
}

std::string const ours = "gpu,transport,step,precision,tokens,hidden,top_k,experts,ep,time_us\n";
std::string const published =
    "gpu,kernel,op,dtype,tokens_per_gpu,hidden,topk,experts,ep,distribution,time_us\n";

TEST(MoeTable, ReadsOurForm) {
    auto const table = read(ours + "gb200,one_sided,dispatch,nvfp4,64,7168,8,256,32,12.5\n");
    ASSERT_EQ(table.samples.size(), 1U);
    EXPECT_EQ(table.samples[0].gpu, "gb200");
    EXPECT_EQ(table.samples[0].line, 2);
    EXPECT_DOUBLE_EQ(table.samples[0].seconds, 12.5e-6);
    auto const exchange = at(table, 0);
    EXPECT_EQ(exchange.step, MoeStep::dispatch);
    EXPECT_EQ(exchange.transport, MoeTransport::one_sided);
    EXPECT_EQ(exchange.precision, Precision::nvfp4);
    EXPECT_EQ(exchange.tokens, 64);
    EXPECT_EQ(exchange.hidden, 7168);
    EXPECT_EQ(exchange.top_k, 8);
    EXPECT_EQ(exchange.experts, 256);
    EXPECT_EQ(exchange.shape.ranks, 32);
    EXPECT_EQ(exchange.shape.domains, 1);
}

TEST(MoeTable, ReadsThePublishedFormAndWhatTravels) {
    auto const table = read(published +
                            "GB200,NVLinkTwoSided,alltoall_dispatch,fp8,1,7168,8,256,4,balanced,9\n"
                            "GB200,NVLinkTwoSided,alltoall_combine,fp8,1,7168,8,256,4,balanced,9\n"
                            "GB200,NVLinkTwoSided,alltoall_combine_low_precision,nvfp4,1,7168,8,"
                            "256,4,balanced,9\n"
                            "GB200,NVLinkTwoSided,alltoall_prepare,bfloat16,1,7168,8,256,4,"
                            "balanced,9\n");
    ASSERT_EQ(table.samples.size(), 4U);
    EXPECT_EQ(table.samples[0].gpu, "gb200");
    EXPECT_EQ(at(table, 0).precision, Precision::fp8);
    EXPECT_EQ(at(table, 1).precision, Precision::bf16);
    EXPECT_EQ(at(table, 1).step, MoeStep::combine);
    EXPECT_EQ(at(table, 2).precision, Precision::nvfp4);
    EXPECT_EQ(at(table, 2).step, MoeStep::combine);
    EXPECT_EQ(at(table, 3).step, MoeStep::prepare);
}

TEST(MoeTable, MistakesNameTheCell) {
    EXPECT_EQ(error_of(ours + "gb200,one_sided,gather,bf16,64,7168,8,256,32,12.5\n"),
              "t.csv:2: step: 'gather' (expected prepare | dispatch | combine)");
    EXPECT_EQ(error_of(ours + "gb200,one_sided,dispatch,bf16,64,7168,8,256,1,12.5\n"),
              "t.csv:2: ep: '1' (expected a whole number of at least 2)");
    EXPECT_EQ(
        error_of(published + "GB200,DeepEP,alltoall_dispatch,fp8,1,7168,8,256,4,balanced,9\n"),
        "t.csv:2: kernel: 'DeepEP' (expected NVLinkTwoSided | NVLinkOneSided)");
    EXPECT_EQ(error_of(published +
                       "GB200,NVLinkTwoSided,alltoall_dispatch,fp8,1,7168,8,256,4,skewed,9\n"),
              "t.csv:2: distribution: 'skewed' (expected balanced)");
    EXPECT_EQ(error_of("transport,step,precision,tokens,hidden,top_k,experts,ep,time_us\n"
                       "one_sided,dispatch,bf16,64,7168,8,256,32,12.5\n"),
              "t.csv:1: no column 'gpu' (expected the column, or --gpu NAME)");
}

TEST(MoeTable, IsToldFromOtherTables) {
    EXPECT_TRUE(is_moe_table(CsvTable::parse(ours, "t.csv")));
    EXPECT_TRUE(is_moe_table(CsvTable::parse(published, "t.csv")));
    EXPECT_FALSE(is_moe_table(CsvTable::parse("gpu,kind,precision,m,n,k,time_us\n", "t.csv")));
    EXPECT_FALSE(is_kernel_table(CsvTable::parse(ours, "t.csv")));
    EXPECT_FALSE(is_kernel_table(CsvTable::parse(published, "t.csv")));
}

}  // namespace
}  // namespace nvl72
