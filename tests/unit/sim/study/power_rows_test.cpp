#include "sim/study/power_rows.hpp"

#include "sim/study/validate.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Library library() { return Library(NVL72_SOURCE_DIR "/configs"); }

std::vector<ValidationRow> rows_of(std::string const& lines) {
    auto const path = testing::TempDir() + "power.csv";
    std::ofstream(path) << "system,gpus,model,metric,node_W_mean,node_W_peak,source\n" << lines;
    return validate({{ValidationKind::power}, {path}, {}, {}}, library()).rows;
}

TEST(GpuOfSystem, IsTheLongestNameThatItsWordsHold) {
    EXPECT_EQ(gpu_of_system("SMC H100 SXM immersion AC", library()), "h100");
    EXPECT_EQ(gpu_of_system("DGX GB200 NVL72", library()), "gb200");
    EXPECT_EQ(gpu_of_system("8xB200-SXM-180GB", library()), "b200");
    EXPECT_EQ(gpu_of_system("XE9680 A100 SXM 80GB", library()), "a100-80gb");
    EXPECT_EQ(gpu_of_system("MI300X", library()), "");
}

TEST(PowerRows, FollowTheFeedAndTheCoolingThatTheRowStates) {
    auto const rows = rows_of(
        "X H100 immersion,8,llama2-70b-lora,AC,7157,,\n"
        "X H100 immersion,8,llama2-70b-lora,DC,,,\n"
        "Y H100 air,8,llama2-70b-lora,AC,,,\n");
    ASSERT_EQ(rows.size(), 3U);
    for (auto const& row : rows) {
        EXPECT_EQ(row.status, "ok") << row.reason;
        EXPECT_EQ(row.metric, "node_w");
        EXPECT_EQ(row.gpu, "h100");
        ASSERT_TRUE(row.predicted);
        EXPECT_TRUE(row.spread.known());
    }
    EXPECT_LT(*rows[1].predicted, *rows[0].predicted);
    EXPECT_GT(*rows[2].predicted, *rows[0].predicted);
    EXPECT_TRUE(rows[0].scored());
    EXPECT_FALSE(rows[1].scored());  // nothing measured stands beside it
}

TEST(PowerRows, ARowWithoutItsCoolingHasThatOfASystemWhoseWordsHoldAllOfIts) {
    auto const rows = rows_of(
        "X H100 SXM immersion,8,llama2-70b-lora,AC,,,\n"
        "X H100,8,llama2-70b-lora,AC,,,\n"
        "Z H100,8,llama2-70b-lora,AC,,,\n");
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(*rows[0].predicted, *rows[1].predicted);
    EXPECT_EQ(rows[1].status, "ok");
    EXPECT_EQ(rows[2].status, "defaulted");
    EXPECT_NE(rows[2].reason.find("cooling air"), std::string::npos) << rows[2].reason;
}

TEST(PowerRows, WhatCannotBePredictedIsSkippedWithTheReasonAndStopsNoOther) {
    auto const rows = rows_of(
        "X H100,8,resnet,AC,5000,,\n"
        "X MI300X,8,llama2-70b-lora,AC,5000,,\n"
        "X H100,,llama2-70b-lora,AC,5000,,\n"
        "X H100,8,llama2-70b-lora,AC,many,,\n"
        "X H100 air,16,llama2-70b-lora,AC,5000,,\n");
    ASSERT_EQ(rows.size(), 5U);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(rows[i].status, "skipped") << i;
    EXPECT_NE(rows[0].reason.find("no layout is known"), std::string::npos) << rows[0].reason;
    EXPECT_NE(rows[1].reason.find("name a GPU"), std::string::npos) << rows[1].reason;
    EXPECT_EQ(rows[4].status, "defaulted");
    EXPECT_NE(rows[4].reason.find("layout of 8 h100"), std::string::npos) << rows[4].reason;
}

TEST(PowerRows, NoPredictionLooksAtTheMeasuredCells) {
    auto const line = [](std::string const& system, std::string const& watts) {
        return system + ",8,llama2-70b-lora,AC," + watts + ",,\n";
    };
    auto const rows =
        rows_of(line("A H100 air", "1000") + line("A H100 air", "") + line("B H100 air", "9999"));
    EXPECT_EQ(rows[0].predicted, rows[1].predicted);
    EXPECT_EQ(rows[0].predicted, rows[2].predicted);
}

}  // namespace
}  // namespace nvl72
