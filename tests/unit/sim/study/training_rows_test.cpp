#include "sim/study/training_rows.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Library library() { return Library(NVL72_SOURCE_DIR "/configs"); }

MeasuredTraining llama_run() {
    MeasuredTraining run;
    run.source = "mine.csv";
    run.line = 7;
    run.software = "megatron-bridge";
    run.release = "26.06";
    run.gpu = "GB200";
    run.model = "llama3.1-8b";
    run.precision = "FP8-CS";
    run.gpus = 8;
    run.global_batch = 128;
    run.micro_batch = 2;
    run.sequence = 8192;
    run.tp = run.pp = run.cp = 1;
    return run;
}

std::string error_of(MeasuredTraining const& run) {
    try {
        (void)training_run(run, library(), {});
        return "no error";
    } catch (ConfigError const& error) {
        return error.what();
    }
}

std::string recipe_of(std::string const& software,
                      std::string const& release,
                      std::string const& architecture,
                      bool compiled = true) {
    MeasuredTraining run;
    run.software = software;
    run.release = release;
    run.compiled = compiled;
    auto const shipped = library();
    LoadedConfigs configs(shipped, {});
    return recipe_named(run, architecture, configs);
}

TEST(RecipeNamed, IsTheNewestThatIsNoNewerAndForThisGpu) {
    EXPECT_EQ(recipe_of("megatron-bridge", "26.06", "blackwell"), "megatron-bridge-26.06");
    EXPECT_EQ(recipe_of("megatron-bridge", "26.08", "blackwell"), "megatron-bridge-26.06");
    EXPECT_EQ(recipe_of("megatron-bridge", "26.02.01", "blackwell"), "megatron-bridge-26.02");
    EXPECT_EQ(recipe_of("megatron-bridge", "25.01", "blackwell"), "megatron-bridge-25.09");
    EXPECT_EQ(recipe_of("megatron-bridge", "", "blackwell"), "megatron-bridge-26.06");
    EXPECT_EQ(recipe_of("megatron-bridge", "26.04", "hopper"), "megatron-bridge-25.11-hopper");
    EXPECT_EQ(recipe_of("megatron-bridge", "25.10", "hopper"), "megatron-bridge-25.09-hopper");
    EXPECT_EQ(recipe_of("torchtitan", "2025", "hopper"), "torchtitan");
    EXPECT_EQ(recipe_of("torchtitan", "2025", "hopper", false), "torchtitan-eager");
}

TEST(ClusterNamed, IsTheSmallestThatHoldsTheJob) {
    auto const shipped = library();
    LoadedConfigs configs(shipped, {});
    EXPECT_EQ(cluster_named("gb200", 72, configs, {}), "gb200-nvl72");
    EXPECT_EQ(cluster_named("gb200", 73, configs, {}), "gb200-nvl72-superpod");
    EXPECT_EQ(cluster_named("h100", 8, configs, {}), "hgx-h100");
    EXPECT_THROW(cluster_named("h100", 10'000'000, configs, {}), ConfigError);
}

TEST(TrainingRun, IsTheJobThatTheRowDescribes) {
    auto const run = training_run(llama_run(), library(), {});
    EXPECT_EQ(run.point.model.name, "llama-3.1-8b");
    EXPECT_EQ(run.point.fabric.cluster().name, "gb200-nvl72");
    EXPECT_EQ(run.point.system.precision.value, "fp8");
    EXPECT_EQ(run.point.parallel.dp, 8);
    EXPECT_EQ(run.point.parallel.micro_batches, 8);
    EXPECT_TRUE(run.defaulted.empty()) << join(run.defaulted);
}

// 256 GPUs fill four racks alike, so that no group of 64 straddles two of them.
TEST(TrainingRun, FillsRacksAlike) {
    auto row = llama_run();
    row.model = "deepseek-v3";
    row.gpus = 256;
    row.global_batch = 4096;
    row.micro_batch = 1;
    row.sequence = 4096;
    row.pp = 4;
    row.vp = 4;
    row.ep = 64;
    auto const run = training_run(row, library(), {});
    EXPECT_EQ(run.point.fabric.shape_of(64, 1, 64).domains, 1);
    // 61 layers over 16 chunks: fifteen of 4, the last with 1, the further token and the loss.
    EXPECT_EQ(run.point.parallel.chunks.front().layers, 4);
    EXPECT_EQ(run.point.parallel.chunks.back().layers, 1);
    row.note = "w/o MTP";
    EXPECT_EQ(training_run(row, library(), {}).point.model.mtp_layers, 0);
}

TEST(TrainingRun, SaysWhatTheRowLeavesOpen) {
    auto row = llama_run();
    row.release = "27.01";
    row.tp.reset();
    row.micro_batch.reset();
    row.model = "llama-3-8b";
    auto const run = training_run(row, library(), {});
    EXPECT_EQ(join(run.defaulted),
              "model llama-3.1-8b, recipe megatron-bridge-26.06 for 27.01, tp 1, micro-batch 1");
}

TEST(TrainingRun, SaysWhatATaskIsPricedAs) {
    auto row = llama_run();
    row.task = "pretrain";
    auto const pretraining = training_run(row, library(), {});
    EXPECT_EQ(join(pretraining.defaulted), "");
    row.task = "SFT";
    auto const sft = training_run(row, library(), {});
    EXPECT_EQ(join(sft.defaulted),
              fmt::format("task SFT as pre-training on full sequences of {}", *row.sequence));
    EXPECT_TRUE(sft.point.recipe.trains_weights);
    row.task = "lora";
    auto const lora = training_run(row, library(), {});
    EXPECT_EQ(join(lora.defaulted), "");
    EXPECT_FALSE(lora.point.recipe.trains_weights);
    row.task.clear();
    row.model += " LoRA";
    EXPECT_FALSE(training_run(row, library(), {}).point.recipe.trains_weights);
    row.task = "dpo";
    EXPECT_NE(join(training_run(row, library(), {}).defaulted).find("task dpo"), std::string::npos);
}

TEST(TrainingRun, TakesTheWordsOfOtherTablesForAPrecision) {
    auto row = llama_run();
    auto const taken = [&](char const* word) {
        row.precision = word;
        return training_run(row, library(), {}).point.system.precision.value;
    };
    EXPECT_EQ(taken("BF16"), "bf16");
    EXPECT_EQ(taken("bf16_mixed"), "bf16");
    EXPECT_EQ(taken("FP8-CS"), "fp8");
    EXPECT_EQ(taken("fp8_current_scaling"), "fp8");
    EXPECT_EQ(taken("bf16_with_fp8_current_scaling_mixed"), "fp8");
    EXPECT_EQ(taken("FP8 (block)"), "fp8_block");
}

TEST(TrainingRun, PredictsTheSameWhateverWasMeasuredAndWhereverItStands) {
    auto row = llama_run();
    row.tokens_per_s_per_gpu = 31'000;
    auto const rate = [](MeasuredTraining const& one) {
        return simulate_point(training_run(one, library(), {}).point, 0).row.tokens_per_s_per_gpu;
    };
    double const known = rate(row);
    row.tokens_per_s_per_gpu.reset();
    row.source = "elsewhere.csv";
    row.line = 99;
    EXPECT_EQ(rate(row), known);
}

TEST(TrainingRun, RefusesWhatNoJobCanBe) {
    auto row = llama_run();
    row.tp = 3;
    EXPECT_EQ(error_of(row).substr(0, 11), "mine.csv:7:") << error_of(row);
    row = llama_run();
    row.gpus.reset();
    EXPECT_EQ(error_of(row), "mine.csv:7: no number of GPUs (expected gpus)");
    row = llama_run();
    row.precision = "int3";
    EXPECT_EQ(error_of(row),
              "mine.csv:7: precision 'int3' (expected bf16 | fp8 | fp8_block | mxfp8 | nvfp4)");
    row = llama_run();
    row.unreadable = "mine.csv:7: tp: 'x' (expected a whole number)";
    EXPECT_EQ(error_of(row), row.unreadable);
}

}  // namespace
}  // namespace nvl72
