#include "sim/training/recipe.hpp"

#include "sim/base/error.hpp"
#include "tests/support/small_experiment.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string_view>

namespace nvl72 {
namespace {

using support::TemporaryFile;

/// The shipped recipe with one text replaced: what its loader says, without the folder.
std::string refusal(std::string const& from, std::string const& to) {
    std::ifstream in(NVL72_SOURCE_DIR "/configs/recipes/megatron-bridge-26.06.yaml");
    std::string text(std::istreambuf_iterator<char>(in), {});
    auto const at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    TemporaryFile const file(text, ".yaml");
    try {
        (void)load_recipe(file.path());
    } catch (ConfigError const& error) {
        std::string const message = error.what();
        EXPECT_EQ(message.find(file.path() + ":"), 0U) << message;
        return message.substr(message.find(": ") + 2);
    }
    return "";
}

std::string_view constexpr whole_text = R"(summary: whole
precisions:
  bf16: {linear: bf16}
  fp8: {linear: fp8, quantise_bytes: 6, gathered_bytes: 1}
overlap: {tp: false, tp_sms: 16}
moe: {dispatcher: fused, permute_bytes: 16, host_sync: 480 us}
state: {gradient_bytes: 2}
reserve: {framework: 1 GiB, communication: 2 GiB}
recompute: [swiglu, permute]
optimizer_traffic_bytes: 30
)";

std::string name_of(TemporaryFile const& file) {
    return std::filesystem::path(file.path()).stem().string();
}

/// What the loader says of `text`, behind "file:"; every message is one line at that file.
std::string error_of(std::string const& text) {
    TemporaryFile const file(text, ".yaml");
    try {
        (void)load_recipe(file.path());
    } catch (ConfigError const& error) {
        std::string const message = error.what();
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
        EXPECT_EQ(message.find(file.path() + ":"), 0U) << message;
        return message.substr(file.path().size() + 1);
    }
    return "no error";
}

}  // namespace

TEST(RecipeLimits, NumbersThatNoSoftwareHasAreRefusedAtTheirKey) {
    EXPECT_EQ(refusal("weight_bytes: {value: 2,", "weight_bytes: {value: 0,"),
              "state.weight_bytes: 0 (expected 0.25 to 8)");
    EXPECT_EQ(refusal("gradient_bytes: {value: 2,", "gradient_bytes: {value: -2,"),
              "state.gradient_bytes: -2 (expected 0.25 to 8)");
    EXPECT_EQ(refusal("gradient_bytes: {value: 2,", "gradient_bytes: {value: 16,"),
              "state.gradient_bytes: 16 (expected 0.25 to 8)");
    EXPECT_EQ(refusal("optimizer_bytes: {value: 12,", "optimizer_bytes: {value: 96,"),
              "state.optimizer_bytes: 96 (expected 0.25 to 32)");
    EXPECT_EQ(refusal("saved_input_bytes: 1", "saved_input_bytes: 0"),
              "precisions.fp8.saved_input_bytes: 0 (expected 0.25 to 8)");
    EXPECT_EQ(refusal("gathered_bytes: {value: 1,", "gathered_bytes: {value: -1,"),
              "precisions.fp8.gathered_bytes: -1 (expected 0.25 to 8)");
    EXPECT_EQ(refusal("quantise_bytes: {value: 6,", "quantise_bytes: {value: 6000,"),
              "precisions.fp8.quantise_bytes: 6000 (expected 0 to 64)");
    EXPECT_EQ(refusal("tp_scatter_pieces: {value: 4,", "tp_scatter_pieces: {value: 0,"),
              "overlap.tp_scatter_pieces: 0 (expected 1 to 1000)");
    EXPECT_EQ(refusal("fragmentation: 0", "fragmentation: 2"),
              "reserve.fragmentation: 2 (expected 0 to 1)");
    EXPECT_EQ(
        refusal("optimizer_traffic_bytes: {value: 30,", "optimizer_traffic_bytes: {value: 0,"),
        "optimizer_traffic_bytes: 0 (expected 1 to 200)");
}

TEST(RecipeLimits, TheSmallestThereAreLoad) {
    EXPECT_EQ(refusal("gathered_bytes: {value: 1,", "gathered_bytes: {value: 0.5,"), "");
    EXPECT_EQ(refusal("quantise_bytes: {value: 6,", "quantise_bytes: {value: 0,"), "");
}

// The summary, a list and single numbers deep in maps are replaced; all else is the base's.
TEST(RecipeBase, LaysItsEntriesOverTheBaseMapByMap) {
    TemporaryFile const whole(std::string(whole_text), ".yaml");
    TemporaryFile const over("base: " + name_of(whole) + R"(
summary: over
precisions:
  fp8: {quantise_bytes: 4}
  mxfp8: {linear: mxfp8}
overlap: {tp: true}
moe: {host_sync: 0 us}
recompute: [swiglu]
)",
                             ".yaml");
    Recipe const recipe = load_recipe(over.path());
    EXPECT_EQ(recipe.name, name_of(over));
    EXPECT_EQ(recipe.place.file, over.path());
    EXPECT_EQ(recipe.summary, "over");
    ASSERT_EQ(recipe.precisions.size(), 3U);
    EXPECT_EQ(recipe.precisions[0].first, "bf16");
    PrecisionPolicy const& fp8 = policy_of(recipe, "fp8", {});
    EXPECT_EQ(fp8.linear, Precision::fp8);
    EXPECT_EQ(fp8.quantise_bytes, 4);
    EXPECT_EQ(fp8.gathered_bytes, 1);
    EXPECT_EQ(policy_of(recipe, "mxfp8", {}).linear, Precision::mxfp8);
    EXPECT_TRUE(recipe.overlap.tp);
    EXPECT_EQ(recipe.overlap.tp_sms, 16);
    EXPECT_EQ(recipe.moe.dispatcher, MoeDispatcher::fused);
    EXPECT_EQ(recipe.moe.permute_bytes, 16);
    EXPECT_EQ(recipe.moe.host_sync.count, 0);
    EXPECT_EQ(recipe.state.gradient_bytes, 2);
    EXPECT_EQ(recipe.recompute, (std::vector<std::string>{"swiglu"}));
    // A base has a base in turn: the nearest one that says a thing is heard.
    TemporaryFile const third("base: " + name_of(over) + "\nmoe: {permute_bytes: 8}\n", ".yaml");
    Recipe const last = load_recipe(third.path());
    EXPECT_EQ(last.summary, "over");
    EXPECT_EQ(last.moe.permute_bytes, 8);
    EXPECT_EQ(last.moe.host_sync.count, 0);
    EXPECT_EQ(last.moe.dispatcher, MoeDispatcher::fused);
    // The base itself is as it was.
    EXPECT_EQ(load_recipe(whole.path()).moe.host_sync, from_seconds(480e-6));
}

TEST(RecipeBase, MistakesAreOneLineWhereTheyStand) {
    EXPECT_EQ(error_of("summary: lost\nbase: no-such-recipe\n"),
              "2: base: 'no-such-recipe' (expected the name of a recipe beside this one)");
    EXPECT_EQ(error_of("base: [a, b]\n"),
              "1: base: '' (expected the name of a recipe beside this one)");
    TemporaryFile const whole(std::string(whole_text), ".yaml");
    std::string const over = "base: " + name_of(whole) + "\n";
    EXPECT_EQ(error_of(over + "moe: {capacity: -1}\n"), "2: moe.capacity: -1 (expected 0 to 100)");
    EXPECT_NE(error_of(over + "mo: {capacity: 1}\n").find("2: mo: unknown key"), std::string::npos);
    EXPECT_EQ(error_of(over + "moe: 3\n"), "2: moe: no map (expected key: value lines)");
    EXPECT_EQ(error_of(over + "summary: x\n"), "no error");
    // A mistake in the base is shown in the base.
    TemporaryFile const wrong(std::string(whole_text) + "full_recompute: maybe\n", ".yaml");
    TemporaryFile const above("base: " + name_of(wrong) + "\n", ".yaml");
    try {
        (void)load_recipe(above.path());
        FAIL() << "full_recompute: maybe";
    } catch (ConfigError const& error) {
        EXPECT_EQ(std::string(error.what()).find(wrong.path() + ":11: full_recompute: 'maybe'"), 0U)
            << error.what();
    }
}

TEST(RecipeBase, ACircleIsNamedAndEnds) {
    TemporaryFile const whole("", ".yaml");
    std::ofstream(whole.path()) << "base: " << name_of(whole) << "\nsummary: round\n";
    try {
        (void)load_recipe(whole.path());
        FAIL() << "its own base";
    } catch (ConfigError const& error) {
        EXPECT_EQ(
            std::string(error.what()),
            whole.path() + ":1: base: bases nested too deep, or in a circle (expected at most 4)");
    }
}

TEST(RecipeLimits, OfExpertsAreRefusedAtTheirKey) {
    auto const refused = [](std::string const& entry) {
        std::string text(whole_text);
        std::string const at = "moe: {dispatcher: fused, permute_bytes: 16, host_sync: 480 us}";
        text.replace(text.find(at), at.size(), "moe: {" + entry + "}");
        return error_of(text);
    };
    EXPECT_EQ(refused("network_efficiency: 1.1"),
              "6: moe.network_efficiency: 1.1 (expected 0.01 to 1)");
    EXPECT_EQ(refused("network_efficiency: 0"),
              "6: moe.network_efficiency: 0 (expected 0.01 to 1)");
    EXPECT_EQ(refused("exchange_time: -1"), "6: moe.exchange_time: -1 (expected 0 to 20)");
    EXPECT_EQ(refused("exchange_time: 21"), "6: moe.exchange_time: 21 (expected 0 to 20)");
    EXPECT_EQ(refused("dispatch_bytes: 0"), "6: moe.dispatch_bytes: 0 (expected 0.25 to 8)");
    EXPECT_EQ(refused("combine_bytes: 16"), "6: moe.combine_bytes: 16 (expected 0.25 to 8)");
    EXPECT_EQ(refused("permute_bytes: -8"), "6: moe.permute_bytes: -8 (expected 0 to 1000)");
    EXPECT_EQ(refused("capacity: 101"), "6: moe.capacity: 101 (expected 0 to 100)");
    EXPECT_EQ(refused("imbalance: 0.9"), "6: moe.imbalance: 0.9 (expected 1 to 100)");
    EXPECT_NE(refused("imbalance: nan").find("6: moe.imbalance: "), std::string::npos);
    EXPECT_NE(refused("host_sync: -1 us").find("6: moe.host_sync: "), std::string::npos);
    EXPECT_NE(refused("dispatcher: deepep").find("6: moe.dispatcher: "), std::string::npos);
    EXPECT_EQ(refused("network_efficiency: 1, exchange_time: 0, dispatch_bytes: 0.5, capacity: 0, "
                      "imbalance: 1, permute_bytes: 0"),
              "no error");
}

TEST(RecipeLimits, WhatCanHideIsAShare) {
    auto const refused = [](std::string const& entry) {
        std::string text(whole_text);
        text.replace(text.find("tp_sms: 16"), 10, entry);
        return error_of(text);
    };
    EXPECT_EQ(refused("tp_hidden: 1.5"), "5: overlap.tp_hidden: 1.5 (expected 0 to 1)");
    EXPECT_EQ(refused("tp_hidden: 60"), "5: overlap.tp_hidden: 60 (expected 0 to 1)");
    EXPECT_EQ(refused("tp_hidden: 0"), "no error");
}

// A recipe of our own need not be anybody's release, nor for one GPU.
TEST(Recipe, ReleaseAndHardwareNeedNotBeSaid) {
    TemporaryFile const own(std::string(whole_text), ".yaml");
    Recipe const recipe = load_recipe(own.path());
    EXPECT_FALSE(recipe.software);
    EXPECT_FALSE(recipe.release);
    EXPECT_FALSE(recipe.architecture);
    EXPECT_TRUE(recipe.trains_weights);
    EXPECT_EQ(recipe.moe.capacity, 0);
    TemporaryFile const named(std::string(whole_text) +
                                  "software: ours\nrelease: \"26.10\"\n"
                                  "architecture: hopper\n",
                              ".yaml");
    Recipe const said = load_recipe(named.path());
    EXPECT_EQ(said.software, "ours");
    EXPECT_EQ(said.release, "26.10");
    EXPECT_EQ(said.architecture, "hopper");
    // Without a layer of experts' entries, they are the defaults.
    std::string text(whole_text);
    auto const at = text.find("moe:");
    text.erase(at, text.find('\n', at) + 1 - at);
    TemporaryFile const dense(text, ".yaml");
    EXPECT_EQ(load_recipe(dense.path()).moe.dispatcher, MoeDispatcher::alltoall);
    EXPECT_EQ(load_recipe(dense.path()).moe.permute_bytes, 8);
}

TEST(Recipe, LiesOverAShippedOneFromAnyFolder) {
    Library const shipped(NVL72_SOURCE_DIR "/configs");
    TemporaryFile const own("base: megatron-bridge-26.06\nsummary: mine\noverlap: {tp: false}\n",
                            ".yaml");
    auto const recipe = load_recipe(own.path(), nullptr, &shipped);
    EXPECT_FALSE(recipe.overlap.tp);
    EXPECT_TRUE(recipe.overlap.dp);
    EXPECT_EQ(recipe.release, "26.06");
    TemporaryFile const wrong("base: megatron-bridge-26.6\nsummary: mine\n", ".yaml");
    try {
        (void)load_recipe(wrong.path(), nullptr, &shipped);
        FAIL() << "base: megatron-bridge-26.6";
    } catch (ConfigError const& error) {
        EXPECT_NE(std::string(error.what()).find("did you mean megatron-bridge-26.0"),
                  std::string::npos)
            << error.what();
    }
}

}  // namespace nvl72
