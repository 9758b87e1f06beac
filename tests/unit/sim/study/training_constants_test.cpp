#include "sim/study/training_constants.hpp"

#include "sim/base/error.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>
#include <string>

namespace nvl72 {
namespace {

Library library() { return Library(NVL72_SOURCE_DIR "/configs"); }

constexpr char const* text =
    "# a head\n"
    "moe:  # of experts\n"
    "  launch: {value: 50 us, source: \"fitted: before\"}  # goes with its line\n"
    "  other: 3\n"
    "list: {value: [1, 2], source: \"derived: x\"}\n"
    "map: {launch: 7 us}\n";

TEST(WithLeaf, ReplacesOneLineAndKeepsTheOthersAndTheirComments) {
    EXPECT_EQ(with_leaf(text, "t.yaml", "moe.launch", "61.2 us", "fitted: now"),
              "# a head\n"
              "moe:  # of experts\n"
              "  launch: {value: 61.2 us, source: \"fitted: now\"}\n"
              "  other: 3\n"
              "list: {value: [1, 2], source: \"derived: x\"}\n"
              "map: {launch: 7 us}\n");
}

TEST(WithLeaf, KeepsTheSourceWhereNoneIsGiven) {
    auto const kept = with_leaf(text, "t.yaml", "moe.launch", "1 us", "");
    EXPECT_NE(kept.find("launch: {value: 1 us, source: \"fitted: before\"}\n"), std::string::npos);
    auto const plain = with_leaf(text, "t.yaml", "moe.other", "4", "");
    EXPECT_NE(plain.find("  other: 4\n"), std::string::npos);
    auto const list = with_leaf(text, "t.yaml", "list", "[3, 4]", "fitted: y");
    EXPECT_NE(list.find("list: {value: [3, 4], source: \"fitted: y\"}\n"), std::string::npos);
}

TEST(WithLeaf, RefusesALeafThatIsMissingOrInsideALine) {
    EXPECT_THROW((void)with_leaf(text, "t.yaml", "moe.absent", "1", ""), ConfigError);
    EXPECT_THROW((void)with_leaf(text, "t.yaml", "map.launch", "1 us", ""), ConfigError);
}

TEST(SetConstants, MovesOnlyWhatTheNamedFileGave) {
    TrainingConstant constant;
    constant.at = {{"recipes/a.yaml", "moe.launch"}};
    constant.unit = "us";
    auto file = parse_yaml(text, library().folder() + "/recipes/a.yaml");
    set_constants(file, library(), {constant}, {12.5});
    EXPECT_EQ(file.find("moe")->find("launch")->scalar, "12.5 us");
    auto other = parse_yaml(text, library().folder() + "/recipes/b.yaml");
    set_constants(other, library(), {constant}, {12.5});
    EXPECT_EQ(other.find("moe")->find("launch")->scalar, "50 us");
}

// Each place holds a number between the constant's bounds, and all of them the owner's.
TEST(TrainingFacts, NameLeavesOfTheShippedConfigsThatAgree) {
    auto const facts = load_training_facts(library());
    EXPECT_LE(facts.constants.size(), 20U);  // the limit for all of training
    std::set<std::string> seen;
    for (auto const& constant : facts.constants) {
        std::string owner;
        for (auto const& [file, key] : constant.at) {
            EXPECT_TRUE(seen.insert(file + " " + key).second) << file << " " << key;
            Value const root = load_yaml(library().folder() + "/" + file);
            ASSERT_TRUE(holds_leaf(root, library().folder() + "/" + file, key)) << file << key;
            Value const* leaf = &root;
            std::string rest = key;
            while (!rest.empty()) {
                auto const dot = std::min(rest.find('.'), rest.size());
                leaf = leaf->find(rest.substr(0, dot));
                rest.erase(0, std::min(dot + 1, rest.size()));
            }
            if (owner.empty()) {
                owner = leaf->scalar;
                EXPECT_TRUE(leaf->source.starts_with("fitted: least squares (Huber)")) << key;
            }
            EXPECT_EQ(leaf->scalar, owner) << file << " " << key;
        }
    }
}

}  // namespace
}  // namespace nvl72
