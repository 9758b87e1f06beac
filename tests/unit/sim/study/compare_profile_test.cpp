// What a part that differs may mean: rule by rule.
#include "sim/study/compare_profile.hpp"

#include "sim/collective/collective.hpp"
#include "sim/cost/profile.hpp"

#include <gtest/gtest.h>
#include <variant>

namespace nvl72 {
namespace {

Library const& library() {
    static Library const configs(NVL72_SOURCE_DIR "/configs");
    return configs;
}

Profile const& h100() {
    static Profile const profile = load_profile(library(), "h100");
    return profile;
}

/// Collectives of 8 H100s that take `times` what `algorithm` ("": the tuner's) is priced at.
MeasuredData box_of(
    CollectiveOp op, std::int64_t from, std::int64_t to, std::string_view algorithm, double times) {
    MeasuredData data;
    data.gpu = "h100";
    GroupShape shape;
    shape.ranks = shape.ranks_per_domain = 8;
    shape.planes = shape.planes_up = 4;
    shape.in_domain = h100().collectives->nvlink;
    for (std::int64_t bytes = from; bytes <= to; bytes *= 2) {
        CollectiveSample sample;
        sample.gpu = "h100";
        sample.query = plan_collective(h100(), op, Bytes{bytes}, shape, 2, algorithm).query;
        sample.seconds = times * to_seconds(cost(h100(), sample.query, Load::burst).time);
        data.collectives.push_back(sample);
    }
    return data;
}

constexpr std::int64_t mib = 1 << 20;

/// The only part's, which must differ.
std::string reason_of(MeasuredData const& data, std::string const& profile = "h100") {
    auto const comparison = compare_profile(data, library(), profile);
    EXPECT_EQ(comparison.parts.size(), 1U);
    EXPECT_TRUE(comparison.parts.at(0).differs);
    return comparison.parts.at(0).reason;
}

std::string verdict_of(MeasuredData const& data) {
    auto const table = table_of(compare_profile(data, library(), "h100"));
    for (std::size_t i = 0; i < table.columns().size(); ++i) {
        if (table.columns()[i].name == "verdict") return std::get<std::string>(table.at(0, i));
    }
    return "no column verdict";
}

bool says(std::string const& text, std::string_view words) {
    return text.find(words) != std::string::npos;
}

TEST(CompareRules, NvlsIsOffOnlyWhereAllReduceRunsAtTheRingsRate) {
    auto const large = [](CollectiveOp op, std::string_view algorithm, double times) {
        return reason_of(box_of(op, 64 * mib, 1024 * mib, algorithm, times));
    };
    EXPECT_TRUE(says(large(CollectiveOp::all_reduce, "ring-simple", 1), "NVLS is off"));
    // Half as quick as the ring: something else is wrong.
    auto const slower = large(CollectiveOp::all_reduce, "ring-simple", 2);
    EXPECT_FALSE(says(slower, "NVLS")) << slower;
    EXPECT_TRUE(says(slower, "degraded link")) << slower;
    // An all-gather takes no NVLS unasked, and is slow by itself.
    auto const gather = large(CollectiveOp::all_gather, "ring-simple", 2);
    EXPECT_FALSE(says(gather, "NVLS")) << gather;
    // Between 1 and 8 MiB latency still counts: the ring tells nothing of NVLS.
    auto const middle =
        reason_of(box_of(CollectiveOp::all_reduce, 2 * mib, 4 * mib, "ring-simple", 2));
    EXPECT_FALSE(says(middle, "NVLS")) << middle;
    EXPECT_TRUE(says(middle, "tuner")) << middle;
}

TEST(CompareRules, QuickerIsNoFaultOfTheMachine) {
    auto const data = box_of(CollectiveOp::all_gather, 64 * mib, 1024 * mib, "", 0.5);
    EXPECT_EQ(verdict_of(data), "quicker");
    auto const reason = reason_of(data);
    EXPECT_TRUE(says(reason, "NCCL")) << reason;
    EXPECT_FALSE(says(reason, "degraded")) << reason;
    auto const slow = box_of(CollectiveOp::all_gather, 64 * mib, 1024 * mib, "", 2);
    EXPECT_EQ(verdict_of(slow), "slower");
    EXPECT_TRUE(says(reason_of(slow), "degraded"));
    // Below 1 MiB the launch decides, whichever is quicker.
    for (double const times : {0.3, 3.0}) {
        auto const small = reason_of(box_of(CollectiveOp::all_gather, 4096, 65536, "", times));
        EXPECT_TRUE(says(small, "launch mode")) << small;
    }
}

TEST(CompareRules, KernelsSayClocksOrLibrary) {
    MeasuredData data;
    data.gpu = "h100";
    Query const gemm = Gemm{Precision::bf16, 4096, 4096, 4096};
    double const priced = to_seconds(cost(h100(), gemm, Load::burst).time);
    data.samples.push_back({"h100", gemm, 2 * priced, 1});
    EXPECT_TRUE(says(reason_of(data), "lower clocks"));
    EXPECT_EQ(verdict_of(data), "slower");
    data.samples.back().seconds = priced / 2;
    EXPECT_TRUE(says(reason_of(data), "higher clocks"));
    EXPECT_EQ(verdict_of(data), "quicker");
}

}  // namespace
}  // namespace nvl72
