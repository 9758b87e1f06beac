#include "sim/study/fit_collectives.hpp"

#include "sim/collective/collective.hpp"
#include "sim/config/write.hpp"
#include "sim/cost/profile.hpp"
#include "sim/interchange/collective_table.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

Profile shipped_h100() { return load_profile(Library(NVL72_SOURCE_DIR "/configs"), "h100"); }

Value shipped_section() {
    return *load_yaml(NVL72_SOURCE_DIR "/configs/calibration/h100.yaml").find("collectives");
}

/// The table's H100 points, at the times that the shipped profile gives them.
std::vector<CollectiveSample> predicted_samples() {
    Profile const profile = shipped_h100();
    auto samples = samples_to_fit(read_collective_table(
        CsvTable::load(NVL72_SOURCE_DIR "/configs/measurements/collectives/in-node.csv"), ""));
    std::vector<CollectiveSample> own;
    for (auto& sample : samples) {
        if (sample.gpu != "h100") continue;
        GroupShape shape = sample.query.shape;
        shape.in_domain = profile.collectives->nvlink;
        auto const plan = plan_collective(profile, sample.query.op, sample.query.size, shape,
                                          sample.query.bytes_per_element);
        sample.seconds = to_seconds(cost(profile, plan.query, Load::burst).time);
        own.push_back(sample);
    }
    return own;
}

/// Everything that no knob reaches, and what the rows of one domain do not tell.
CollectiveSetting setting_with(Value given) { return {"h100", std::move(given), {}, "t.csv"}; }

double constant(Value const& section, char const* branch, char const* key, Dimension dimension) {
    auto const value = parse_quantity(section.find(branch)->find(key)->scalar, dimension);
    EXPECT_TRUE(value.has_value()) << branch << "." << key;
    return value.value_or(0);
}

TEST(FitCollectives, PutsAForcedRowOnItsBranchWhateverTheTunerTakes) {
    auto const truth = shipped_section();
    auto const profile = shipped_h100();
    std::vector<CollectiveSample> samples;
    for (std::int64_t bytes = 8 << 20; bytes <= (std::int64_t{1} << 30); bytes *= 2) {
        for (std::int64_t const ranks : {2, 4, 8}) {
            CollectiveSample sample{"h100", {}, 0, "", "ring-simple"};  // the tuner takes NVLS on 8
            sample.query.size = Bytes{bytes};
            sample.query.shape.ranks = sample.query.shape.ranks_per_domain = ranks;
            sample.query.shape.planes = sample.query.shape.planes_up = planes_assumed;
            GroupShape shape = sample.query.shape;
            shape.in_domain = profile.collectives->nvlink;
            auto const plan = plan_collective(profile, CollectiveOp::all_reduce, sample.query.size,
                                              shape, 2, sample.algorithm);
            sample.seconds = to_seconds(cost(profile, plan.query, Load::burst).time);
            samples.push_back(sample);
        }
    }
    auto setting = setting_with(truth);
    setting.shipped = truth;
    auto const fitted = fit_collectives(samples, setting);
    ASSERT_EQ(fitted.section.fits.size(), 1U);
    EXPECT_EQ(fitted.section.fits[0].precision, "ring-simple");
    EXPECT_EQ(fitted.section.fits[0].rows, samples.size());
    EXPECT_LT(fitted.section.fits[0].in_sample.worst, 0.02);
}

TEST(FitCollectives, FindsTheConstantsThatMadeTheRows) {
    auto const truth = shipped_section();
    auto const fitted = fit_collectives(predicted_samples(), setting_with(truth)).section.yaml;
    auto const expect_near = [&](char const* branch, char const* key, Dimension dimension) {
        double const expected = constant(truth, branch, key, dimension);
        EXPECT_NEAR(constant(fitted, branch, key, dimension), expected, 0.02 * expected)
            << branch << "." << key;
    };
    expect_near("ring_ll", "base", Dimension::seconds);
    expect_near("ring_ll", "hop", Dimension::seconds);
    expect_near("ring_ll", "bandwidth", Dimension::bytes_per_second);
    expect_near("ring_ll128", "step", Dimension::seconds);
    expect_near("ring_simple", "base", Dimension::seconds);
    expect_near("ring_simple", "bandwidth", Dimension::bytes_per_second);
    expect_near("ring_simple", "int8_reduction", Dimension::number);
    expect_near("nvls", "base", Dimension::seconds);
    expect_near("alltoall_ll", "base", Dimension::seconds);
    expect_near("alltoall_simple", "base", Dimension::seconds);
}

TEST(FitCollectives, KeepsAsShippedWhatTooFewRowsTell) {
    std::vector<CollectiveSample> few;
    for (auto const& sample : predicted_samples()) {
        bool const small = sample.query.op == CollectiveOp::all_reduce && sample.seconds < 200e-6;
        if (!small || sample.query.bytes_per_element != 2) continue;
        few.push_back(sample);
        if (sample.query.size > Bytes{16384}) few.back().seconds *= 1.2;  // a norm would follow
    }
    Value given;
    put(given, "nvlink", leaf("450 GB/s"));
    CollectiveSetting setting{"h100", given, shipped_section(), "t.csv"};
    auto const result = fit_collectives(few, setting);
    auto const& kept = result.kept;
    EXPECT_EQ(std::ranges::count(kept, "alltoall"), 1);
    EXPECT_EQ(std::ranges::count(kept, "ring-ll"), 0);
    auto const truth = shipped_section();
    EXPECT_EQ(result.section.yaml.find("alltoall_ll")->find("base")->scalar,
              truth.find("alltoall_ll")->find("base")->scalar);
    // The shipped branches hold with the shipped norm only.
    EXPECT_EQ(result.section.yaml.find("overlap_norm")->scalar, truth.find("overlap_norm")->scalar);
    for (auto const& fit : result.section.fits)
        EXPECT_EQ(fit.inside.size(), fit.rows) << fit.precision;
}

}  // namespace
}  // namespace nvl72
