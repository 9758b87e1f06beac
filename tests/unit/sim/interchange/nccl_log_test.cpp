#include "sim/interchange/nccl_log.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

/// nccl-tests 2.17 on two boxes: version, test, devices, a table with five digits a time.
constexpr char const* modern = R"(# nccl-tests version 2.17.8 nccl-headers=22902 nccl-library=22902
# Collective test starting: all_gather_perf
# nThread 1 nGpus 1 minBytes 33554432 maxBytes 68719476736 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1 validation: 1 graph: 2
#
# Using devices
#  Rank  0 Group  0 Pid 2633223 on cnode3-002 device  0 [0000:1b:00] NVIDIA H100 80GB HBM3
#  Rank  1 Group  0 Pid 3871490 on cnode3-003 device  0 [0000:1b:00] NVIDIA H100 80GB HBM3
#
#                                                              out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)             (us)  (GB/s)  (GB/s)
           0             0    double    none      -1     0.25    0.00    0.00       0     0.23    0.00    0.00       0
    33554432       2097152    double    none      -1  1677.72   20.00   10.00       0  1677.72   20.00   10.00     N/A
    33554432       2097152    double    none      -1  1700.00   19.74    9.87       0  1680.00   19.97    9.99     N/A
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 10
)";

/// The columns that a bare table begins with.
constexpr char const* header =
    "#       size         count      type   redop    root     time   algbw   busbw #wrong     time "
    "  "
    "algbw   busbw #wrong\n";

NcclLog log_of(std::string const& text, LogHints const& hints = {}) {
    return parse_nccl_log(text, "x.txt", hints);
}

std::string error_of_log(std::string const& text) {
    try {
        (void)log_of(text);
        return "no error";
    } catch (ConfigError const& error) {
        return error.what();
    }
}

TEST(NcclLog, ReadsWhatTheHeaderTells) {
    auto const log = log_of(modern);
    EXPECT_EQ(log.op, "all_gather");
    EXPECT_EQ(log.ranks, 2);
    EXPECT_EQ(log.hosts, 2);
    EXPECT_EQ(log.devices, std::vector<std::string>{"NVIDIA H100 80GB HBM3"});
    EXPECT_EQ(log.nccl, "2.29.2");
    EXPECT_EQ(log.warmup, 5);
    EXPECT_EQ(log.iterations, 20);
    EXPECT_EQ(log.graph, 2);
    EXPECT_TRUE(log.notes.empty());
}

/// 32 MiB in 1677.72 us are 20.00 GB/s, of which an all-gather over 2 ranks moves half.
TEST(NcclLog, KeepsEverySizeWithItsPhysicalLine) {
    auto const log = log_of(modern);
    ASSERT_EQ(log.rows.size(), 3U);
    EXPECT_EQ(log.rows[0].bytes, 0);
    auto const& row = log.rows[1];
    EXPECT_EQ(row.line, 13);
    EXPECT_EQ(row.op, "all_gather");
    EXPECT_EQ(row.ranks, 2);
    EXPECT_EQ(row.bytes, 33554432);
    EXPECT_EQ(row.count, 2097152);
    EXPECT_EQ(row.type, "double");
    EXPECT_EQ(row.redop, "none");
    EXPECT_DOUBLE_EQ(row.out_of_place->time_us.value, 1677.72);
    EXPECT_DOUBLE_EQ(row.out_of_place->time_us.half_unit, 0.005);
    EXPECT_DOUBLE_EQ(row.in_place->busbw.value, 10);
    EXPECT_EQ(row.out_of_place->wrong, 0);
    EXPECT_FALSE(row.in_place->wrong);
    EXPECT_EQ(log.rows[2].bytes, row.bytes);  // a size measured twice stays twice
}

TEST(NcclLog, SeesThroughLaunchersAndTabs) {
    std::string const row =
        "1048576 262144 float sum -1 100.00 10.49 10.49 0 100.00 10.49 10.49 0\n";
    for (std::string const prefix : {"0: ", " 0: ", "[1,0]<stdout>:", "[1,0]<stdout>: ", "node-1: ",
                                     "[pod/nccl-0/main] ", "2025-10-10T10:10:10.123Z ", "\t"}) {
        std::string text = prefix;
        text.append(header).append(prefix).append(row);
        auto const log = log_of(text, {"all_reduce", 2});
        ASSERT_EQ(log.rows.size(), 1U) << prefix;
        EXPECT_EQ(log.rows[0].bytes, 1048576) << prefix;
        EXPECT_EQ(log.rows[0].line, 2) << prefix;
        EXPECT_TRUE(log.notes.empty()) << prefix;
    }
    auto const tabs = log_of(std::string(header) +
                             "1048576\t262144\tfloat\tsum\t-1\t100.00\t10.49\t10.49\t0\t100.00\t"
                             "10.49\t10.49\t0\r\n");
    ASSERT_EQ(tabs.rows.size(), 1U);
    EXPECT_DOUBLE_EQ(tabs.rows[0].in_place->time_us.value, 100);
}

/// NCCL_DEBUG=INFO: the host's name begins with a digit and sticks to the root and to #wrong.
TEST(NcclLog, JoinsRowsThatNcclsMessagesSplit) {
    auto const log = log_of(
        std::string("38dcf168f605:1375:1390 [1] NCCL INFO Connected all rings\n") + header +
            "   268435456      67108864     float     sum      -138dcf168f605:1375:1375 [0] NCCL "
            "INFO AllReduce: 268435456 Bytes -> Algo 1 proto 2\n"
            "38dcf168f605:1375:1375 [1] NCCL INFO AllReduce: opCount 3\n"
            "  1346.49  199.36  199.36      038dcf168f605:1375:1375 [0] NCCL INFO AllReduce\n"
            "  1346.13  199.41  199.41      0\n"
            "   536870912     134217728     float     sum      -1   2640.03  203.36  203.36      0 "
            "  2637.55  203.55  203.55      0\n",
        {"all_reduce", 2});
    ASSERT_EQ(log.rows.size(), 2U);
    EXPECT_EQ(log.rows[0].line, 3);
    EXPECT_DOUBLE_EQ(log.rows[0].out_of_place->busbw.value, 199.36);
    EXPECT_DOUBLE_EQ(log.rows[0].in_place->time_us.value, 1346.13);
    EXPECT_EQ(log.rows[1].bytes, 536870912);
    EXPECT_TRUE(log.notes.empty());
}

/// Cut after its first time, a row looks whole.
TEST(NcclLog, WaitsForTheSecondTimeOfACutRow) {
    auto const log = log_of(std::string(header) +
                            "   268435456      67108864     float     sum      -1   1346.49  "
                            "199.36  199.36      0n1:7:8 "
                            "[0] NCCL INFO x\n"
                            "  1346.13  199.41  199.41      0\n"
                            "   536870912     134217728     float     sum      -1   2640.03  "
                            "203.36  203.36      0n1:7:8 "
                            "[0] NCCL INFO x\n"
                            "# Out of bounds values : 0 OK\n");
    ASSERT_EQ(log.rows.size(), 2U);
    EXPECT_DOUBLE_EQ(log.rows[0].in_place->time_us.value, 1346.13);
    EXPECT_FALSE(log.rows[1].in_place);
    EXPECT_TRUE(log.notes.empty());
}

/// Newer messages carry a time, and warnings the source file.
TEST(NcclLog, LeavesStampedMessagesAndWarningsOut) {
    auto const log = log_of(
        std::string(header) +
        "     1048576        262144     float     sum      -1[2025-05-05 10:00:00] n1:7:8 [0] NCCL "
        "INFO x\n[2025-05-05 10:00:00] n1:7:8 [0] misc/socket.cc:55 NCCL WARN y\n"
        "   100.00   10.49   10.49      0   100.00   10.49   10.49      0\n");
    ASSERT_EQ(log.rows.size(), 1U);
    EXPECT_DOUBLE_EQ(log.rows[0].in_place->algbw.value, 10.49);
    EXPECT_TRUE(log.notes.empty());
}

TEST(NcclLog, ReadsTablesWithFewerColumns) {
    // One time, as the header says; no root; sizes as -b writes them.
    auto const one = log_of(
        "#       size         count      type   redop     time   algbw   busbw\n"
        "  1024M  268435456 float sum 2489.71 431.27 646.91\n"
        "  1G  268435456 float sum 2489.71 431.27 646.91\n",
        {"all_reduce", 4});
    ASSERT_EQ(one.rows.size(), 2U);
    EXPECT_EQ(one.rows[0].bytes, std::int64_t{1} << 30);
    EXPECT_EQ(one.rows[1].bytes, std::int64_t{1} << 30);
    EXPECT_FALSE(one.rows[0].in_place);
    EXPECT_FALSE(one.rows[0].out_of_place->wrong);
    EXPECT_TRUE(one.notes.empty());
    // The header promises two times, the rows hold one.
    auto const typed =
        log_of(std::string(header) + "1073741824 268435456 float sum -1 2607.1 411.85 720.74 0\n");
    EXPECT_FALSE(typed.rows.at(0).in_place);
    EXPECT_EQ(typed.rows.at(0).out_of_place->wrong, 0);
}

TEST(NcclLog, ReadsRowsWithoutAnyHeader) {
    for (std::string const row :
         {"1048576 262144 float sum -1 100.0 10.49 10.49 0 100.0 10.49 10.49 0",
          "1048576 262144 float sum -1 100.0 10.49 10.49 0",
          "1048576 262144 float sum -1 100.0 10.49 10.49",
          "1048576 262144 float sum 100.0 10.49 10.49 0",
          "1048576 262144 float sum 100.0 10.49 10.49"}) {
        auto const log = log_of("some mail\n" + row);
        ASSERT_EQ(log.rows.size(), 1U) << row;
        EXPECT_EQ(log.rows[0].line, 2);
        EXPECT_DOUBLE_EQ(log.rows[0].out_of_place->time_us.value, 100) << row;
        EXPECT_EQ(log.rows[0].ranks, 0);
        EXPECT_TRUE(log.op.empty());
    }
}

/// Before nccl-tests 2.13 the column holds the largest deviation: 1e-06 is right for float, which
/// may be off by 1e-5; 2e-02 is not.
TEST(NcclLog, TellsDeviationsFromWrongValues) {
    auto const log = log_of(
        "#       size         count      type   redop     time   algbw   busbw  error     time   "
        "algbw   busbw  error\n"
        "        4096          1024     float     sum    93.73    0.04    0.09  1e-06    93.15    "
        "0.04    0.09  2e-02\n");
    ASSERT_EQ(log.rows.size(), 1U);
    EXPECT_TRUE(log.rows[0].out_of_place);
    EXPECT_FALSE(log.rows[0].in_place);
}

TEST(NcclLog, DropsTimesWithWrongResults) {
    auto const log =
        log_of(std::string(header) +
               "1048576 262144 float sum -1 1566.5 0.67 1.34 20736 2089.6 0.50 1.00 0\n"
               "1048576 262144 float sum -1 1566.5 0.67 1.34 1e+04 2089.6 0.50 1.00 2e+00\n"
               "1048576 262144 float sum -1 1566.5 0.67 1.34 0e+00 2089.6 0.50 1.00 N/A\n");
    ASSERT_EQ(log.rows.size(), 3U);
    EXPECT_FALSE(log.rows[0].out_of_place);
    EXPECT_TRUE(log.rows[0].in_place);
    EXPECT_EQ(log.rows[0].dropped, "20736 wrong values out of place");
    EXPECT_EQ(log.rows[1].dropped, "10000 wrong values out of place; 2 wrong values in place");
    EXPECT_TRUE(log.rows[2].out_of_place && log.rows[2].in_place);
}

/// -I adds four columns to each time, -T a column of two words.
TEST(NcclLog, SkipsColumnsOfSpreadAndTimestamps) {
    auto const log = log_of(
        "#       size         count      type   redop    root  cputime   algbw   busbw  #wrong    "
        "i_min    i_max    i_p99    i_cv%  cputime   algbw   busbw  #wrong    i_min    i_max    "
        "i_p99    i_cv%            timestamp\n"
        "     1048576        262144     float     sum      -1   100.00   10.49   10.49       0     "
        "1.00     2.00     3.00     4.00   200.00    5.24    5.24       0     1.00     2.00     "
        "3.00     4.00  2025-10-10 10:10:10\n");
    ASSERT_EQ(log.rows.size(), 1U);
    EXPECT_DOUBLE_EQ(log.rows[0].out_of_place->time_us.value, 100);
    EXPECT_DOUBLE_EQ(log.rows[0].in_place->time_us.value, 200);
    EXPECT_TRUE(log.notes.empty());
}

/// rccl-tests on AMD's GPUs: a version line of its own, an asterisk at too large errors.
TEST(NcclLog, ReadsRcclTests) {
    auto const log = log_of(
        "rccl-tests: Version develop:83d38d9\n# Using devices\n"
        "#   Rank  0 Pid  37300 on   g100n126 device  0 [0000:05:00.0] AMD Instinct MI300X\n"
        "#   Rank  1 Pid  37300 on   g100n126 device  1 [0000:33:00.0] AMD Instinct MI300X\n" +
        std::string(header) +
        "     8388608       2097152     float     sum       0    91.10   92.08   92.08  1e+00*    "
        "94.94   88.36   88.36      0\n");
    EXPECT_EQ(log.devices, std::vector<std::string>{"AMD Instinct MI300X"});
    EXPECT_EQ(log.ranks, 2);
    EXPECT_FALSE(log.rows.at(0).out_of_place);
    EXPECT_TRUE(log.rows.at(0).in_place);
}

/// Two tests in one file, the first named only where it ends.
TEST(NcclLog, NamesTheOperationOfEachRow) {
    std::string const row = "1048576 262144 float sum -1 100.0 10.49 10.49 0 100.0 10.49 10.49 0\n";
    auto const log = log_of(header + row + "# Collective test concluded: broadcast_perf\n" +
                            "# Collective test starting: sendrecv_perf\n" + header + row);
    ASSERT_EQ(log.rows.size(), 2U);
    EXPECT_EQ(log.rows[0].op, "broadcast");
    EXPECT_EQ(log.rows[1].op, "sendrecv");
    auto const command =
        log_of("$ mpirun -np 2 ./build/hypercube_perf -b 1M\n" + std::string(header) + row);
    EXPECT_EQ(command.op, "hypercube");
}

TEST(NcclLog, TakesHintsBeforeTheLogsOwnWord) {
    auto const log = log_of(modern, {"alltoall", 1});
    EXPECT_EQ(log.op, "alltoall");
    EXPECT_EQ(log.rows[0].ranks, 1);
    EXPECT_EQ(log.notes.at(0), "x.txt:12: rows of all_gather (expected alltoall)");
}

TEST(NcclLog, NotesDamagedRowsAndKeepsTheOthers) {
    std::string const whole =
        "1048576 262144 float sum -1 100.0 10.49 10.49 0 100.0 10.49 10.49 0\n";
    auto const log =
        log_of(std::string(header) + whole +
               "2097152 524288 float sum -1 1x0.0 10.49 10.49 0 100.0 10.49 10.49 0\n"
               "4194304 1048576 flaat sum -1 100.0 10.49 10.49 0 1.0 1.49 10.49 0\n"
               "8388608 2097152 float sum -1 0.00 10.49 10.49 0 100.0 10.49 10.49 0\n" +
               whole + "16777216 4194304 float sum -1 100.0 167.77\n");
    EXPECT_EQ(log.rows.size(), 2U);
    ASSERT_EQ(log.notes.size(), 4U);
    EXPECT_EQ(log.notes[0], "x.txt:3: time '1x0.0' (expected a number)");
    EXPECT_EQ(log.notes[1].substr(0, 37), "x.txt:4: type 'flaat' (expected int8 ");
    EXPECT_EQ(log.notes[2], "x.txt:5: time '0.00' (expected a time above 0)");
    EXPECT_EQ(log.notes[3],
              "x.txt:7: a row of 7 columns (expected 13: size count type redop root time algbw "
              "busbw wrong time algbw busbw wrong)");
}

/// 1 MiB in 100 us are 10.49 GB/s (10.81 is 3 % more, 10.6 1 %); over 4 ranks an all-reduce's bus
/// bandwidth is 1.5 times that.
TEST(NcclLog, NotesBandwidthsThatSizeAndTimeDoNotGive) {
    auto const log =
        log_of(std::string(header) +
                   "1048576 262144 float sum -1 100.0 10.49 15.73 0 100.0 10.6 15.9 0\n"
                   "1048576 262144 float sum -1 100.0 10.81 15.73 0 100.0 10.49 15.73 0\n"
                   "1048576 262144 float sum -1 100.0 10.49 15.73 0 100.0 10.49 20.98 0\n"
                   "8 2 float sum -1 100.0 0.00 0.00 0 100.0 0.00 0.00 0\n",
               {"all_reduce", 4});
    EXPECT_EQ(log.rows.size(), 4U);
    ASSERT_EQ(log.notes.size(), 2U);
    EXPECT_EQ(log.notes[0], "x.txt:3: algbw 10.81 (expected 10.49: 1048576 bytes in 100 us)");
    EXPECT_EQ(log.notes[1],
              "x.txt:4: busbw 20.98 (expected 15.73: all_reduce of 1048576 bytes over 4 ranks in "
              "100 us)");
}

TEST(NcclLog, NamesTheLineOfALogWithoutAWholeRow) {
    EXPECT_EQ(error_of_log(""),
              "x.txt:1: the end, without a row of measurements (expected nccl-tests' table: size "
              "count type redop root time algbw busbw #wrong ...)");
    EXPECT_EQ(error_of_log(std::string("\n\n") + header + "8 2 float sum\n"),
              "x.txt:4: a row of 4 columns (expected 13: size count type redop root time algbw "
              "busbw wrong time algbw busbw wrong); no row is whole");
    EXPECT_EQ(error_of_log(std::string(header) + "0 0 float sum -1 1 0 0 0 1 0 0 0\n"),
              "x.txt:2: rows of 0 bytes (expected one row with right results)");
    EXPECT_EQ(error_of_log(std::string(header) + "8 2 float sum -1 1 0.01 0.01 3\n"),
              "x.txt:2: 3 wrong values out of place (expected one row with right results)");
}

TEST(NcclLog, IsKnownByContent) {
    EXPECT_TRUE(is_nccl_log_text(modern));
    EXPECT_TRUE(is_nccl_log_text("1048576 262144 float sum -1 100.0 10.49 10.49 0\n"));
    EXPECT_FALSE(is_nccl_log_text("gpu,collective,gpus,type,bytes,time_us\nh100,x,8,half,8,1\n"));
    EXPECT_FALSE(is_nccl_log_text("systems:\n  - name: gb200-nvl72\n"));
    EXPECT_FALSE(is_nccl_log_text("{\"hidden_size\": 4096}"));
    EXPECT_FALSE(is_nccl_log_text(""));
}

TEST(NcclLog, KnowsTheBusFactors) {
    EXPECT_DOUBLE_EQ(*bus_factor("all_reduce", 8), 1.75);
    EXPECT_DOUBLE_EQ(*bus_factor("alltoall", 8), 0.875);
    EXPECT_DOUBLE_EQ(*bus_factor("sendrecv", 0), 1);
    EXPECT_FALSE(bus_factor("all_reduce", 0));
    EXPECT_FALSE(bus_factor("hypercube", 8));
}

}  // namespace
}  // namespace nvl72
