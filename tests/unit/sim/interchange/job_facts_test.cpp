#include "sim/interchange/job_facts.hpp"

#include "sim/base/error.hpp"
#include "sim/interchange/job_file.hpp"
#include "tests/support/folder.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

std::string const shape =
    " --num-layers 32 --hidden-size 4096 --num-attention-heads 32 --seq-length 4096 ";

ForeignJob job_of(std::string const& text,
                  std::string const& name = "job.sh",
                  JobFileOptions const& options = {}) {
    auto const folder = support::folder("job-facts", {{name, text}});
    return read_job_file(folder + "/" + name, options);
}

/// Of `torchrun ... pretrain_gpt.py` with the shape of a 7B and these arguments.
JobFacts facts_of(std::string const& arguments) {
    return job_facts(job_of("torchrun --nnodes 2 --nproc-per-node 8 pretrain_gpt.py" + shape +
                            "--micro-batch-size 1 --global-batch-size 64 " + arguments));
}

std::string switch_of(JobFacts const& facts, std::string const& key) {
    auto const found = std::ranges::find(facts.switches, key, &RecipeSwitch::key);
    return found == facts.switches.end() ? "not told" : found->value;
}

std::string error_of(std::string const& text) {
    try {
        (void)job_facts(job_of(text));
        return "no error";
    } catch (ConfigError const& error) {
        std::string const said = error.what();
        return said.substr(said.find("job.sh"));
    }
}

TEST(JobFacts, TakesLayoutAndBatchFromArguments) {
    auto const facts = facts_of(
        "--tensor-model-parallel-size=4 --pipeline-model-parallel-size 2 --context-parallel-size 2 "
        "--num-layers-per-virtual-pipeline-stage 4 --sequence-parallel");
    EXPECT_EQ(facts.run.gpus, 16);
    EXPECT_EQ(facts.layout.tp, 4);
    EXPECT_EQ(facts.layout.pp, 2);
    EXPECT_EQ(facts.layout.cp, 2);
    EXPECT_EQ(facts.layout.vp, 4);  // 32 layers / 2 stages / 4 a chunk
    EXPECT_TRUE(facts.layout.sequence_parallel);
    EXPECT_EQ(facts.run.global_batch, 64);
    EXPECT_EQ(facts.run.sequence, 4096);
    EXPECT_FALSE(facts_of("--tensor-model-parallel-size 4").layout.sequence_parallel);
}

TEST(JobFacts, FillsWhatIsAbsentWithMegatronsOwnDefaults) {
    auto const plain = facts_of("");
    EXPECT_EQ(plain.model.ffn, 16384);  // 4 x hidden
    EXPECT_EQ(plain.model.ffn_matrices, 2);
    EXPECT_EQ(plain.model.norm_vectors, 2);
    EXPECT_EQ(plain.model.kv_heads, 32);
    EXPECT_TRUE(plain.model.tied_embeddings);
    EXPECT_FALSE(plain.model.rotary);
    EXPECT_EQ(switch_of(plain, "overlap.dp"), "false");
    EXPECT_EQ(switch_of(plain, "state.distributed_optimizer"), "false");
    EXPECT_EQ(facts_of("--swiglu").model.ffn, 10880);  // 4 x 4096 x 2 / 3 in multiples of 64
    EXPECT_EQ(facts_of("--num-query-groups 8").model.kv_heads, 32);
    EXPECT_EQ(facts_of("--group-query-attention --num-query-groups 8").model.kv_heads, 8);
}

TEST(JobFacts, ReadsThePrecisionThatCounts) {
    auto const precision = [](std::string const& words) { return facts_of(words).run.precision; };
    EXPECT_EQ(precision("--bf16"), "bf16");
    EXPECT_EQ(precision("--fp16"), "bf16");
    EXPECT_EQ(precision("--bf16 --fp8-format hybrid"), "fp8");
    EXPECT_EQ(precision("--bf16 --fp8-format e4m3 --fp8-recipe tensorwise"), "fp8");
    EXPECT_EQ(precision("--bf16 --fp8-format e4m3 --fp8-recipe mxfp8"), "mxfp8");
    EXPECT_EQ(precision("--bf16 --fp4-format e2m1 --fp4-recipe nvfp4"), "nvfp4");
    EXPECT_EQ(facts_of("--bf16 --fp8-format e4m3 --fp8-recipe blockwise").open.size(), 1U);
}

TEST(JobFacts, ReadsExpertsAndTheLayersThatHaveThem) {
    auto const facts = facts_of(
        "--num-experts 64 --moe-router-topk 6 --moe-ffn-hidden-size 1408 --moe-layer-freq "
        "\"([0]*1+[1]*31)\" --moe-shared-expert-intermediate-size 2816 "
        "--expert-model-parallel-size 8 --moe-token-dispatcher-type flex --moe-enable-deepep");
    EXPECT_EQ(facts.model.experts, 64);
    EXPECT_EQ(facts.model.top_k, 6);
    EXPECT_EQ(facts.model.expert_ffn, 1408);
    EXPECT_EQ(facts.model.shared_ffn, 2816);
    EXPECT_EQ(facts.model.dense_layers, 1);
    EXPECT_EQ(facts.layout.ep, 8);
    EXPECT_EQ(switch_of(facts, "moe.dispatcher"), "fused");
    EXPECT_EQ(facts_of("--num-experts 8 --tensor-model-parallel-size 2").layout.expert_tp, 2);
    EXPECT_EQ(facts_of("--num-experts 8 --moe-layer-freq 2").model.expert_layer_step, 2);
}

TEST(JobFacts, ReadsLatentAttentionOnlyWhereItIsOn) {
    auto const on = facts_of(
        "--multi-latent-attention --q-lora-rank 1536 --kv-lora-rank 512 --qk-head-dim 128 "
        "--qk-pos-emb-head-dim 64 --v-head-dim 128 --qk-layernorm");
    EXPECT_EQ(on.model.head_dim, 192);
    EXPECT_EQ(on.model.kv_rank, 512);
    EXPECT_EQ(on.model.rope_dim, 64);
    EXPECT_FALSE(on.model.head_norms);
    EXPECT_EQ(facts_of("--kv-lora-rank 32").model.kv_rank, 0);
}

TEST(JobFacts, ReadsWhatIsRecomputed) {
    EXPECT_EQ(switch_of(facts_of("--recompute-granularity full --recompute-method uniform "
                                 "--recompute-num-layers 1"),
                        "full_recompute"),
              "true");
    // Flash attention does core_attn anyway.
    EXPECT_EQ(switch_of(facts_of("--recompute-activations"), "recompute"), "[]");
    EXPECT_EQ(switch_of(facts_of("--recompute-granularity selective --recompute-modules "
                                 "core_attn mla_up_proj"),
                        "recompute"),
              "[q_norm, kv_norm, q_up, kv_up]");
    EXPECT_EQ(facts_of("--recompute-granularity selective --recompute-modules moe").open.size(),
              1U);
}

TEST(JobFacts, PadsTheVocabularyAsMegatronDoes) {
    EXPECT_EQ(facts_of("--vocab-size 50257").model.vocab, 50304);  // to 128
    EXPECT_EQ(facts_of("--vocab-size 50257 --tensor-model-parallel-size 8").model.vocab, 51200);
    EXPECT_EQ(facts_of("--vocab-size 50257 --make-vocab-size-divisible-by 1").model.vocab, 50257);
}

TEST(JobFacts, AssumesTheFewestGpusWhereNoneAreTold) {
    auto const facts = job_facts(job_of("python pretrain_gpt.py" + shape +
                                        "--micro-batch-size 1 --num-experts 64 "
                                        "--tensor-model-parallel-size 2 "
                                        "--pipeline-model-parallel-size 4 "
                                        "--expert-model-parallel-size 16 "
                                        "--expert-tensor-parallel-size 1"));
    EXPECT_EQ(facts.run.gpus, 64);  // 16 expert ranks on each of 4 stages
    EXPECT_TRUE(facts.gpus_assumed);
}

TEST(JobFacts, CountsGpusFromAnyLauncher) {
    auto const gpus = [](std::string const& text) {
        return job_facts(job_of(text + shape + "--micro-batch-size 1\n")).run.gpus;
    };
    EXPECT_EQ(gpus("torchrun --nproc_per_node=8 --nnodes=4 pretrain_gpt.py"), 32);
    EXPECT_EQ(gpus("GPUS_PER_NODE=8\nNNODES=3\npython pretrain_gpt.py"), 24);
    EXPECT_EQ(gpus("NNODES=2\nWORLD_SIZE=$((8 * $NNODES))\npython pretrain_gpt.py"), 16);
    EXPECT_EQ(gpus("#SBATCH --nodes=4\n#SBATCH --gres=gpu:h100:8\nsrun python pretrain_gpt.py"),
              32);
    EXPECT_EQ(gpus("#SBATCH -N 2\n#SBATCH --gpus-per-node=4\nsrun python pretrain_gpt.py"), 8);
}

TEST(JobFacts, NamesEverySettingThatNothingTakes) {
    auto const facts =
        facts_of("--lr 1e-4 --save /ckpt --rampup-batch-size 32 32 1000 --frobnicate 3");
    ASSERT_EQ(facts.open.size(), 2U);
    EXPECT_EQ(facts.open[0].setting.place.key, "--rampup-batch-size");
    EXPECT_EQ(facts.open[1].reason, "unknown here");
    std::size_t passed = 0;
    for (auto const& [reason, names] : facts.passed_over) passed += names.size();
    EXPECT_EQ(passed, 2U);
}

TEST(JobFacts, AnswersAWrongValueWithItsPlace) {
    auto const with = [](std::string const& words) {
        return error_of("\npython pretrain_gpt.py" + shape + "--micro-batch-size 1 " + words);
    };
    EXPECT_EQ(
        with("--tensor-model-parallel-size four"),
        "job.sh:2: --tensor-model-parallel-size: 'four' (expected a whole number, 0 or more)");
    EXPECT_EQ(
        with("--context-parallel-size $CP"),
        "job.sh:2: --context-parallel-size: $CP, which is set nowhere (expected a whole number, 0 "
        "or more; nvl72sim import FILE CP=N gives one)");
    EXPECT_EQ(with("--global-batch-size -8"),
              "job.sh:2: --global-batch-size: '-8' (expected a whole number, 1 or more)");
    EXPECT_EQ(with("--fp8-format e4m3 --fp8-recipe int8"),
              "job.sh:2: --fp8-recipe: 'int8' (expected delayed | tensorwise | mxfp8 | blockwise)");
    EXPECT_EQ(
        with("--num-experts 8 --moe-layer-freq [0]*3"),
        "job.sh:2: --moe-layer-freq: '[0]*3' (expected a number, or a list of 0 and 1 for each of "
        "the 32 layers, as [0]*3+[1]*58)");
    EXPECT_EQ(with("--recompute-granularity some"),
              "job.sh:2: --recompute-granularity: 'some' (expected full | selective)");
    EXPECT_EQ(error_of("python pretrain_gpt.py --num-layers 2 --micro-batch-size 1"),
              "job.sh: hidden_size: not told (expected a whole number; nvl72sim import FILE "
              "hidden_size=N gives one)");
}

TEST(ReadJobFile, SeesTheKindFromTheContent) {
    auto const kind = [](std::string const& text) { return job_of(text, "x.txt").kind; };
    EXPECT_EQ(kind("pretrain_gpt.py" + shape), JobFileKind::megatron);
    EXPECT_EQ(kind("  num_layers ........ 2\n  hidden_size ....... 8\n  seq_length ........ 4\n"
                   "  fp16 .............. None\n"),
              JobFileKind::megatron_dump);
    EXPECT_EQ(kind("_target_: megatron.bridge.training.config.ConfigContainer\nmodel:\n"
                   "  num_layers: 2\n"),
              JobFileKind::bridge);
    EXPECT_EQ(kind("export DGXNNODES=2\nexport DGXNGPU=8\nexport MINIBS=4\n"
                   "export TENSOR_MODEL_PARALLEL=2\n"),
              JobFileKind::mlperf);
    EXPECT_THROW((void)job_of("hello", "x.txt"), ConfigError);
    EXPECT_THROW((void)job_of("", "x.txt"), ConfigError);
}

TEST(PlainLine, DropsColoursTimesAndLaunchers) {
    EXPECT_EQ(plain_line("0:   num_layers .... 2"), "  num_layers .... 2");
    EXPECT_EQ(plain_line("[rank0]:   num_layers .... 2"), "  num_layers .... 2");
    EXPECT_EQ(plain_line("\x1b[36m  num_layers .... 2\x1b[0m\r"), "  num_layers .... 2");
    EXPECT_EQ(plain_line("[1,0]<stdout>:  model:"), "  model:");
    EXPECT_EQ(plain_line("2025-01-31T10:00:00.123Z   model:"), "  model:");
    EXPECT_EQ(plain_line("  model:"), "  model:");
    EXPECT_EQ(plain_line("  - - 0"), "  - - 0");
}

TEST(NamedGpu, IsTheOneThatATextNames) {
    EXPECT_EQ(named_gpu("a\n#SBATCH --gres=gpu:h100:8\n").gpu, "h100");
    EXPECT_EQ(named_gpu("a\n#SBATCH --gres=gpu:h100:8\n").line, 2);
    EXPECT_EQ(named_gpu("config_DGXH100_64x8.sh").gpu, "h100");
    EXPECT_EQ(named_gpu("NVIDIA Blackwell GPU (GB200)").gpu, "gb200");
    EXPECT_EQ(named_gpu("NVIDIA A100-SXM4-80GB").gpu, "a100-80gb");
    EXPECT_EQ(named_gpu("H100").gpu, "h100");
    EXPECT_EQ(named_gpu("H100 or\nH200").gpu, "");
    EXPECT_EQ(named_gpu("no board").gpu, "");
}

}  // namespace
}  // namespace nvl72
