#include "sim/study/validate.hpp"

#include <cmath>
#include <cstdio>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

TEST(NodePower, OfEachShippedRowIsWithinFivePercentAndInsideItsInterval) {
    auto const rows =
        validate({{ValidationKind::power}, {}, {}, {}}, Library(NVL72_SOURCE_DIR "/configs")).rows;
    ASSERT_EQ(rows.size(), 4U);
    for (auto const& row : rows) {
        ASSERT_TRUE(row.error()) << row.reason;
        std::printf("%s %ld GPUs, line %ld: measured %.0f W, predicted %.0f W, %+.1f %%\n",
                    row.subject.c_str(), static_cast<long>(row.gpus), static_cast<long>(row.line),
                    *row.measured, *row.predicted, 100 * *row.error());
        EXPECT_LE(std::abs(*row.error()), 0.05);
        double const ratio = *row.measured / *row.predicted;
        EXPECT_LE(row.spread.low, ratio);
        EXPECT_GE(row.spread.high, ratio);
    }
}

}  // namespace
}  // namespace nvl72
