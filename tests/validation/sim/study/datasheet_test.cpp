#include "sim/cost/profile.hpp"
#include "sim/interchange/kernel_table.hpp"
#include "sim/study/unseen.hpp"

#include <algorithm>
#include <cstdio>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Library library() { return Library(NVL72_SOURCE_DIR "/configs"); }

bool has_nvfp4(Profile const& profile) {
    return std::ranges::any_of(profile.gemm->precisions,
                               [](auto const& row) { return row.first == "nvfp4"; });
}

void add_rows(std::vector<UnseenRow>& rows, Profile const& profile, std::string const& table) {
    auto const path = NVL72_SOURCE_DIR "/configs/measurements/kernels/" + table + ".csv";
    for (auto const& sample : read_kernel_table(CsvTable::load(path), "").samples) {
        auto const* gemm = std::get_if<Gemm>(&sample.query);
        bool const lacks = gemm != nullptr && gemm->precision == Precision::nvfp4 &&
                           !has_nvfp4(profile);  // scaled from a GPU without it
        if (lacks) continue;
        auto const predicted = to_seconds(cost(profile, sample.query, Load::burst).time);
        rows.push_back({sample.seconds, predicted, rows.size()});
    }
}

/// One GPU's measured kernels, predicted from another's profile by the ratios of the datasheets.
Spread spread_from(std::string const& from,
                   std::string const& to,
                   std::vector<std::string> const& tables) {
    auto const lib = library();
    Profile profile = derive_profile(load_profile(lib, from),
                                     scale_between(load_gpu(lib, from, {}), load_gpu(lib, to, {})));
    profile.gpu = to;
    profile.sms = load_gpu(lib, to, {}).sms;
    std::vector<UnseenRow> rows;
    for (auto const& table : tables) add_rows(rows, profile, table);
    auto const spread = spread_of(rows);
    std::printf("%s from %s: %zu rows, %.3f to %.3f\n", to.c_str(), from.c_str(), rows.size(),
                spread.low, spread.high);
    return spread;
}

std::vector<double> shipped_spread(std::string const& gpu) {
    for (auto const& row : load_profile(library(), gpu).spread) {
        if (row.first == "datasheet") return row.second.inside;
    }
    return {};
}

TEST(DatasheetSpread, OfOneArchitectureIsWhatTwoMeasuredSistersShow) {
    auto const spread = spread_from("gb200", "b200", {"gemm-b200"});
    for (auto const* gpu : {"h200", "h800", "gh200", "h100-96gb", "gb300", "b300"}) {
        auto const shipped = shipped_spread(gpu);
        ASSERT_EQ(shipped.size(), 2U) << gpu;
        EXPECT_NEAR(shipped[0], spread.low, 1e-3) << gpu;
        EXPECT_NEAR(shipped[1], spread.high, 1e-3) << gpu;
    }
}

TEST(DatasheetSpread, AcrossAGenerationIsWhatHopperAndBlackwellShowOfEachOther) {
    auto const up = spread_from("h100", "gb200", {"gemm-gb200", "attention-gb200"});
    auto const down = spread_from("gb200", "h100", {"gemm-h100", "attention-h100"});
    for (auto const* gpu : {"a100-40gb", "a100-80gb", "rubin"}) {
        auto const shipped = shipped_spread(gpu);
        ASSERT_EQ(shipped.size(), 2U) << gpu;
        EXPECT_NEAR(shipped[0], down.low, 2e-3) << gpu;
        EXPECT_NEAR(shipped[1], up.high, 2e-3) << gpu;
    }
}

}  // namespace
}  // namespace nvl72
