#include "sim/study/validate.hpp"

#include "sim/base/error.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Library library() { return Library(NVL72_SOURCE_DIR "/configs"); }

std::string written(std::string const& name, std::string const& text) {
    auto const path = std::filesystem::path(testing::TempDir()) / name;
    std::ofstream(path) << text;
    return path.string();
}

std::vector<ValidationRow> rows_of(std::string const& path,
                                   ValidationKind kind,
                                   std::string const& gpu = "") {
    GivenFacts given;
    given.told.gpu = gpu;
    return validate({{kind}, {path}, {}, given}, library()).rows;
}

TEST(Validate, PricesEveryRowInInputOrderWithItsPhysicalLine) {
    auto const rows = rows_of(written("kernels.csv",
                                      "# a comment\n"
                                      "attn_dtype,kv_dtype,batch,isl,step,heads,kv_heads,time_us\n"
                                      "bfloat16,bfloat16,1,1024,0,32,8,100\n"
                                      "bfloat16,bfloat16,2,1024,0,32,8,100\n"),
                              ValidationKind::kernels, "h100");
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].line, 3);
    EXPECT_EQ(rows[1].line, 4);
    EXPECT_EQ(rows[0].gpu, "h100");
    EXPECT_EQ(rows[0].part, "attention bf16");
    EXPECT_EQ(rows[0].status, "ok");
    EXPECT_TRUE(rows[0].spread.known());
    ASSERT_TRUE(rows[0].error());
    EXPECT_DOUBLE_EQ(*rows[0].error(), *rows[0].predicted / 100 - 1);
    EXPECT_GT(*rows[1].predicted, *rows[0].predicted);  // twice the work
}

TEST(Validate, ARowOfTheShippedTablesIsInTheFitAndAnotherTimeIsNot) {
    // configs/measurements/kernels/gemm-h100.csv: bf16, m 1, n 1024, k 1024, 4.049 us.
    std::string const header = "dtype,m,n,k,time_us\n";
    auto const rows = rows_of(written("gemm.csv", header + "bfloat16,1,1024,1024,4.049\n"
                                                           "bfloat16,1,1024,1024,5\n"),
                              ValidationKind::kernels, "h100");
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_TRUE(rows[0].in_fit);
    EXPECT_FALSE(rows[1].in_fit);
    EXPECT_EQ(rows[0].basis, "on-grid");
    EXPECT_EQ(rows[0].predicted, rows[1].predicted);  // what was measured is not looked at
}

TEST(Validate, AnyTableMaySetARowAsideAndLosesNoOtherToABadOne) {
    auto const kernels = rows_of(written("aside.csv",
                                         "dtype,m,n,k,time_us,aside\n"
                                         "bfloat16,1,1024,1024,4,throttled\n"
                                         "bfloat16,1,1024\n"
                                         "bfloat16,1,1024,1024,4,\n"),
                                 ValidationKind::kernels, "h100");
    ASSERT_EQ(kernels.size(), 3U);
    EXPECT_EQ(kernels[0].status, "set_aside");
    EXPECT_EQ(kernels[0].reason, "throttled");
    EXPECT_TRUE(kernels[0].predicted);
    EXPECT_EQ(kernels[1].status, "skipped");
    EXPECT_EQ(kernels[1].line, 3);
    EXPECT_NE(kernels[1].reason.find("aside.csv:3: 3 fields"), std::string::npos);
    EXPECT_EQ(kernels[2].status, "ok");
    std::string const start = "GB200,llama3-8b,FP8,8,128,2,1,1,1,1,,30000,26.06,8192,";
    auto const training =
        rows_of(written("runs.csv",
                        "system,model,precision,gpus,gbs,mbs,tp,pp,cp,vp,ga,"
                        "tokens_per_s_per_gpu,release,seq_len,quality\n" +
                            start + "ok\n" + start + "bad\nGB200,llama3-8b,FP8,8,12\n" +
                            "GB200,mamba-9b,FP8,8,128,2,1,1,1,1,,30000,26.06,8192,ok\n" +
                            "GB200,llama3-8b,FP7,8,128,2,1,1,1,1,,30000,26.06,8192,ok\n"),
                ValidationKind::training);
    ASSERT_EQ(training.size(), 5U);
    EXPECT_EQ(training[0].status, "defaulted");  // the model is named by its generation
    EXPECT_EQ(training[1].status, "set_aside");
    EXPECT_EQ(training[1].predicted, training[0].predicted);
    for (std::size_t row : {2U, 3U, 4U}) {
        EXPECT_EQ(training[row].status, "skipped") << row;
        EXPECT_NE(training[row].reason.find("runs.csv:"), std::string::npos) << row;
    }
}

TEST(Validate, WhatTheGpuLacksIsSkippedWithTheReason) {
    auto const rows = rows_of(written("fp4.csv", "dtype,m,n,k,time_us\nnvfp4,16,1024,1024,4\n"),
                              ValidationKind::kernels, "h100");
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].status, "skipped");
    EXPECT_NE(rows[0].reason.find("no nvfp4 GEMM"), std::string::npos) << rows[0].reason;
    EXPECT_FALSE(rows[0].scored());
    EXPECT_EQ(*rows[0].measured, 4);
}

TEST(Validate, AThreadThatLaunchesForEightGpusIsPredictedSo) {
    auto const rows = rows_of(
        written(
            "launch.csv",
            "gpu,collective,type,gpus,bytes,time_us,launch,gpus_per_thread\n"
            "h100,all_reduce,float,8,8192,40,eager,8\nh100,all_reduce,float,8,8192,30,graph,8\n"
            "h100,all_reduce,float,8,8192,16,eager,1\nh100,all_reduce,float,8,8192,16,threads,\n"),
        ValidationKind::collectives);
    ASSERT_EQ(rows.size(), 4U);
    for (auto const& row : rows) EXPECT_EQ(row.status, "ok");
    EXPECT_GT(*rows[0].predicted, 8 * 4);  // eight launches of more than 4 us
    EXPECT_LT(*rows[1].predicted, *rows[0].predicted);
    EXPECT_LT(*rows[2].predicted, *rows[1].predicted);
    EXPECT_EQ(rows[2].predicted, rows[3].predicted);
}

TEST(Validate, AnAlgorithmThatTheRunForcedIsTheOnePredicted) {
    auto const rows = rows_of(written("forced.csv",
                                      "gpu,collective,type,gpus,bytes,time_us,algorithm\n"
                                      "h100,all_reduce,float,8,1073741824,5000,ring-ll128\n"
                                      "h100,all_reduce,float,8,1073741824,4000,\n"),
                              ValidationKind::collectives);
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].part, "collectives ring-ll128");
    EXPECT_EQ(rows[1].part, "collectives nvls");
}

TEST(Validate, TheFabricOfARowIsItsOwn) {
    auto const rows = rows_of(
        written("fabrics.csv",
                "gpu,collective,type,gpus,domains,nic_gbps,bytes,time_us,fabric\n"
                "h100,all_reduce,float,16,2,400,8,25,infiniband\n"
                "h100,all_reduce,float,16,2,400,8,65,efa\nh100,all_reduce,float,16,2,400,8,25,\n"),
        ValidationKind::collectives);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_GT(*rows[1].predicted, 2 * *rows[0].predicted);
    EXPECT_NE(rows[1].basis.find("efa as other sites calibrated it"), std::string::npos);
    EXPECT_NE(rows[2].basis.find("only NIC count and line rate known"), std::string::npos);
}

TEST(Validate, NothingMeasuredIsAnError) {
    auto const path = written("other.csv", "city,people\nBern,1\n");
    EXPECT_THROW((void)rows_of(path, ValidationKind::kernels), ConfigError);
}

ValidationRow row(double measured, double predicted, Spread spread) {
    ValidationRow made;
    made.table = "kernels";
    made.source = "t.csv";
    made.part = "gemm bf16";
    made.measured = measured;
    made.predicted = predicted;
    made.spread = spread;
    return made;
}

TEST(ValidationSummary, CountsErrorsAndWhatLiesInTheInterval) {
    // Errors +10 %, -20 %, 0 %; 1/1.1 and 1 lie in [0.9, 1.1], 1/0.8 does not.
    Spread const spread{0.9, 1.1};
    auto skipped = row(1, 9, spread);
    skipped.status = "set_aside";
    auto const all = summarise(
        {row(1, 1.1, spread), row(1, 0.8, spread), row(1, 1, spread), skipped}, GroupBy::part);
    ASSERT_EQ(all.size(), 1U);
    auto const& part = all[0];
    EXPECT_EQ(part.rows, 4U);
    EXPECT_EQ(part.scored, 3U);
    EXPECT_NEAR(part.mape, 0.1, 1e-12);
    EXPECT_NEAR(part.median, 0.1, 1e-12);
    EXPECT_NEAR(part.worst, 0.2, 1e-12);
    EXPECT_NEAR(part.bias, 0, 1e-12);
    EXPECT_NEAR(*part.covered, 2.0 / 3, 1e-12);
    EXPECT_NEAR(*part.width, 0.2, 1e-12);
}

ValidationRow collective(std::int64_t domains, std::int64_t gpus, std::int64_t bytes) {
    auto made = row(1, 1.1, {0.9, 1.1});
    made.table = "collectives";
    made.gpu = "b200";
    made.gpus = gpus;
    made.domains = domains;
    made.bytes = bytes;
    made.fabric = "roce";
    return made;
}

TEST(ValidationSummary, PartsCollectivesByWhereTheyRunAndBySize) {
    auto const group_of = [](ValidationRow const& one) {
        auto const groups = summarise({one}, GroupBy::size_class);
        return groups.empty() ? "none" : groups[0].group + (groups[0].gpu.empty() ? "" : " of one");
    };
    std::int64_t const mib = 1 << 20;
    EXPECT_EQ(group_of(collective(1, 8, 511)), "in box or tray < 512 B of one");
    EXPECT_EQ(group_of(collective(1, 8, 512)), "in box or tray 512 B-512 MiB of one");
    EXPECT_EQ(group_of(collective(1, 72, 512 * mib)), "in rack 512 B-512 MiB");
    EXPECT_EQ(group_of(collective(1, 72, 512 * mib + 1)), "in rack > 512 MiB");
    EXPECT_EQ(group_of(collective(2, 16, mib - 1)), "across < 1 MiB, roce");
    EXPECT_EQ(group_of(collective(2, 16, mib)), "across 1-256 MiB, roce");
    EXPECT_EQ(group_of(collective(2, 16, 256 * mib)), "across >= 256 MiB, roce");
    EXPECT_EQ(group_of(row(1, 1, {})), "none");  // a kernel
}

TEST(Validate, TheElementTypeIsAsTheTableSays) {
    auto const rows = rows_of(written("half.csv",
                                      "gpu,collective,type,gpus,bytes,time_us\n"
                                      "h100,all_reduce,half,8,1048576,40\n"),
                              ValidationKind::collectives);
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].precision, "half");
}

TEST(ValidationTable, ItsColumnsAreThoseThatScriptsDependOn) {
    auto const text = validation_table({row(2, 1, {0.5, 4})}).csv();
    EXPECT_TRUE(text.starts_with(
        "table,source,line,metric,unit,gpu,gpus,subject,precision,bytes,measured,predicted,p10,p90,"
        "error,basis,basis_share,in_fit,status,reason,bound_by,profile,recipe"))
        << text;
    EXPECT_NE(text.find(",2,1,0.5,4,-0.5,"), std::string::npos) << text;
}

}  // namespace
}  // namespace nvl72
