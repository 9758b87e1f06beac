#include "sim/study/model_names.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

std::string named(std::string const& words) {
    return model_named(words, Library(NVL72_SOURCE_DIR "/configs"), {"t.csv", 2, ""});
}

std::string refused(std::string const& words) {
    try {
        return "taken as " + named(words);
    } catch (ConfigError const& error) {
        return error.what();
    }
}

TEST(ModelNamed, IsFoundHoweverTablesSpellIt) {
    EXPECT_EQ(named("llama3.1-405b"), "llama-3.1-405b");
    EXPECT_EQ(named("LLAMA3.1 405B"), "llama-3.1-405b");
    EXPECT_EQ(named("llama31_405b"), "llama-3.1-405b");
    EXPECT_EQ(named("Llama-3_1-405B"), "llama-3.1-405b");
    EXPECT_EQ(named("DeepSeek-V3"), "deepseek-v3");
    EXPECT_EQ(named("gpt-oss 120b"), "gpt-oss-120b");
    EXPECT_EQ(named("GPTOSS120B"), "gpt-oss-120b");
    EXPECT_EQ(named("Qwen3 235B A22B"), "qwen3-235b-a22b");
    EXPECT_EQ(named("Qwen3-235B"), "qwen3-235b-a22b");
    EXPECT_EQ(named("gpt3-175b"), "gpt3-175b");
    EXPECT_EQ(named("GPT-3 175B"), "gpt3-175b");
    EXPECT_EQ(named("gpt3"), "gpt3-175b");
    EXPECT_EQ(named("mine-model.yaml"), "mine-model.yaml");
}

TEST(ModelNamed, OwnerTuningAndStorageSayNothingOfLayers) {
    EXPECT_EQ(named("meta-llama/Llama-3.1-70B-Instruct"), "llama-3.1-70b");
    EXPECT_EQ(named("deepseek-ai/DeepSeek-V3"), "deepseek-v3");
    EXPECT_EQ(named("deepseek-ai/DeepSeek-V3-0324"), "deepseek-v3");
    EXPECT_EQ(named("nvidia/DeepSeek-V3.1-NVFP4"), "deepseek-v3");
    EXPECT_EQ(named("nvidia/Llama-3.3-70B-Instruct-FP8"), "llama-3.3-70b");
    EXPECT_EQ(named("Qwen/Qwen3-30B-A3B-Instruct-2507"), "qwen3-30b-a3b");
    EXPECT_EQ(named("mistralai/Mixtral-8x7B-Instruct-v0.1"), "mixtral-8x7b");
    EXPECT_EQ(named("moonshotai/Kimi-K2-Instruct-0905"), "kimi-k2");
    EXPECT_EQ(named("llama2-70b-99.9"), "llama-2-70b");
    EXPECT_EQ(named("llama2_70b_lora"), "llama-2-70b");
    EXPECT_EQ(named("grok1-314b"), "grok-1");
}

TEST(ModelNamed, OfAGenerationTheNearestVersionIsTaken) {
    EXPECT_EQ(named("Llama 3 70B"), "llama-3.1-70b");
    EXPECT_EQ(named("Meta-Llama-3-70B"), "llama-3.1-70b");
    EXPECT_EQ(named("Llama 3 8B SFT"), "llama-3.1-8b");
    EXPECT_EQ(named("llama-2-70b"), "llama-2-70b");
    EXPECT_EQ(named("Llama-3.1-Nemotron-70B-Instruct"), "llama-3.1-70b");  // a size says so
}

TEST(ModelNamed, WhatIsUnknownOrSeveralNamesTheNearest) {
    EXPECT_EQ(refused("mamba-3b").substr(0, 25), "t.csv:2: model 'mamba-3b'");
    EXPECT_EQ(refused("llama 70b"),
              "t.csv:2: model 'llama 70b', which may be several (expected llama-2-70b | "
              "llama-3.1-70b | llama-3.3-70b)");
    EXPECT_EQ(refused("gpt-oss"),
              "t.csv:2: model 'gpt-oss', which may be several (expected gpt-oss-120b | "
              "gpt-oss-20b)");
    EXPECT_NE(refused("Qwen3-72B").find("qwen3-14b"), std::string::npos);
    for (auto const* words : {"Llama 4 70B", "phi-4-mini", "Phi-4-mini-3.8B", "kimi-k3",
                              "DeepSeek-R1-Distill-Llama-70B", "Qwen3-72B", "70b", "", "v3"}) {
        EXPECT_NE(refused(words).find("(expected "), std::string::npos) << words;
    }
}

}  // namespace
}  // namespace nvl72
