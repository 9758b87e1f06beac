#include "sim/training/recipe.hpp"

#include "sim/base/error.hpp"
#include "tests/support/small_experiment.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

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

}  // namespace nvl72
