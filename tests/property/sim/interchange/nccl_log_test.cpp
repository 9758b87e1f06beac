#include "sim/interchange/nccl_log.hpp"

#include "sim/base/error.hpp"
#include "sim/base/random.hpp"

#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

constexpr char const* text_log =
    "# nThread 1 nGpus 4 minBytes 8 maxBytes 64 step: 2(factor) warmup iters: 5 iters: 20\n"
    "# Collective test starting: all_reduce_perf\n"
    "#  Rank  0 Group  0 Pid   1375 on 38dcf168f605 device  0 [0000:41:00] NVIDIA H100 80GB HBM3\n"
    "#  Rank  1 Group  0 Pid   1375 on 38dcf168f605 device  1 [0000:44:00] NVIDIA H100 80GB HBM3\n"
    "NCCL version 2.26.6+cuda12.8\n"
    "#       size         count      type   redop    root     time   algbw   busbw #wrong     time "
    " "
    " algbw   busbw #wrong\n"
    "   268435456      67108864     float     sum      -138dcf168f605:1375:1375 [0] NCCL INFO x\n"
    "  1346.49  199.36  199.36      038dcf168f605:1375:1375 [0] NCCL INFO AllReduce\n"
    "  1346.13  199.41  199.41      0\n"
    "[1,0]<stdout>:   536870912     134217728     float     sum      -1   2640.03  203.36  203.36  "
    " "
    "   0   2637.55  203.55  203.55    N/A\n"
    "0:   1G     268435456     float     sum      -1   5222.92  205.58  205.58  0e+00   5218.49  "
    "205.76  205.76      0\n"
    "# Out of bounds values : 0 OK\n";

constexpr std::size_t json_rows = 6;

std::string json_log() {
    std::string text =
        "{\"version\":3,\"args\":[\"all_reduce_perf\"],\"nccl_version\":22902,\n\"config\":{"
        "\"nthreads\":1,\"ngpus\":1,\"graph\":0,\"devices\":[{\"rank\":0,\"hostname\":\"n\","
        "\"device_info\":\"NVIDIA B200\"}]},\"results\":[\n";
    for (std::size_t row = 0; row < json_rows; ++row) {
        text +=
            "{\"size\":1048576,\"count\":262144,\"type\":\"float\",\"redop\":\"sum\",\n"
            "\"out_of_place\":{\"time\":100.0,\"alg_bw\":10.48,\"bus_bw\":10.48,\"nwrong\":0.0},"
            "\n\"in_place\":{\"time\":1e2,\"alg_bw\":10.48,\"bus_bw\":10.48,\"nwrong\":null}}";
        text += row + 1 < json_rows ? ",\n" : "]}\n";
    }
    return text;
}

/// One to four cuts, flips and copies.
std::string mutated(std::string text, RandomStream& random) {
    static std::string const letters = "0129.-eN/#\t\n\r :[]{}\",\xffKx";
    for (auto left = 1 + random.below(4); left > 0 && !text.empty(); --left) {
        auto const at = random.below(text.size());
        auto const length = 1 + random.below(random.below(4) == 0 ? text.size() : 20);
        switch (random.below(4)) {
            case 0: text.erase(at, length); break;
            case 1: text[at] = letters[random.below(letters.size())]; break;
            case 2: text[at] = static_cast<char>(random.below(256)); break;
            default: text.insert(random.below(text.size()), text.substr(at, length));
        }
    }
    return text;
}

/// A message that names file and line: "x.txt:12: ...".
bool names_a_line(std::string const& message) {
    return message.starts_with("x.txt:") && message.size() > 6 && message[6] >= '1' &&
           message[6] <= '9';
}

void expect_sane(NcclLog const& log) {
    EXPECT_FALSE(log.rows.empty());
    for (auto const& row : log.rows) {
        EXPECT_GT(row.line, 0);
        EXPECT_GE(row.bytes, 0);
        for (auto const& time : {row.out_of_place, row.in_place}) {
            if (time) {
                EXPECT_TRUE(std::isfinite(time->time_us.value) && time->time_us.value > 0);
            }
        }
    }
    for (auto const& note : log.notes) EXPECT_TRUE(names_a_line(note)) << note;
}

/// Whatever is cut, flipped or copied: sane rows and notes, or a message that names the line.
void damage(std::string const& original, char const* name) {
    constexpr int cases = 300;
    int refused = 0, noted = 0;
    for (int seed = 0; seed < cases; ++seed) {
        RandomStream random(static_cast<std::uint64_t>(seed), name);
        auto const text = mutated(original, random);
        SCOPED_TRACE(testing::Message() << "seed " << seed << ":\n" << text);
        (void)is_nccl_log_text(text);
        try {
            auto const log = parse_nccl_log(text, "x.txt", {"all_reduce", 2});
            expect_sane(log);
            noted += log.notes.empty() ? 0 : 1;
        } catch (ConfigError const& error) {
            EXPECT_TRUE(names_a_line(error.what())) << error.what();
            ++refused;
        }
    }
    // The mutations bite, and most leave something to read.
    EXPECT_GT(refused, 0);
    EXPECT_GT(noted, cases / 10);
    EXPECT_LT(refused, cases * 2 / 3);
}

TEST(NcclLogDamage, OfTextLeavesRowsNotesOrALineNumber) { damage(text_log, "text"); }

TEST(NcclLogDamage, OfJsonLeavesRowsNotesOrALineNumber) { damage(json_log(), "json"); }

TEST(NcclLogDamage, LeavesTheOriginalWhole) {
    EXPECT_EQ(parse_nccl_log(text_log, "x.txt").rows.size(), 3U);
    EXPECT_TRUE(parse_nccl_log(text_log, "x.txt").notes.empty());
    EXPECT_EQ(parse_nccl_log(json_log(), "x.txt").rows.size(), json_rows);
}

}  // namespace
}  // namespace nvl72
