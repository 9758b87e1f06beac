#include "sim/study/claims_run.hpp"

#include "sim/base/error.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

ClaimsFile claims(std::string const& text) { return read_claims(parse_yaml(text, "claims.yaml")); }

/// One claim of 3 kg with `more` lines, whose experiment came to a table of 30 kg and 3 km.
ArticleClaim claim(std::string const& more) {
    return claims("claims:\n  - article: 8\n    claim: a cable\n" + more).claims.front();
}

std::vector<ResultTable> made_up() {
    using Texts = std::vector<std::string>;
    using Reals = std::vector<double>;
    return {{"facts",
             {{"fact", "", "", Texts{"weight", "length", "none"}},
              {"value", "", "", Reals{30, 3, 0}}}}};
}

JudgedClaim judged(std::string const& more) {
    auto const tables = made_up();
    Scope const scope(tables, {});
    return judge(claim(more), &scope, &scope);
}

std::string const stated = "    stated: {value: 3, source: \"published: an article\"}\n";
std::string here(std::string const& fact, std::string const& key = "from") {
    return "    " + key + ": {experiment: e, here: \"facts.value[fact=" + fact + "]\"}\n";
}

std::string error(std::string const& text) {
    try {
        claims(text);
    } catch (ConfigError const& wrong) {
        return wrong.what();
    }
    return "";
}

TEST(Claims, HoldWithinTheirTolerance) {
    EXPECT_EQ(judged(stated + here("length")).verdict, Verdict::holds);
    EXPECT_DOUBLE_EQ(judged(stated + here("length")).computed.value(), 3);
    EXPECT_EQ(judged(stated + here("weight")).verdict, Verdict::differs);
    EXPECT_TRUE(holds(ClaimHow::equal, 100, 101, 0.02));
    EXPECT_FALSE(holds(ClaimHow::equal, 100, 97, 0.02));
}

TEST(Claims, AreBoundsWhereTheySaySo) {
    EXPECT_TRUE(holds(ClaimHow::at_least, 2, 2.5, 0));
    EXPECT_FALSE(holds(ClaimHow::at_least, 2, 1.9, 0.01));
    EXPECT_TRUE(holds(ClaimHow::at_most, 2, 2.01, 0.01));
    EXPECT_FALSE(holds(ClaimHow::at_most, 2, 2.1, 0.01));
    EXPECT_TRUE(holds(ClaimHow::ratio, 27, 14, 2));
    EXPECT_TRUE(holds(ClaimHow::ratio, 27, 54, 2));
    EXPECT_FALSE(holds(ClaimHow::ratio, 27, 13, 2));
    EXPECT_FALSE(holds(ClaimHow::ratio, 27, 55, 2));
}

TEST(Claims, AreSlipsWhereOnlyTheirOtherReadingHolds) {
    std::string const other = "    unit: kg\n    otherwise: {unit: km, here: \"facts.value[fact=";
    auto const slip = judged(stated + here("weight") + other + "length]\"}\n");
    EXPECT_EQ(slip.verdict, Verdict::slip);
    EXPECT_EQ(claims_rows({slip}).front().reason,
              "holds as 3.000 km (computed 3.000), not as 3.000 kg");
    EXPECT_EQ(judged(stated + here("weight") + other + "weight]\"}\n").verdict, Verdict::differs);
    EXPECT_EQ(judged(stated + here("length") + other + "weight]\"}\n").verdict, Verdict::holds);
}

TEST(Claims, AreQuotientsOverASecondSource) {
    auto const tenth = judged("    stated: {value: 0.1, source: \"published: x\"}\n" +
                              here("length") + here("weight", "over"));
    EXPECT_DOUBLE_EQ(tenth.computed.value(), 0.1);
    EXPECT_EQ(tenth.verdict, Verdict::holds);
    EXPECT_THROW(judged(stated + here("length") + here("none", "over")), ConfigError);
}

TEST(Claims, ThatNothingComputesSayWhy) {
    auto const row = claims_rows({judged("    none: a date\n")}).front();
    EXPECT_EQ(row.status, "skipped");
    EXPECT_EQ(row.reason, "a date");
    EXPECT_EQ(row.verdict, "not a simulator's question");
    EXPECT_FALSE(row.predicted.has_value());
    EXPECT_EQ(row.line, 2);
}

TEST(Claims, AreCountedByVerdict) {
    EXPECT_EQ(claims_sentence({judged("    none: a date\n"), judged(stated + here("length")),
                               judged(stated + here("weight"))}),
              "3 claims: 1 hold, 1 differ, 0 are slips, 1 no simulator's question");
}

TEST(Claims, RefuseWhatCannotBeJudged) {
    std::string const head = "claims:\n  - article: 8\n    claim: a cable\n";
    EXPECT_NE(error(head).find("claims.yaml:2: claims[0]: no from"), std::string::npos);
    EXPECT_NE(error(head + here("length")).find("no stated"), std::string::npos);
    EXPECT_NE(error(head + here("length") + "    stated: 3\n").find("source"), std::string::npos);
    EXPECT_NE(error(head + here("length") + stated + "    none: a date\n").find("one of them"),
              std::string::npos);
    EXPECT_NE(error(head + stated + "    from: {here: x}\n").find("one of experiment and cluster"),
              std::string::npos);
    EXPECT_NE(error(head + stated + here("length") + "    verdict: holds\n").find("unknown key"),
              std::string::npos);
    EXPECT_NE(error(head + stated + here("length") + "    how: ratio\n    tolerance: 0.5\n")
                  .find("factor"),
              std::string::npos);
    EXPECT_NE(error("claims: []\n").find("no claims"), std::string::npos);
}

TEST(Claims, NameTheExpressionThatFindsNothing) {
    try {
        judged(stated + here("height"));
        FAIL() << "a fact that is not there was found";
    } catch (ConfigError const& wrong) {
        EXPECT_NE(std::string(wrong.what()).find("claims.yaml:5: claims[0].from.here:"),
                  std::string::npos)
            << wrong.what();
    }
}

TEST(Claims, ReadFactsOfAClusterAndNumbersThatAreGiven) {
    Library const library(std::string(NVL72_SOURCE_DIR) + "/configs");
    auto const file = claims(
        "given: {of_a_gpu: {value: 18, source: \"published: x\"}}\nclaims:\n"
        "  - {article: 8, claim: links, stated: {value: 1296, source: \"published: x\"}, "
        "from: {cluster: {name: gb200-nvl72}, here: \"facts.value[fact=gpus] * of_a_gpu\"}}\n"
        "  - {article: 8, claim: a date, none: a date}\n");
    auto const judged = judge_claims(file, library, {});
    ASSERT_EQ(judged.size(), 2U);
    EXPECT_DOUBLE_EQ(judged[0].computed.value(), 1296);
    EXPECT_EQ(judged[0].verdict, Verdict::holds);
}

TEST(Claims, OfAnExperimentThatIsNotThereNameTheLine) {
    Library const library(std::string(NVL72_SOURCE_DIR) + "/configs");
    auto const file = claims("claims:\n  - article: 8\n    claim: x\n" + stated + here("length"));
    try {
        judge_claims(file, library, {});
        FAIL() << "an experiment that is not there was run";
    } catch (ConfigError const& wrong) {
        EXPECT_NE(std::string(wrong.what()).find("claims.yaml:5: claims[0].from.experiment:"),
                  std::string::npos)
            << wrong.what();
    }
}

}  // namespace
}  // namespace nvl72
