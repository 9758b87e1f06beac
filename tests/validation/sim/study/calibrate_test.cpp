#include "sim/study/calibrate.hpp"
#include "sim/study/fit_report.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace nvl72 {
namespace {

class Calibrate : public testing::TestWithParam<char const*> {
protected:
    static Library library() { return Library(NVL72_SOURCE_DIR "/configs"); }
    static MeasuredData data() {
        return read_measured_data({NVL72_SOURCE_DIR "/configs/measurements"}, library(),
                                  GetParam());
    }
};

/// Medians that the fits reach, with some room; where no constant was fitted there is no promise.
double median_promised(SectionFit const& fit) {
    if (fit.section == "gemm") return 0.06;
    if (fit.section == "attention" || fit.section == "generation") return 0.08;
    if (fit.section == "moe" && fit.precision == "one_sided combine_bf16") return 0.045;
    return fit.precision == "ring-ll128" ? 0.06 : 0.04;
}

bool between_domains(SectionFit const& fit) {
    return fit.precision.find(" across, ") != std::string::npos;
}

/// Rows between domains that a fit had not seen, sends left out, which two logs of one site hold.
double unseen_median_across(std::vector<SectionFit> const& fits, std::string const& band) {
    std::vector<double> measured, predicted;
    for (auto const& fit : fits) {
        if (!fit.precision.ends_with(" across, " + band)) continue;
        if (fit.precision.starts_with("sendrecv")) continue;
        for (auto const& row : fit.inside) {
            measured.push_back(row.measured);
            predicted.push_back(row.predicted);
        }
    }
    return measured.empty() ? 0 : errors_of(measured, predicted).median;
}

/// Large buffers have a spread of their own; a branch's median is of all its sizes.
double median_of_branch(SectionFit const& fit, std::vector<SectionFit> const& all) {
    std::vector<double> measured, predicted;
    for (auto const& other : all) {
        if (other.precision != fit.precision && other.precision != fit.precision + " large")
            continue;
        for (auto const& row : other.seen) {
            measured.push_back(row.measured);
            predicted.push_back(row.predicted);
        }
    }
    return measured.empty() ? fit.in_sample.median : errors_of(measured, predicted).median;
}

void expect_good_fit(SectionFit const& fit, std::vector<SectionFit> const& all) {
    // Between domains sites differ by more than a form can tell: see what is expected of all of
    // them.
    if (fit.parameters == 0 || between_domains(fit)) return;
    EXPECT_LE(median_of_branch(fit, all), median_promised(fit)) << fit.precision;
    // Few sizes are at the ends of a collective branch, and each fold leaves one of them out.
    double const more = fit.section == "collectives" || fit.section == "training" ? 2 : 1.5;
    EXPECT_LE(fit.left_out.median, more * fit.in_sample.median) << fit.precision;
    EXPECT_LE(fit.left_out.p95, more * fit.in_sample.p95) << fit.precision;
}

/// The median error of rows that the fits had not seen, over parts.
double unseen_median(std::vector<SectionFit> const& fits,
                     std::vector<std::string> const& sections) {
    std::vector<double> measured, predicted;
    for (auto const& fit : fits) {
        if (std::ranges::find(sections, fit.section) == sections.end()) continue;
        if (fit.precision == "two_sided prepare") continue;
        for (auto const& row : fit.inside) {
            measured.push_back(row.measured);
            predicted.push_back(row.predicted);
        }
    }
    return measured.empty() ? 0 : errors_of(measured, predicted).median;
}

/// All rows of a section that were left out, against the spreads of the others.
void expect_honest_intervals(std::string const& section, std::vector<SectionFit> const& fits) {
    auto const coverage = coverage_of(section, fits);
    ASSERT_GT(coverage.judged, 0U) << section;
    std::printf("%s: %zu rows, %.1f %% covered, width %.1f times the error\n", section.c_str(),
                coverage.judged, 100 * coverage.share(), coverage.width_over_error());
    EXPECT_GE(coverage.share(), 0.7) << section;
    EXPECT_LE(coverage.share(), 0.9) << section;
    EXPECT_LE(coverage.width_over_error(), 5) << section;
}

TEST_P(Calibrate, TheShippedProfileIsWhatTheTablesFitTo) {
    std::ifstream in(NVL72_SOURCE_DIR "/configs/calibration/" + std::string(GetParam()) + ".yaml");
    std::ostringstream shipped;
    shipped << in.rdbuf();
    auto const calibration = calibrate_profile(data(), library());
    EXPECT_EQ(calibration.text, shipped.str());
    EXPECT_TRUE(calibration.kept.empty());  // so nothing of it came from the shipped file itself
    for (auto const& fit : calibration.fits) expect_good_fit(fit, calibration.fits);
    std::printf("across: large %.1f, middle %.1f, small %.1f %%\n",
                100 * unseen_median_across(calibration.fits, "large"),
                100 * unseen_median_across(calibration.fits, "middle"),
                100 * unseen_median_across(calibration.fits, "small"));
    EXPECT_LE(unseen_median_across(calibration.fits, "large"), 0.04);
    EXPECT_LE(unseen_median_across(calibration.fits, "middle"), 0.10);
    EXPECT_LE(unseen_median_across(calibration.fits, "small"), 0.06);
    expect_honest_intervals("gemm", calibration.fits);
    expect_honest_intervals("collectives", calibration.fits);
    EXPECT_LE(unseen_median(calibration.fits, {"attention", "generation"}), 0.05);
    EXPECT_LE(unseen_median(calibration.fits, {"moe"}), 0.03);  // dispatch and combine
}

INSTANTIATE_TEST_SUITE_P(Gpus,
                         Calibrate,
                         testing::Values("h100", "b200", "gb200"),
                         [](auto const& info) { return std::string(info.param); });

}  // namespace
}  // namespace nvl72
