#include "sim/interchange/collective_table.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

std::string error_of_collectives(std::string const& text) {
    auto const rows = read_collective_table(CsvTable::parse(text, "x.csv"), "");
    EXPECT_EQ(rows.at(0).status, RowStatus::skipped);
    return rows.at(0).reason;
}

TEST(CollectiveTable, ReadsAiconfiguratorsHeader) {
    auto const csv = CsvTable::parse(
        "gpu,nccl,collective,dtype,gpus,message_bytes,time_us\n"
        "H100-SXM,2.29.2,all_gather,half,8,1048576,42.5\n",
        "x.csv");
    ASSERT_TRUE(is_collective_table(csv));
    auto const rows = read_collective_table(csv, "");
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].source, "x.csv");
    EXPECT_EQ(rows[0].line, 2);
    EXPECT_EQ(rows[0].gpu, "h100");
    EXPECT_EQ(rows[0].query.op, CollectiveOp::all_gather);
    EXPECT_EQ(rows[0].query.size, Bytes{1048576});
    EXPECT_EQ(rows[0].query.bytes_per_element, 2);
    EXPECT_EQ(rows[0].query.shape.ranks, 8);
    EXPECT_EQ(rows[0].query.shape.ranks_per_domain, 8);
    EXPECT_DOUBLE_EQ(rows[0].seconds, 42.5e-6);
    EXPECT_EQ(rows[0].status, RowStatus::ok);
}

/// 400 Gb/s a GPU are 50 GB/s; 16 GPUs in 2 domains are 8 each. The target is the smaller time;
/// a fit takes both of an all-reduce, and the first of an all-gather, which copies more out of
/// place: 10, 9, 8, 19. The last row states no time.
TEST(CollectiveTable, ReadsLogsInAndOutOfPlace) {
    auto const rows = read_collective_table(
        CsvTable::parse("# a comment\n"
                        "gpu,collective,gpus,domains,nic_gbps,type,bytes,out_of_place_us,"
                        "in_place_us\n"
                        "h100,all_reduce,16,2,400,float,1024,10,9\n"
                        "h100,all_gather,16,2,400,float,1024,8,7\n"
                        "h100,all_gather,16,2,400,float,2048,,19\n"
                        "h100,all_reduce,16,2,400,float,4096,,\n",
                        "x.csv"),
        "");
    ASSERT_EQ(rows.size(), 4U);
    EXPECT_DOUBLE_EQ(rows[0].seconds, 9e-6);
    EXPECT_DOUBLE_EQ(rows[1].seconds, 7e-6);
    EXPECT_EQ(rows[2].line, 5);
    EXPECT_EQ(rows[3].status, RowStatus::ok);
    EXPECT_EQ(rows[3].reason, "no time");
    EXPECT_EQ(rows[0].query.shape.domains, 2);
    EXPECT_EQ(rows[0].query.shape.ranks_per_domain, 8);
    EXPECT_DOUBLE_EQ(rows[0].query.shape.per_gpu_nic.count, 50e9);

    auto const samples = samples_to_fit(rows);
    ASSERT_EQ(samples.size(), 4U);
    EXPECT_DOUBLE_EQ(samples[0].seconds, 10e-6);
    EXPECT_DOUBLE_EQ(samples[1].seconds, 9e-6);
    EXPECT_DOUBLE_EQ(samples[2].seconds, 8e-6);
    EXPECT_DOUBLE_EQ(samples[3].seconds, 19e-6);
}

TEST(CollectiveTable, ReadsWhatATableSaysOfItsRuns) {
    auto const rows = read_collective_table(
        CsvTable::parse("gpu,collective,gpus,type,bytes,time_us,launch,fabric,quality\n"
                        "b200,all_reduce,8,half,1024,10,symmetric,none,ok\n"
                        "b200,all_reduce,8,half,1024,90,eager,none,noisy\n",
                        "x.csv"),
        "");
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].launch, LaunchMode::symmetric);
    EXPECT_EQ(rows[0].fabric, "none");
    EXPECT_EQ(rows[0].status, RowStatus::ok);
    EXPECT_EQ(rows[1].status, RowStatus::set_aside);
    EXPECT_EQ(samples_to_fit(rows).size(), 1U);
}

TEST(CollectiveTable, IsToldFromKernelTables) {
    EXPECT_FALSE(is_collective_table(CsvTable::parse("dtype,m,n,k,time_us\n", "x.csv")));
    EXPECT_FALSE(is_collective_table(CsvTable::parse("gpu,gpus,type,bytes\n", "x.csv")));
}

TEST(CollectiveTable, ABadRowLeavesTheOthersAlone) {
    auto const rows = read_collective_table(
        CsvTable::parse("gpu,collective,gpus,type,bytes,time_us,quality\n"
                        "h100,all_reduce,8,half,8,1,ok\nh100,all_reduce,8,half,8\n"
                        "h100,all_reduce,8,tf19,8,1,ok\nh100,all_reduce,8,,8,1,\n",
                        "x.csv"),
        "");
    ASSERT_EQ(rows.size(), 4U);
    EXPECT_EQ(rows[0].status, RowStatus::ok);
    EXPECT_EQ(rows[1].status, RowStatus::skipped);
    EXPECT_EQ(rows[1].line, 3);
    EXPECT_EQ(rows[1].reason, "x.csv:3: 5 fields (expected 7, as in the header)");
    EXPECT_EQ(rows[2].status, RowStatus::skipped);
    EXPECT_EQ(rows[2].reason.substr(0, 21), "x.csv:4: type: 'tf19'");
    EXPECT_EQ(rows[3].status, RowStatus::defaulted);
    EXPECT_EQ(rows[3].reason, "type float");
}

TEST(CollectiveTable, NamesTheLineAndColumnOfAMistake) {
    std::string const head = "gpu,collective,gpus,domains,nic_gbps,type,bytes,time_us\n";
    EXPECT_EQ(error_of_collectives(head + "h100,gather_all,8,1,0,half,8,1\n"),
              "x.csv:2: collective: 'gather_all' (expected all_reduce | all_gather | "
              "reduce_scatter | alltoall | broadcast | sendrecv)");
    EXPECT_EQ(error_of_collectives(head + "h100,all_reduce,9,2,400,half,8,1\n"),
              "x.csv:2: domains: 2 of 9 GPUs (expected equal shares)");
    EXPECT_EQ(error_of_collectives(head + "h100,all_reduce,8,2,0,half,8,1\n").substr(0, 17),
              "x.csv:2: nic_gbps");
    EXPECT_EQ(error_of_collectives(head + "h100,all_reduce,8,1,0,half,8,0\n").substr(0, 16),
              "x.csv:2: time_us");
    EXPECT_EQ(error_of_collectives(head + "h100,all_reduce,1,1,0,half,8,1\n").substr(0, 13),
              "x.csv:2: gpus");
}

}  // namespace
}  // namespace nvl72
