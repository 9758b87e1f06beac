#include "sim/interchange/training_table.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

std::vector<MeasuredTraining> read(std::string const& text) {
    auto const table = CsvTable::parse(text, "t.csv");
    EXPECT_TRUE(is_training_table(table));
    return read_training_table(table);
}

TEST(TrainingTable, ReadsMegatronBridgeSummaries) {
    auto const runs = read(
        "release,task,system,model,note,precision,gpus,gbs,mbs,seq_len,tp,pp,cp,vp,ep,fsdp,ga,"
        "tokens_per_s_per_gpu,model_tflops_per_gpu,source\n"
        "25.11,pretrain,GB300,deepseek-v3,w/o "
        "MTP,FP8-MX,256,4096,1,4096,1,2,1,4,32,0,32,4357,1088,x\n"
        "26.08,pretrain,GB200,gpt-oss-120b,,MXFP8,64,1280,4,4096,1,1,1,,64,,,28672,934,x\n");
    ASSERT_EQ(runs.size(), 2U);
    EXPECT_EQ(runs[0].software, "megatron-bridge");
    EXPECT_EQ(runs[0].line, 2);
    EXPECT_EQ(runs[0].release, "25.11");
    EXPECT_EQ(runs[0].gpu, "GB300");
    EXPECT_EQ(runs[0].note, "w/o MTP");
    EXPECT_EQ(runs[0].micro_batches, 32);
    EXPECT_EQ(runs[0].fsdp, 0);
    EXPECT_FALSE(runs[0].step_asked);
    EXPECT_EQ(runs[0].tokens_per_s_per_gpu, 4357);
    EXPECT_FALSE(runs[1].vp.has_value());
    EXPECT_FALSE(runs[1].fsdp.has_value());
    EXPECT_EQ(runs[1].ep, 64);
}

// Its "system" is a site's name, not a GPU; its figure is a step.
TEST(TrainingTable, ReadsMlperfResults) {
    auto const runs = read(
        "round,submitter,system,gpu,gpus,model,precision,seq_len,gbs,tp,pp,vp,cp,microbatches,mbs,"
        "step_s,step_s_p10,step_s_p90,step_from,tokens_per_s_per_gpu,source\n"
        "5.0,NVIDIA,tyche,GB200,256,llama3.1-405b,fp8,8192,448,4,8,8,2,112,1,19.1440,,,step,749,"
        "x\n");
    ASSERT_EQ(runs.size(), 1U);
    EXPECT_EQ(runs[0].gpu, "GB200");
    EXPECT_EQ(runs[0].release, "5.0");
    EXPECT_TRUE(runs[0].step_asked);
    EXPECT_EQ(runs[0].step_s, 19.144);
}

TEST(TrainingTable, ReadsTorchTitanBenchmarks) {
    auto const runs = read(
        "gpu,gpus,model,precision,seq,local_batch,fsdp,tp,pp,cp,schedule,recompute,compile,async_"
        "tp,"
        "tokens_s_gpu,memory_GiB,layout,source\n"
        "H100 96GB HBM2e 500W,8,llama3.1-8b,bf16,8192,2,8,1,1,1,,full,0,0,5762,82.4,x,y\n");
    ASSERT_EQ(runs.size(), 1U);
    EXPECT_EQ(runs[0].local_batch, 2);
    EXPECT_EQ(runs[0].recompute, "full");
    EXPECT_FALSE(runs[0].compiled);
    EXPECT_FALSE(runs[0].async_tp);
    EXPECT_EQ(runs[0].memory_gib, 82.4);
}

TEST(TrainingTable, KeepsTheOtherRowsWhenOneHasABadCell) {
    auto const runs = read(
        "software,release,gpu,model,gpus,tokens_per_s_per_gpu\n"
        "mine,1,h100,llama-3.1-8b,many,5\nmine,1,h100,llama-3.1-8b,8,\n");
    ASSERT_EQ(runs.size(), 2U);
    EXPECT_NE(runs[0].unreadable.find("t.csv:2: gpus: 'many'"), std::string::npos)
        << runs[0].unreadable;
    EXPECT_EQ(runs[0].line, 2);
    EXPECT_EQ(runs[1].gpus, 8);
    EXPECT_FALSE(runs[1].tokens_per_s_per_gpu.has_value());
}

TEST(TrainingTable, IsNoTableOfKernels) {
    EXPECT_FALSE(is_training_table(CsvTable::parse("gpu,m,n,k,time_us\nh100,1,1,1,1\n", "k.csv")));
}

TEST(TrainingTable, IsKnownWithoutAColumnOrTwoAndInAnyOrder) {
    auto const runs = read(
        "model,tokens_per_s_per_gpu,extra,precision,system,gpus,ga\n"
        "llama3-8b,1000,x,BF16,H100,8.0,\nllama3-8b,nan,x,BF16,H100,8,4.0\n");
    ASSERT_EQ(runs.size(), 2U);
    EXPECT_EQ(runs[0].software, "megatron-bridge");
    EXPECT_EQ(runs[0].gpus, 8);
    EXPECT_EQ(runs[1].micro_batches, 4);
    EXPECT_FALSE(runs[1].tokens_per_s_per_gpu.has_value());
    EXPECT_FALSE(is_training_table(CsvTable::parse("gpu,gpus,precision\n", "t.csv")));
}

TEST(TrainingTable, ADamagedRowIsOneRowAndAsksForWhatItsTableAsks) {
    auto const runs = read(
        "round,gpu,gpus,model,step_s\n5.0,GB200,256,llama3.1-405b,19\n5.0,GB200,256\n"
        "5.0,GB200,many,llama3.1-405b,19\n");
    ASSERT_EQ(runs.size(), 3U);
    EXPECT_EQ(runs[0].unreadable, "");
    EXPECT_EQ(runs[1].unreadable, "t.csv:3: 3 fields (expected 5, as in the header)");
    EXPECT_EQ(runs[1].line, 3);
    EXPECT_TRUE(runs[1].step_asked);
    EXPECT_EQ(runs[2].unreadable, "t.csv:4: gpus: 'many' (expected a whole number of at least 1)");
    EXPECT_EQ(runs[2].model, "llama3.1-405b");  // what stands before it is known
}

}  // namespace
}  // namespace nvl72
