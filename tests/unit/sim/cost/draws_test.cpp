#include "sim/cost/draws.hpp"

#include "sim/base/error.hpp"
#include "sim/cost/profile.hpp"
#include "tests/support/small_experiment.hpp"

#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

std::string message_of(std::string const& text) {
    try {
        check_draws(parse_yaml(text, "p.yaml"));
    } catch (ConfigError const& error) {
        return error.what();
    }
    return "";
}

double number_at(Value const& profile, char const* key) {
    return std::strtod(profile.find("gemm")->find(key)->scalar.c_str(), nullptr);
}

Value drawn(std::string const& text, Draw draw) {
    Value profile = parse_yaml(text, "p.yaml");
    check_draws(profile);
    apply_draw(profile, draw);
    return profile;
}

constexpr char const* two_constants =
    "gpu: h100\n"
    "gemm: {hbm: 3 TB/s, launch: 5 us}\n"
    "draws: {gemm: {gemm.hbm: [0.01, -0.02, 0.03], gemm.launch: [0.02, -0.04, 0.06]}}\n";

TEST(Draws, MoveTheConstantsOfOneFitTogether) {
    // The launch's deviations are twice those of the rate, so each draw moves it twice as far.
    for (std::uint32_t number = 0; number < 20; ++number) {
        auto const profile = drawn(two_constants, {1, number});
        double const rate = std::log(number_at(profile, "hbm") / 3);
        double const launch = std::log(number_at(profile, "launch") / 5);
        EXPECT_NE(rate, 0);
        EXPECT_NEAR(launch, 2 * rate, 1e-8);
        EXPECT_TRUE(profile.find("gemm")->find("hbm")->scalar.ends_with(" TB/s"));
    }
}

TEST(Draws, HaveTheJackknifesVariance) {
    // (g - 1) / g * sum of squares = 2/3 * (1 + 4 + 9) * 1e-4 = 9.33e-4; one in 300 is cut at
    // +-0.09.
    double squares = 0;
    constexpr int count = 4000;
    for (std::uint32_t number = 0; number < count; ++number) {
        double const move = std::log(number_at(drawn(two_constants, {7, number}), "hbm") / 3);
        EXPECT_LE(std::abs(move), 0.09 + 1e-9);
        squares += move * move;
    }
    EXPECT_NEAR(squares / count, 9.33e-4, 0.12 * 9.33e-4);
}

TEST(Draws, ComeInMirroredPairsAndAgainFromTheSameSeed) {
    auto const move = [](Draw draw) {
        return std::log(number_at(drawn(two_constants, draw), "hbm") / 3);
    };
    EXPECT_NEAR(move({3, 4}), -move({3, 5}), 1e-8);
    EXPECT_EQ(move({3, 4}), move({3, 4}));
    EXPECT_NE(move({3, 4}), move({4, 4}));
    EXPECT_NE(move({3, 4}), move({3, 6}));
}

TEST(Draws, NameThePathOrTheListThatIsWrong) {
    EXPECT_EQ(message_of("gemm: {hbm: 3 TB/s}\ndraws: {gemm: {gemm.hmb: [0.1, 0.2]}}\n"),
              "p.yaml:2: draws.gemm.gemm.hmb: no number at gemm.hmb (expected the path of a fitted "
              "constant of this file)");
    EXPECT_EQ(
        message_of("gemm: {hbm: 3 TB/s}\ndraws: {gemm: {gemm.hbm: [0.1]}}\n"),
        "p.yaml:2: draws.gemm.gemm.hbm: 1 refits (expected 1 as of the fit's other constants, "
        "at least 2)");
    EXPECT_NE(message_of("gemm: {hbm: 3 TB/s}\ndraws: {gemm: {gemm.hbm: [0.1, x]}}\n"), "");
    EXPECT_EQ(message_of(two_constants), "");
}

TEST(DrawnProfiles, DifferInTheConstantsAndShareThemWithASister) {
    auto const library = support::shipped_library();
    auto const own = drawn_profiles(library, "h100", 1, 4);
    ASSERT_EQ(own.size(), 4U);
    EXPECT_NE(own[0].gemm->hbm.count, own[1].gemm->hbm.count);
    // The H200's kernels are the H100's, scaled: they err alike.
    auto const sister = drawn_profiles(library, "h200", 1, 4);
    ASSERT_EQ(sister.size(), 4U);
    double const ratio = load_profile(library, "h200").gemm->hbm.count /
                         load_profile(library, "h100").gemm->hbm.count;
    EXPECT_NEAR(sister[2].gemm->hbm.count / own[2].gemm->hbm.count, ratio, 1e-6 * ratio);
}

}  // namespace
}  // namespace nvl72
