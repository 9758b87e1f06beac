#include "sim/interchange/log_folder.hpp"

#include "sim/base/error.hpp"

#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

namespace fs = std::filesystem;

KnownGpus const our_gpus{{"a100-40gb", false, 0}, {"a100-80gb", false, 0}, {"b200", false, 0},
                         {"gb200", true, 0},      {"gh200", false, 4},     {"h100", false, 0}};

constexpr char const* index_header =
    "file,collective,gpu,ngpus,nnodes,nics_per_node,nic_gbps,fabric,nvlink_domain,launch,quality,"
    "rows,notes\n";

/// 1 MiB in 100 us out of place, in 90 in place.
constexpr char const* table =
    "# nccl-tests version 2.19.6\n"
    "     1048576        262144     float     sum      -1   100.00   10.49   N/A  0  90.00  11.65  "
    " "
    "N/A  0\n"
    "           0             0     float     sum      -1     0.50    0.00   N/A  0   0.50   0.00  "
    " "
    "N/A  0\n";

class LogFolderTest : public testing::Test {
public:
    LogFolderTest() {
        auto pattern = (fs::temp_directory_path() / "nvl72-logs-XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~LogFolderTest() override { fs::remove_all(folder_); }
    LogFolderTest(LogFolderTest const&) = delete;
    LogFolderTest& operator=(LogFolderTest const&) = delete;
    LogFolderTest(LogFolderTest&&) = delete;
    LogFolderTest& operator=(LogFolderTest&&) = delete;

protected:
    void write(std::string const& name, std::string const& text) const {
        std::ofstream(folder_ / name) << text;
    }
    /// The one row of 1 MiB of a log with this row in the index.
    [[nodiscard]] MeasuredCollective row_of(std::string const& index_row) const {
        write("INDEX.csv", index_header + index_row + "\n");
        write("a.txt", table);
        return measured_rows(read_log_folder(folder_.string()).logs.at(0), our_gpus).at(0);
    }
    [[nodiscard]] std::string error() const {
        try {
            (void)read_log_folder(folder_.string());
            return "no error";
        } catch (ConfigError const& error) {
            std::string text = error.what();
            return text.substr(text.find("INDEX.csv"));
        }
    }

    fs::path folder_;
};

/// Two boxes of 8: 2 domains; 8 NICs of 400 Gb/s for 8 GPUs are 50 GB/s each.
TEST_F(LogFolderTest, JoinsTheIndexWithItsLogs) {
    auto const row = row_of("a.txt,all_reduce,H100,16,2,8,400,infiniband,8,graph,ok,2,");
    EXPECT_EQ(row.source, (folder_ / "a.txt").string());
    EXPECT_EQ(row.line, 2);
    EXPECT_EQ(row.gpu, "h100");
    EXPECT_EQ(row.query.op, CollectiveOp::all_reduce);
    EXPECT_EQ(row.query.size, Bytes{1048576});
    EXPECT_EQ(row.query.bytes_per_element, 4);
    EXPECT_EQ(row.query.shape.ranks, 16);
    EXPECT_EQ(row.query.shape.domains, 2);
    EXPECT_EQ(row.query.shape.ranks_per_domain, 8);
    EXPECT_DOUBLE_EQ(row.query.shape.per_gpu_nic.count, 50e9);
    EXPECT_DOUBLE_EQ(row.seconds, 90e-6);
    EXPECT_DOUBLE_EQ(*row.out_of_place, 100e-6);
    EXPECT_EQ(row.launch, LaunchMode::graph);
    EXPECT_EQ(row.fabric, "infiniband");
    EXPECT_EQ(row.status, RowStatus::ok);
}

/// Ten boxes with 2 of their 8 GPUs each: NVLink ends at the wall, so 10 domains, not
/// ceil(20 / 8) = 3. Trays of a rack share it: 6 trays of 4 in partitions of 8 are 3 domains.
TEST_F(LogFolderTest, CountsDomainsByBoxesOrRacks) {
    auto const boxes = row_of("a.txt,all_reduce,H100,20,10,2,400,infiniband,8,eager,ok,,").query;
    EXPECT_EQ(boxes.shape.domains, 10);
    EXPECT_EQ(boxes.shape.ranks_per_domain, 2);
    EXPECT_DOUBLE_EQ(boxes.shape.per_gpu_nic.count, 50e9);
    auto const rack = row_of("a.txt,all_reduce,GB200,24,6,4,400,infiniband,8,eager,ok,,").query;
    EXPECT_EQ(rack.shape.domains, 3);
    EXPECT_EQ(rack.shape.ranks_per_domain, 8);
    auto const one = row_of("a.txt,all_reduce,GB200,72,18,,,none,72,eager,ok,,").query;
    EXPECT_EQ(one.shape.domains, 1);
    auto const uneven = row_of("a.txt,all_reduce,GB200,100,25,4,400,roce,72,eager,ok,,").query;
    EXPECT_EQ(uneven.shape.domains, 2);
    EXPECT_EQ(uneven.shape.ranks_per_domain, 50);
}

TEST_F(LogFolderTest, SaysWhyARowIsNoYardstick) {
    auto const expect = [&](std::string const& index_row, RowStatus status, char const* reason) {
        auto const row = row_of(index_row);
        EXPECT_EQ(row.status, status) << index_row;
        EXPECT_EQ(row.reason, reason) << index_row;
    };
    expect("a.txt,all_reduce,H100,8,1,,,none,8,eager,degraded,,slow NIC", RowStatus::set_aside,
           "quality 'degraded' (slow NIC), INDEX.csv:2");
    expect("a.txt,reduce,H100,8,1,,,none,8,eager,ok,,", RowStatus::skipped,
           "operation 'reduce' is not simulated");
    expect("a.txt,all_reduce,MI300X,8,1,,,none,8,eager,ok,,", RowStatus::skipped,
           "GPU 'mi300x' is not among configs/gpus (expected --gpu, or --cluster)");
    expect("a.txt,all_reduce,A100,8,1,,,none,8,eager,ok,,", RowStatus::skipped,
           "GPU 'a100' may be a100-40gb or a100-80gb (expected --gpu)");
    expect("a.txt,all_reduce,GB200,8,2,,,none,,eager,ok,,", RowStatus::skipped,
           "not told: the GPUs of an NVLink domain (expected --nvlink-domain, --cluster, or "
           "INDEX.csv)");
    expect("a.txt,all_reduce,H100,16,,,,roce,,eager,ok,,", RowStatus::skipped,
           "not told: the GPUs of an NVLink domain (expected --nodes or --nvlink-domain, "
           "--cluster, or INDEX.csv)");
    expect("a.txt,,,16,,,,roce,,eager,ok,,", RowStatus::skipped,
           "not told: the operation, the GPU, the GPUs of an NVLink domain (expected --op, --gpu, "
           "--nodes or --nvlink-domain, --cluster, or INDEX.csv)");
    expect("a.txt,all_reduce,GB200,128,32,,,roce,64,eager,ok,,", RowStatus::defaulted,
           "NICs not told (expected --nics-per-node, --nic-gbps, --cluster, or INDEX.csv)");
    expect("a.txt,all_reduce,H100,16,2,8,,roce,,eager,ok,,", RowStatus::defaulted,
           "NICs not told (expected --nic-gbps, --cluster, or INDEX.csv)");
}

TEST_F(LogFolderTest, SkipsSizesThatMoveNothingAndTimesWithoutAFigure) {
    write("INDEX.csv",
          std::string(index_header) + "a.txt,all_reduce,H100,8,1,,,none,8,eager,ok,,\n");
    write("a.txt", std::string(table) + "2097152 524288 float sum -1 100.00 20.97 N/A 7\n");
    auto const rows = measured_rows(read_log_folder(folder_.string()).logs.at(0), our_gpus);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[1].status, RowStatus::skipped);
    EXPECT_EQ(rows[1].reason, "0 bytes: fewer elements than ranks");
    EXPECT_EQ(rows[2].status, RowStatus::skipped);
    EXPECT_EQ(rows[2].reason, "7 wrong values out of place");
}

/// The index says A100, the log's devices which.
TEST_F(LogFolderTest, LearnsTheKindOfGpuFromTheLog) {
    write("INDEX.csv",
          std::string(index_header) + "a.txt,all_reduce,A100,8,1,,,none,8,eager,ok,,\n");
    write("a.txt",
          "#  Rank  0 Pid 7 on n1 device  0 [0x07] NVIDIA A100-SXM4-40GB\n" + std::string(table));
    EXPECT_EQ(read_log_folder(folder_.string()).logs.at(0).facts.gpu, "a100-40gb");
}

TEST_F(LogFolderTest, NamesMissingAndExtraFiles) {
    write("INDEX.csv",
          std::string(index_header) + "a.txt,all_reduce,H100,8,1,,,none,8,eager,ok,5,\n");
    EXPECT_EQ(error(), "INDEX.csv:2: file: 'a.txt' is not there (expected a log in " +
                           folder_.string() + ", or the row deleted)");
    write("a.txt", table);
    write("b.log", table);
    write("README.md", "no log\n");
    auto const notes = read_log_folder(folder_.string()).notes;
    ASSERT_EQ(notes.size(), 2U);
    EXPECT_EQ(notes[0],
              (folder_ / "a.txt").string() + ": 2 rows (expected 5, as INDEX.csv:2 counts them)");
    EXPECT_EQ(notes[1],
              (folder_ / "b.log").string() + ": left aside (expected a row in INDEX.csv)");
}

TEST_F(LogFolderTest, NamesTheLineOfAMistakeInTheIndex) {
    auto const error_of = [&](std::string const& row) {
        write("INDEX.csv", index_header + row + "\n");
        write("a.txt", table);
        return error();
    };
    EXPECT_EQ(error_of("../a.txt,all_reduce,H100,8,1,,,none,8,eager,ok,,"),
              "INDEX.csv:2: file: '../a.txt' (expected the name of a log beside the index)");
    EXPECT_EQ(error_of("a.txt,all_reduce,H100,8,3,,,none,8,eager,ok,,"),
              "INDEX.csv:2: nnodes: 3 nodes of 8 GPUs (expected equal shares)");
    EXPECT_EQ(error_of("a.txt,all_reduce,H100,1,1,,,none,8,eager,ok,,"),
              "INDEX.csv:2: ngpus: fewer than 2 ranks (expected 2 or more)");
    EXPECT_EQ(error_of("a.txt,all_reduce,H100,8,1,,,none,8,lazy,ok,,").substr(0, 35),
              "INDEX.csv:2: launch: 'lazy' (expect");
    write("INDEX.csv", "name,gpu\na,b\n");
    EXPECT_EQ(error(),
              "INDEX.csv:1: name, gpu (expected the columns file, gpu, ngpus, "
              "nvlink_domain)");
}

std::string rank_line(int rank, std::string const& host) {
    return fmt::format("#  Rank  {} Group  0 Pid 7 on {} device  0 [0x07] NVIDIA B200\n", rank,
                       host);
}

TEST(LogFacts, AreWhatALogTellsByItself) {
    auto const facts =
        facts_of(parse_nccl_log(rank_line(0, "n1") + rank_line(1, "n2") + table, "x.txt"));
    EXPECT_EQ(facts.op, "");
    EXPECT_EQ(facts.gpu, "b200");
    EXPECT_EQ(facts.ranks, 2);
    EXPECT_EQ(facts.nodes, 2);
}

/// NVLink of a B200 ends at the wall of its box, so nodes tell the domains; that of a GB200 does
/// not.
TEST(LogFacts, BoxesTellTheirDomains) {
    IndexedLog log{{}, parse_nccl_log(rank_line(0, "n1") + rank_line(1, "n2") + table, "x.txt")};
    log.facts = facts_of(log.log);
    log.facts.op = "all_reduce";
    EXPECT_EQ(measured_rows(log, our_gpus).at(0).query.shape.domains, 2);
    log.facts.gpu = "gb200";
    EXPECT_EQ(measured_rows(log, our_gpus).at(0).status, RowStatus::skipped);
}

class GivenFactsTest : public testing::Test {
protected:
    GivenFactsTest() {
        given_.cluster = "mine";
        given_.gpus_per_node = 8;
        given_.of_cluster.gpu = "h100";
        given_.of_cluster.nics_per_node = 8;
        given_.of_cluster.nic_gbps = 400;
        given_.of_cluster.nvlink_domain = 8;
    }
    [[nodiscard]] std::string error(LogFacts facts) const {
        try {
            fill_facts(facts, given_, our_gpus, "x.log");
            return "no error";
        } catch (ConfigError const& error) {
            return error.what();
        }
    }
    GivenFacts given_;
};

TEST_F(GivenFactsTest, FillWhatIsLackingTheOptionsBeforeTheCluster) {
    LogFacts facts;
    facts.ranks = 16;
    given_.told.nic_gbps = 200;
    fill_facts(facts, given_, our_gpus, "x.log");
    EXPECT_EQ(facts.gpu, "h100");
    EXPECT_EQ(facts.nodes, 2);  // 16 / 8
    EXPECT_EQ(facts.nics_per_node, 8);
    EXPECT_EQ(facts.nic_gbps, 200);
    EXPECT_EQ(facts.nvlink_domain, 8);
}

TEST_F(GivenFactsTest, NeverReplaceWhatIsTold) {
    LogFacts facts;
    facts.gpu = "h100";
    facts.ranks = 8;
    facts.nodes = 4;
    facts.nic_gbps = 100;
    fill_facts(facts, given_, our_gpus, "x.log");
    EXPECT_EQ(facts.nodes, 4);
    EXPECT_EQ(facts.nic_gbps, 100);
    given_.told.ranks = 16;
    EXPECT_EQ(error(facts), "x.log: --ranks 16 (expected 8, as told here)");
    given_.told.ranks = 8;
    given_.told.launch = LaunchMode::graph;
    facts.launch = LaunchMode::eager;
    EXPECT_EQ(error(facts), "x.log: --launch graph (expected eager, as told here)");
}

TEST_F(GivenFactsTest, TakeTheClustersGpuForANameUnknownHere) {
    LogFacts facts;
    facts.gpu = "gpu of tomorrow";
    facts.ranks = 8;
    fill_facts(facts, given_, our_gpus, "x.log");
    EXPECT_EQ(facts.gpu, "h100");
}

TEST_F(GivenFactsTest, RefuseMoreRanksThanTheClusterHasGpus) {
    given_.gpus_max = 8;
    LogFacts facts;
    facts.ranks = 8;
    EXPECT_EQ(error(facts), "no error");
    facts.ranks = 9;
    EXPECT_EQ(error(facts),
              "x.log: 9 ranks on --cluster mine (expected at most 8, as it has GPUs)");
}

/// A node of four GPUs that are wired to each other has no switch planes.
TEST_F(LogFolderTest, TakesWiringFromWhatIsKnownOfTheGpu) {
    EXPECT_EQ(row_of("a.txt,all_reduce,GH200,4,1,,,none,4,eager,ok,,").query.shape.planes, 0);
    EXPECT_EQ(row_of("a.txt,all_reduce,GH200,8,1,,,none,8,eager,ok,,").query.shape.planes, 1);
    EXPECT_EQ(row_of("a.txt,all_reduce,H100,4,1,,,none,4,eager,ok,,").query.shape.planes, 1);
}

TEST(KnownGpus, AreReadFromTheClusters) {
    auto const gpus = known_gpus(Library(NVL72_SOURCE_DIR "/configs"));
    ASSERT_NE(find_gpu(gpus, "gb200"), nullptr);
    EXPECT_TRUE(find_gpu(gpus, "gb200")->spans_trays);
    EXPECT_TRUE(find_gpu(gpus, "rubin")->spans_trays);
    EXPECT_FALSE(find_gpu(gpus, "h100")->spans_trays);
    EXPECT_FALSE(find_gpu(gpus, "gh200")->spans_trays);
    EXPECT_EQ(find_gpu(gpus, "gh200")->direct, 4);
    EXPECT_EQ(find_gpu(gpus, "h100")->direct, 0);
    EXPECT_EQ(find_gpu(gpus, "mi300x"), nullptr);
}

TEST_F(GivenFactsTest, RefuseAClusterOfAnotherGpuAndUnequalNodes) {
    LogFacts facts;
    facts.gpu = "b200";
    EXPECT_EQ(error(facts), "x.log: GPUs b200 on --cluster mine (expected a cluster of that GPU)");
    facts.gpu = "";
    given_.told.ranks = 16;
    given_.told.nodes = 3;
    EXPECT_EQ(error(facts), "x.log: 3 nodes of 16 ranks (expected equal shares)");
}

/// Two tests in one file, as a script that runs several programs leaves them.
TEST(LoneLog, EachRowBelongsToItsOwnTest) {
    std::string const begin = "# nThread 1 nGpus 1 minBytes 1 maxBytes 2 step: 2(factor)\n";
    auto const path = fs::path(testing::TempDir()) / "two-tests.log";
    std::ofstream(path) << "./all_reduce_perf -b 1M\n"
                        << begin << rank_line(0, "n1") << rank_line(1, "n1") << table
                        << "# Avg bus bandwidth    : 1\n./sendrecv_perf -b 1M\n"
                        << begin << rank_line(0, "n1") << rank_line(1, "n1") << rank_line(2, "n1")
                        << rank_line(3, "n1") << table;
    auto const rows = measured_rows(read_lone_log(path.string(), {}, our_gpus), our_gpus);
    ASSERT_EQ(rows.size(), 4U);
    EXPECT_EQ(rows[0].op, "all_reduce");
    EXPECT_EQ(rows[0].query.shape.ranks, 2);
    EXPECT_EQ(rows[2].op, "sendrecv");
    EXPECT_EQ(rows[2].query.shape.ranks, 4);
}

}  // namespace
}  // namespace nvl72
