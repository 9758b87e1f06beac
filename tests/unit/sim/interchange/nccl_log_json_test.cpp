#include "sim/interchange/nccl_log.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

/// What -J writes (version 3, its one line broken here): 2 processes of 2 GPUs, of which the file
/// lists one each. 1 MiB in 100 us are 10.48576 GB/s; an all-reduce over 4 ranks: 15.72864.
constexpr char const* report = R"({"version":3,"start_time":"2025-10-10 10:10:10",
"args":["\/opt\/nccl-tests\/build\/all_reduce_perf","-b","1M","-J","x.json"],"env":["A=[{"],
"nccl_version":22902,
"config":{"nthreads":1,"ngpus":2,"minimum_bytes":1048576,"warmup_iters":5,"iterations":20,
 "graph":1,"devices":[
 {"rank":0,"group":0,"pid":7,"hostname":"n1","device":0,"device_info":"NVIDIA GB200"},
 {"rank":2,"group":0,"pid":9,"hostname":"n2","device":0,"device_info":"NVIDIA GB200"}]},
"results":[
{"size":0,"count":0,"type":"float","redop":"sum","root":"    -1",
 "out_of_place":{"time":1.5,"alg_bw":0.0,"bus_bw":0.0,"nwrong":0.0},"in_place":null},
{"size":1048576,"count":262144,"type":"float","redop":"sum","root":"    -1",
 "out_of_place":{"time":100.0,"alg_bw":10.485760,"bus_bw":15.728640,"nwrong":0.0},
 "out_of_place_per_iter":{"min_us":1.0,"times_us":[1.0,2.0]},
 "in_place":{"cpu_time":50.0,"alg_bw":20.971520,"bus_bw":31.457280,"nwrong":null},
 "actual_iterations":20,"experiment_name":""},
{"size":2097152,"count":524288,"type":"float","redop":"sum","root":"    -1",
 "out_of_place":{"time":100.0,"alg_bw":20.971520,"bus_bw":31.457280,"nwrong":12.0},
 "in_place":{"time":100.0,"alg_bw":20.971520,"bus_bw":41.0,"nwrong":0.0}}],
"out_of_bounds":{"count":0,"okay":"true"},"average_bus_bandwidth":{"bandwidth":15.7}})";

TEST(NcclLogJson, ReadsConfigurationAndResults) {
    ASSERT_TRUE(is_nccl_log_text(report));
    auto const log = parse_nccl_log(report, "x.json");
    EXPECT_EQ(log.op, "all_reduce");
    EXPECT_EQ(log.nccl, "2.29.2");
    EXPECT_EQ(log.ranks, 4);
    EXPECT_EQ(log.hosts, 2);
    EXPECT_EQ(log.devices, std::vector<std::string>{"NVIDIA GB200"});
    EXPECT_EQ(log.warmup, 5);
    EXPECT_EQ(log.iterations, 20);
    EXPECT_EQ(log.graph, 1);
    ASSERT_EQ(log.rows.size(), 3U);
    EXPECT_EQ(log.rows[0].line, 9);
    EXPECT_FALSE(log.rows[0].in_place);
    EXPECT_EQ(log.rows[1].line, 11);
    EXPECT_EQ(log.rows[1].bytes, 1048576);
    EXPECT_DOUBLE_EQ(log.rows[1].out_of_place->time_us.value, 100);
    EXPECT_DOUBLE_EQ(log.rows[1].in_place->time_us.value, 50);
    EXPECT_FALSE(log.rows[1].in_place->wrong);
    EXPECT_EQ(log.rows[2].dropped, "12 wrong values out of place");
    ASSERT_EQ(log.notes.size(), 1U);
    EXPECT_EQ(log.notes[0],
              "x.json:16: busbw 41 (expected 31.46: all_reduce of 2097152 bytes over 4 ranks in "
              "100 us)");
}

/// A killed job leaves the file open: what was closed counts, and the line of the break is named.
TEST(NcclLogJson, KeepsTheResultsBeforeABreak) {
    std::string const text = report;
    auto const log = parse_nccl_log(text.substr(0, text.find(R"("size":2097152)")), "x.json");
    EXPECT_EQ(log.rows.size(), 2U);
    EXPECT_EQ(log.ranks, 4);
    ASSERT_EQ(log.notes.size(), 1U);
    EXPECT_EQ(log.notes[0], "x.json:16: JSON that breaks off here (expected all of -J's file)");
}

TEST(NcclLogJson, NotesDamagedResults) {
    std::string text = report;
    auto const put = [&](std::string const& old, std::string const& now) {
        text.replace(text.find(old), old.size(), now);
    };
    put(R"("time":1.5)", R"("time":"nan")");
    put(R"("size":2097152)", R"("size":-5)");
    auto const log = parse_nccl_log(text, "x.json");
    EXPECT_EQ(log.rows.size(), 1U);
    ASSERT_EQ(log.notes.size(), 2U);
    EXPECT_EQ(log.notes[0], "x.json:9: out_of_place without a time (expected a number above 0)");
    EXPECT_EQ(log.notes[1], "x.json:16: a result without its size (expected bytes)");
}

TEST(NcclLogJson, RefusesAReportWithoutResults) {
    EXPECT_THROW(parse_nccl_log(R"({"nccl_version":22902,"results":[]})", "x.json"), ConfigError);
    EXPECT_THROW(parse_nccl_log("{", "x.json"), ConfigError);
    EXPECT_THROW(parse_nccl_log(R"({"results":[[1,[2]],{"size":[]},7,null]})", "x.json"),
                 ConfigError);
}

}  // namespace
}  // namespace nvl72
