#include "sim/collective/sweep.hpp"

#include "sim/base/error.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string>

namespace nvl72 {
namespace {

using namespace literals;

SweepAnswer answer_of(CollectiveSweep const& sweep, std::string const& cluster, std::int64_t gpus) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    ClusterChoice choice;
    choice.name = cluster;
    choice.gpus = gpus;
    Fabric const fabric = build_fabric(choice, library);
    return run_sweep(sweep, load_profile(library, fabric.gpu().name), fabric);
}

TEST(CollectiveSweepSizes, SuffixesAreBinary) {
    EXPECT_EQ(parse_test_size("-b", "512M"), 512_MiB);
    EXPECT_EQ(parse_test_size("-b", "8G"), 8_GiB);
    EXPECT_EQ(parse_test_size("-b", "1k"), 1_KiB);
    EXPECT_EQ(parse_test_size("-b", "8"), 8_B);
    EXPECT_THROW(parse_test_size("-b", "8Q"), ConfigError);
    EXPECT_THROW(parse_test_size("-b", "-8"), ConfigError);
    EXPECT_THROW(parse_test_size("-b", ""), ConfigError);
}

TEST(CollectiveSweepSizes, AllGatherCountsOneRanksPart) {
    // 1 MiB of floats over 72 ranks: 262144 / 72 = 3640, aligned to 4 elements.
    auto const answer = answer_of({CollectiveOp::all_gather, "", 1_MiB, 1_MiB}, "gb200-nvl72", 72);
    ASSERT_EQ(answer.rows.size(), 1U);
    EXPECT_EQ(answer.rows[0].count, 3640);
    EXPECT_EQ(answer.rows[0].size, Bytes{3640L * 4 * 72});
}

TEST(CollectiveSweepSizes, BuffersTooSmallForTheirRanksAreLeftOutWithANote) {
    auto const answer = answer_of({CollectiveOp::alltoall, "", 8_B, 1_KiB}, "hgx-h100", 8);
    EXPECT_EQ(answer.rows.front().size, 128_B);
    EXPECT_NE(answer.notes.front().find("sizes to 64 left out"), std::string::npos);
}

TEST(CollectiveSweepSizes, NothingLeftIsAnError) {
    EXPECT_THROW(answer_of({CollectiveOp::alltoall, "", 8_B, 8_B}, "hgx-h100", 8), ConfigError);
}

TEST(CollectiveSweepText, HasTheColumnsOfNcclTests) {
    auto const text = nccl_tests_text(
        answer_of({CollectiveOp::all_reduce, "", 512_MiB, 512_MiB}, "gb200-nvl72", 72));
    // size count type redop root, then time algbw busbw #wrong twice.
    std::vector<std::string> cells;
    std::size_t const at = text.find("   536870912");
    ASSERT_NE(at, std::string::npos);
    std::string word;
    for (char const c : text.substr(at, text.find('\n', at) - at) + " ") {
        if (c != ' ') {
            word += c;
        } else if (!word.empty()) {
            cells.push_back(word);
            word.clear();
        }
    }
    ASSERT_EQ(cells.size(), 13U);
    EXPECT_EQ(cells[1], "134217728");
    EXPECT_EQ(cells[2], "float");
    EXPECT_EQ(cells[3], "sum");
    EXPECT_EQ(cells[4], "-1");
    EXPECT_EQ(cells[8], "N/A");
    EXPECT_EQ(cells[12], "N/A");
    EXPECT_EQ(cells[5], cells[9]);
    EXPECT_NE(text.find("# stays inside the rack"), std::string::npos);
    EXPECT_NE(text.find("NICs, routing, oversubscription and more racks change nothing here"),
              std::string::npos);
}

/// "" when no note has the words.
std::string note_with(SweepAnswer const& answer, std::string_view words) {
    for (auto const& note : answer.notes) {
        if (note.find(words) != std::string::npos) return note;
    }
    return "";
}

TEST(CollectiveSweepNotes, SayWhyASumInSwitchesIsAboveTheLinks) {
    // Of 8 GPUs busbw counts 2 x 7 / 8 and a GPU sends 1 + 1 / 8: 1.556 times what the links carry.
    auto const fast = answer_of({CollectiveOp::all_reduce, "", 8_GiB, 8_GiB}, "hgx-h100", 8);
    EXPECT_GT(fast.rows[0].busbw, 450);
    auto const note = note_with(fast, "busbw above the 450 GB/s of a GPU's links");
    auto const carried = fmt::format("its links carry {:.0f} GB/s", fast.rows[0].busbw * 9 / 14);
    EXPECT_NE(note.find(carried), std::string::npos) << note;
    auto const slow = answer_of({CollectiveOp::all_reduce, "", 1_MiB, 1_MiB}, "gb200-nvl72", 72);
    EXPECT_EQ(note_with(slow, "busbw above"), "");
}

TEST(CollectiveSweepNotes, GroupsBeyondADomainDoNotStayInside) {
    auto const answer =
        answer_of({CollectiveOp::all_reduce, "", 1_MiB, 1_MiB}, "gb200-nvl72-superpod", 144);
    EXPECT_EQ(note_with(answer, "stays inside"), "");
    EXPECT_NE(note_with(answer, "spans 2 NVLink domains, 72 GPUs"), "");
}

/// What changes outside the rack changes nothing in it, and the note says so.
TEST(CollectiveSweepNotes, WhatTheySayChangesNothingDoesNot) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    auto const profile = load_profile(library, "gb200");
    ClusterChoice choice;
    choice.name = "gb200-nvl72";
    choice.gpus = 72;
    CollectiveSweep const sweep{CollectiveOp::all_reduce, "", 1_KiB, 1_GiB, 8};
    auto const as_built = run_sweep(sweep, profile, build_fabric(choice, library));
    choice.routing = Routing::ecmp;
    choice.oversubscription = 4;
    choice.nic_line_rate = BytesPerSecond{1e9};
    choice.faults.nics.push_back({{}, "gpu 5"});
    auto const changed = run_sweep(sweep, profile, build_fabric(choice, library));
    ASSERT_EQ(as_built.rows.size(), changed.rows.size());
    for (std::size_t i = 0; i < as_built.rows.size(); ++i) {
        EXPECT_EQ(as_built.rows[i].time, changed.rows[i].time);
    }
}

/// `nvlink_domain`: of 144 GPUs in smaller partitions more of an all-to-all leaves by the NICs.
TEST(NvlinkDomainSize, SmallerDomainsAreSlowerForLargeAllToAlls) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    auto const profile = load_profile(library, "gb200");
    Picoseconds before{INT64_MAX};
    for (std::int64_t const size : {8, 16, 36, 72}) {
        ClusterChoice choice;
        choice.name = "gb200-nvl72-superpod";
        choice.gpus = 144;
        choice.nvlink_domain = size;
        auto const fabric = build_fabric(choice, library);
        EXPECT_EQ(fabric.domains(), 144 / size);
        auto const answer = run_sweep({CollectiveOp::alltoall, "", 4_GiB, 4_GiB}, profile, fabric);
        EXPECT_EQ(answer.shape.ranks_per_domain, size);
        EXPECT_LT(answer.rows.at(0).time, before);
        before = answer.rows[0].time;
    }
}

/// NCCL takes a slower branch for 8 MiB on four GB200 than another would be (as measured).
TEST(CollectiveNotes, SayWhereTheTunersChoiceIsNotTheQuickest) {
    CollectiveSweep const sweep{CollectiveOp::all_reduce, "", 8_MiB, 8_MiB};
    auto const answer = answer_of(sweep, "gb200-nvl72", 4);
    auto const note = note_with(answer, "NCCL's tuner takes");
    EXPECT_NE(note.find(answer.rows.at(0).algorithm + ";"), std::string::npos) << note;
    auto const at = note.find("--algorithm ");
    ASSERT_NE(at, std::string::npos);
    auto forced = sweep;
    forced.algorithm = note.substr(at + 12, note.find(')', at) - at - 12);
    EXPECT_LT(answer_of(forced, "gb200-nvl72", 4).rows.at(0).time, answer.rows[0].time);
    EXPECT_EQ(note_with(answer_of(forced, "gb200-nvl72", 4), "NCCL's tuner takes"), "");
}

/// The time is that of the sends; what stands beside it, and why the calibrated one differs.
TEST(CollectiveSteps, StandBesideTheActivityOfTheSameLinksAndTheCalibratedTime) {
    CollectiveSweep sweep{CollectiveOp::all_reduce, "ring-simple", 1_GiB, 1_GiB};
    auto const calibrated = answer_of(sweep, "hgx-h100-superpod", 64).rows.at(0).time;
    sweep.steps = true;
    auto const answer = answer_of(sweep, "hgx-h100-superpod", 64);
    auto const& row = answer.rows.at(0);
    ASSERT_TRUE(row.beside.has_value());
    EXPECT_EQ(row.beside->calibrated, calibrated);
    EXPECT_NE(row.time, calibrated);
    EXPECT_NEAR(to_seconds(row.time) / to_seconds(row.beside->activity), 1, 1e-3);
    EXPECT_NE(note_with(answer, "an activity of the same link costs"), "");
    // 8 boxes: 2 x 7 crossings counted, 2 x 8 passed by the longest chain.
    EXPECT_NE(note_with(answer, "it counts 14 crossings between domains"), "");
    EXPECT_NE(note_with(answer, "has up to 16"), "");
    EXPECT_EQ(table_of(answer).columns().back().name, "calibrated_us");
}

/// Unfolded (steps) flows are hashed, folded ones take the stated factor; the note names which.
TEST(CollectiveRouting, EcmpIsHashedWhereUnfoldedAndStatedWhereFolded) {
    Library const library(NVL72_SOURCE_DIR "/configs");
    auto const profile = load_profile(library, "gb200");
    ClusterChoice choice;
    choice.name = "gb200-nvl72-superpod";
    choice.gpus = 144;
    choice.nic_line_rate = BytesPerSecond{5e9};  // 72 of them bind, not the ring's channels
    CollectiveSweep sweep{CollectiveOp::all_reduce, "ring-simple", 4_GiB, 4_GiB};
    auto const run = [&](Routing routing, bool steps, std::uint64_t seed) {
        choice.routing = routing;
        sweep.steps = steps;
        sweep.seed = seed;
        return run_sweep(sweep, profile, build_fabric(choice, library));
    };
    auto const folded = run(Routing::ecmp, false, 1);
    EXPECT_NE(note_with(folded, "routing ecmp, folded, at the stated 61 % of line rate"), "");
    EXPECT_LT(run(Routing::adaptive, false, 1).rows[0].time, folded.rows[0].time);
    auto const hashed = run(Routing::ecmp, true, 1);
    EXPECT_NE(note_with(hashed, "routing ecmp, unfolded: flows hashed by seed 1"), "");
    EXPECT_EQ(run(Routing::ecmp, true, 1).rows[0].time, hashed.rows[0].time);
    EXPECT_LT(run(Routing::adaptive, true, 1).rows[0].time, hashed.rows[0].time);
}

TEST(CollectiveExchange, ForcedLevelsAndExpertsAreSweptBySize) {
    CollectiveSweep sweep{CollectiveOp::alltoall, "hierarchical", 1_MiB, 4_MiB};
    auto const levels = answer_of(sweep, "gb200-nvl72-superpod", 144);
    ASSERT_EQ(levels.rows.size(), 3U);
    EXPECT_EQ(levels.rows[0].algorithm, "hierarchical");
    sweep.algorithm = "pairwise";
    EXPECT_EQ(answer_of(sweep, "gb200-nvl72-superpod", 144).rows[0].algorithm, "pairwise");
    sweep.algorithm = "";
    sweep.moe = MoeRouting{288, 8, 0};
    auto const experts = answer_of(sweep, "gb200-nvl72-superpod", 144);
    EXPECT_EQ(experts.rows[0].size, 1_MiB);  // one GPU's tokens, not rounded to parts
    EXPECT_NE(note_with(experts, "a token goes to 7.90 GPUs of 144"), "");
    EXPECT_NE(note_with(experts, "and 1.99 NVLink domains of 2"), "");
    sweep.steps = true;
    EXPECT_THROW(answer_of(sweep, "gb200-nvl72-superpod", 144), ConfigError);
}

}  // namespace
}  // namespace nvl72
