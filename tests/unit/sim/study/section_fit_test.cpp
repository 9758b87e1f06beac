#include "sim/study/section_fit.hpp"

#include "sim/config/fields.hpp"
#include "sim/study/fit_memory.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using section_fit::folds;

/// A section of one constant, which every row takes as its time.
struct Constant {
    double seconds = 1;
};
using Rows = std::vector<section_fit::Row<int>>;

section_fit::Unseen unseen_of(Rows const& rows) {
    std::vector<section_fit::Knob<Constant>> const knobs{
        {"seconds", Dimension::seconds, 1, 1e-3, 1e3,
         [](Constant& c) -> double& { return c.seconds; }}};
    section_fit::SecondsOf<Constant, int> const seconds_of = [](Constant const& c, int) {
        return c.seconds;
    };
    return section_fit::predict_unseen(Constant{}, knobs, rows, seconds_of);
}

/// Ten shapes of 2 s, but those of `odd`, which take 200 s.
template <class Odd>
Rows rows_but(Odd const& odd) {
    Rows rows;
    for (std::size_t shape = 0; shape < 10; ++shape) {
        rows.push_back({0, odd(shape) ? 200.0 : 2.0, shape, 0});
    }
    return rows;
}

// Any of a fold's own rows among those fitted would draw the constant towards 200.
TEST(PredictUnseen, AFoldsOwnRowsDoNotReachItsFit) {
    auto const rows = rows_but([](std::size_t shape) { return shape % folds == 3; });
    auto const unseen = unseen_of(rows);
    EXPECT_DOUBLE_EQ(unseen.inside[3], 2);
    EXPECT_DOUBLE_EQ(unseen.inside[8], 2);
    EXPECT_GT(unseen.inside[0], 2.01);  // whose fit has seen them
    ASSERT_EQ(unseen.refits.size(), folds);
    EXPECT_DOUBLE_EQ(unseen.refits[3].at(0), 2);
    EXPECT_GT(unseen.refits[0].at(0), 2.01);
}

TEST(PredictUnseen, AnEdgesOwnRowsDoNotReachItsFit) {
    auto rows = rows_but([](std::size_t shape) { return shape >= 8; });
    rows[8].edge = rows[9].edge = 1;
    rows[0].edge = 2;
    auto const unseen = unseen_of(rows);
    EXPECT_DOUBLE_EQ(unseen.outside[8], 2);
    EXPECT_DOUBLE_EQ(unseen.outside[9], 2);
    EXPECT_GT(unseen.outside[0], 2.01);  // of another edge
    EXPECT_EQ(unseen.outside[1], 0);     // of no edge
}

SpreadRow written(SectionFit const& fit) {
    Value spread;
    section_fit::put_spread(spread, fit);
    return read_spec<SpreadRow>(*spread.find(fit.part()), nullptr);
}

/// 40 rows, measured over predicted evenly between 1 - width and 1 + width.
std::vector<UnseenRow> even(double width) {
    std::vector<UnseenRow> rows;
    for (std::size_t i = 0; i < 40; ++i) {
        rows.push_back({1 - width + 2 * width * static_cast<double>(i) / 39, 1, i % folds});
    }
    return rows;
}

TEST(PutSpread, BeyondTheRangeNothingIsSurerThanInside) {
    SectionFit fit;
    fit.section = "memory";
    fit.inside = even(0.2);
    fit.outside = even(0.01);
    auto const narrow = written(fit);
    EXPECT_EQ(narrow.outside, narrow.inside);
    EXPECT_LT(narrow.inside.at(0), 0.9);
    fit.outside = even(0.5);
    auto const wide = written(fit);
    EXPECT_LT(wide.outside.at(0), 0.7);
    EXPECT_GT(wide.outside.at(1), 1.3);
    EXPECT_EQ(wide.inside, narrow.inside);
}

TEST(FitMemory, NeedsSixRows) {
    std::vector<SampledMemory> samples;
    for (std::int64_t traffic = 1 << 20; samples.size() < 5; traffic *= 4) {
        SampledMemory row;
        row.kind = "copy";
        row.bytes = row.traffic_bytes = traffic;
        row.seconds = 3e-6 + static_cast<double>(traffic) / 2e12;
        samples.push_back(row);
    }
    EXPECT_FALSE(fit_memory(samples, "samples.h5").yaml.is_map());
    samples.push_back(samples.back());
    samples.back().traffic_bytes *= 4;
    samples.back().seconds = 3e-6 + static_cast<double>(samples.back().traffic_bytes) / 2e12;
    EXPECT_TRUE(fit_memory(samples, "samples.h5").yaml.is_map());
}

}  // namespace
}  // namespace nvl72
