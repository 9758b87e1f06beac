#include "sim/interchange/kernel_table.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

KernelTable read(std::string const& text, std::string const& gpu = "") {
    return read_kernel_table(CsvTable::parse(text, "t.csv"), gpu);
}

std::string error_of(std::string const& text, std::string const& gpu = "") {
    auto const table = read(text, gpu);
    return table.unread.empty() ? "no error" : table.unread.front().why;
}

TEST(KernelTable, ReadsOurForm) {
    auto const table = read("gpu,kind,precision,m,n,k,time_us\nh100,gemm,fp8_block,1,2,3,4.5\n");
    ASSERT_EQ(table.samples.size(), 1U);
    EXPECT_EQ(table.samples[0].gpu, "h100");
    EXPECT_EQ(std::get<Gemm>(table.samples[0].query), (Gemm{Precision::fp8_block, 1, 2, 3}));
    EXPECT_DOUBLE_EQ(table.samples[0].seconds, 4.5e-6);
}

TEST(KernelTable, ReadsThePublishedForms) {
    auto const gemm = read("dtype,m,n,k,time_us,tflops\nbfloat16,1,2,3,4.5,0\n", "gb200");
    EXPECT_EQ(std::get<Gemm>(gemm.samples.at(0).query), (Gemm{Precision::bf16, 1, 2, 3}));
    EXPECT_EQ(gemm.samples[0].gpu, "gb200");
    // A prompt, one token after 64, and a prompt whose cache is FP8.
    auto const attention = read(
        "attn_dtype,kv_dtype,batch,isl,step,heads,kv_heads,time_us\n"
        "fp8,fp8,2,64,0,8,4,9\nfp8,fp8,2,1,64,8,4,9\nbfloat16,fp8,2,64,0,8,4,9\n",
        "gb200");
    ASSERT_EQ(attention.samples.size(), 3U);
    auto const& decode = std::get<Attention>(attention.samples[1].query);
    EXPECT_EQ(decode.query_tokens, 1);
    EXPECT_EQ(decode.kv_tokens, 65);
    EXPECT_FALSE(decode.kv_precision.has_value());
    EXPECT_EQ(std::get<Attention>(attention.samples[2].query).kv_precision, Precision::fp8);
    auto const& query = std::get<Attention>(attention.samples[0].query);
    EXPECT_EQ(query.query_tokens, 64);
    EXPECT_EQ(query.kv_tokens, 64);
    EXPECT_EQ(query.head_dim, 128);
    EXPECT_TRUE(query.causal);
}

TEST(KernelTable, OursMayNameThePrecisionOfTheCache) {
    auto const table = read(
        "gpu,kind,precision,kv_precision,batch,query_tokens,kv_tokens,heads,kv_heads,head_dim,"
        "time_us\nh100,attention,bf16,fp8,1,1,9,8,4,128,5\n"
        "h100,attention,bf16,bf16,1,1,9,8,4,128,5\n");
    EXPECT_EQ(std::get<Attention>(table.samples.at(0).query).kv_precision, Precision::fp8);
    EXPECT_FALSE(std::get<Attention>(table.samples.at(1).query).kv_precision.has_value());
}

TEST(KernelTable, MistakesNameTheCell) {
    EXPECT_EQ(error_of("dtype,m,n,k,time_us\nbfloat16,1,2,3,4\n"),
              "t.csv:1: no column 'gpu' (expected the column, or --gpu NAME)");
    EXPECT_EQ(error_of("dtype,m,n,k,time_us\nfloat16,1,2,3,4\n", "h100"),
              "t.csv:2: dtype: 'float16' (expected bf16 | fp8 | fp8_block | mxfp8 | nvfp4)");
    EXPECT_EQ(error_of("gpu,kind,precision,time_us\nh100,conv,bf16,4\n"),
              "t.csv:2: kind: 'conv' (expected gemm | attention)");
    EXPECT_EQ(error_of("gpu,kind,precision,m,n,k,time_us\nh100,gemm,bf16,0,2,3,4\n"),
              "t.csv:2: m: '0' (expected a whole number of at least 1)");
    EXPECT_EQ(error_of("gpu,kind,precision,m,n,time_us\nh100,gemm,bf16,1,2,4\n"),
              "t.csv:1: no column 'k' (expected gpu, kind, precision, m, n, time_us)");
    EXPECT_FALSE(is_kernel_table(CsvTable::parse("a,b\n1,2\n", "t.csv")));
    EXPECT_THROW((void)read("a,b\n1,2\n"), ConfigError);
}

TEST(KernelTable, ABadRowLeavesTheOthersAlone) {
    auto const table = read(
        "dtype,m,n,k,time_us\nbf16,1,2,3,4\nbf16,1,2\nfp3,1,2,3,4\nbf16,1,2,3,x\nbf16,5,6,7,\n",
        "h100");
    ASSERT_EQ(table.samples.size(), 2U);
    EXPECT_EQ(table.samples[0].line, 2);
    EXPECT_EQ(table.samples[1].line, 6);
    ASSERT_EQ(table.unread.size(), 3U);
    EXPECT_EQ(table.unread[0].why, "t.csv:3: 3 fields (expected 5, as in the header)");
    EXPECT_EQ(table.unread[1].line, 4);
    EXPECT_EQ(table.unread[2].why, "t.csv:5: time_us: 'x' (expected a number above 0)");
}

TEST(KernelTable, IsKnownWithoutAColumnOrTwo) {
    EXPECT_EQ(error_of("m,n,k,time_us\n1,2,3,4\n", "h100"),
              "t.csv:1: no column 'dtype' (expected m, n, k, time_us)");
    EXPECT_EQ(read("k,n,m,dtype\n3,2,1,bf16\n", "h100").samples.at(0).seconds, 0);
}

}  // namespace
}  // namespace nvl72
