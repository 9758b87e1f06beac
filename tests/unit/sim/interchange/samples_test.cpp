#include "sim/interchange/samples.hpp"
#include "sim/base/error.hpp"
#include "tests/support/samples_file.hpp"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <random>

namespace nvl72 {
namespace {

namespace fs = std::filesystem;
using Block = SamplesFileDraft::Collective;

std::string temporary(std::string const& name) {
    return (fs::path(testing::TempDir()) / ("samples_test_" + name)).string();
}

/// Three blocks of one case: 3, 2 and 9 us, the last flagged.
SamplesFileDraft three_blocks() {
    SamplesFileDraft draft;
    draft.add(Block{}, 3e-6);
    draft.add(Block{}, 2e-6);
    draft.add(Block{}, 9e-6, 1);
    return draft;
}

/// The message that reading such a file ends with; "" where it reads.
std::string refusal(SamplesFileDraft const& draft, std::string const& name) {
    auto const path = temporary(name);
    draft.write(path);
    try {
        (void)read_samples(path);
    } catch (ConfigError const& error) {
        std::string const what = error.what();
        EXPECT_EQ(what.find('\n'), std::string::npos) << what;
        EXPECT_TRUE(what.starts_with(path)) << what;
        return what.substr(path.size());
    }
    return "";
}

TEST(SamplesFile, TakesTheQuickestBlockOfACpu) {
    auto const path = temporary("host.h5");
    three_blocks().write(path);
    auto const samples = read_samples(path);
    ASSERT_EQ(samples.collectives.size(), 1U);
    EXPECT_DOUBLE_EQ(samples.collectives[0].seconds, 2e-6);
    EXPECT_EQ(samples.collectives[0].blocks, 3);
    EXPECT_EQ(samples.collectives[0].algorithm, "ring");
    EXPECT_EQ(samples.date, "2026-11-24");
    EXPECT_TRUE(samples.host());
}

TEST(SamplesFile, KeepsACpusBlocksOverTheQuickest) {
    auto const path = temporary("passes.h5");
    three_blocks().write(path);
    EXPECT_EQ(read_samples(path).collectives.at(0).over_quickest, (std::vector{1.5, 1.0, 4.5}));
    auto draft = three_blocks();
    draft.set("device_kind", "cuda");
    draft.write(path);
    EXPECT_TRUE(read_samples(path).collectives.at(0).over_quickest.empty());
}

TEST(SamplesFile, MayTellHowMuchItsPassesDiffer) {
    auto const path = temporary("drift.h5");
    auto draft = three_blocks();
    draft.write(path);
    EXPECT_EQ(read_samples(path).drift, 0);  // older files do not tell
    draft.set_drift(0.46, "collectives: 2 ranks");
    draft.write(path);
    EXPECT_EQ(read_samples(path).drift, 0.46);
    EXPECT_EQ(read_samples(path).drift_batch, "collectives: 2 ranks");
    draft.reals[0].second = std::nan("");
    EXPECT_NE(refusal(draft, "nan.h5").find("attribute drift is not a real number"),
              std::string::npos);
}

TEST(SamplesFile, TakesTheMedianOfAGpusUnflaggedBlocks) {
    auto draft = three_blocks();
    draft.set("device_kind", "cuda");
    auto const path = temporary("cuda.h5");
    draft.write(path);
    // (3 + 2) / 2 us; with the flagged block it would be 3 us.
    EXPECT_DOUBLE_EQ(read_samples(path).collectives.at(0).seconds, 2.5e-6);
}

TEST(SamplesFile, KeepsCasesApartByEveryColumn) {
    auto draft = three_blocks();
    Block in_place;
    in_place.in_place = 1;
    draft.add(in_place, 1e-6);
    Block larger;
    larger.bytes = 8192;
    draft.add(larger, 5e-6);
    auto const path = temporary("cases.h5");
    draft.write(path);
    auto const samples = read_samples(path);
    ASSERT_EQ(samples.collectives.size(), 3U);
    EXPECT_DOUBLE_EQ(samples.collectives[2].seconds, 5e-6);
}

TEST(SamplesFile, IsToldByContent) {
    auto const path = temporary("content.txt");
    three_blocks().write(path);
    EXPECT_TRUE(is_samples_file(path));
    std::ofstream(temporary("text.h5")) << "time_us\n1\n";
    EXPECT_FALSE(is_samples_file(temporary("text.h5")));
    EXPECT_FALSE(is_samples_file(temporary("absent.h5")));
}

TEST(SamplesFile, RefusesAnotherFormatOrVersion) {
    auto other = three_blocks();
    other.set("format", "nvl72sim-result");
    EXPECT_NE(refusal(other, "other.h5").find("format 'nvl72sim-result' (expected nvl72-samples"),
              std::string::npos);
    auto later = three_blocks();
    later.numbers[0].second = 3;
    EXPECT_NE(refusal(later, "later.h5").find("version 3 in a seal of 2"), std::string::npos);
    auto foreign = three_blocks();
    foreign.texts.erase(foreign.texts.begin());
    EXPECT_NE(refusal(foreign, "foreign.h5").find("no attribute format"), std::string::npos);
}

std::string reading_error(std::string const& path) {
    try {
        (void)read_samples(path);
    } catch (ConfigError const& error) {
        return error.what();
    }
    return "";
}

TEST(SamplesFile, RefusesAFileWithoutAChecksumWithTheRemedy) {
    auto const path = temporary("unsealed.h5");
    three_blocks().write_unsealed(path);
    EXPECT_NE(reading_error(path).find("measure again: nvl72-measure -o FILE.h5"),
              std::string::npos);
    auto bytes = read_whole(path);
    bytes.erase(bytes.begin(), bytes.begin() + seal_size);  // as version 1 began
    write_whole(path, bytes);
    EXPECT_TRUE(is_samples_file(path));
    EXPECT_NE(reading_error(path).find("nvl72-measure before checksums"), std::string::npos);
}

TEST(SamplesFile, RefusesAMissingOrUnequalColumn) {
    auto missing = three_blocks();
    missing.tables[0].columns.erase(missing.tables[0].columns.begin() + 1);
    EXPECT_NE(refusal(missing, "missing.h5").find("no column /collectives/op"), std::string::npos);
    auto unequal = three_blocks();
    std::get<SamplesFileDraft::Whole>(unequal.tables[0].at("ranks").values).pop_back();
    EXPECT_NE(refusal(unequal, "unequal.h5").find("another length"), std::string::npos);
}

TEST(SamplesFile, RefusesTimesThatAreNone) {
    for (double const time : {0.0, -1e-6, std::nan(""), HUGE_VAL}) {
        auto draft = three_blocks();
        draft.add(Block{}, time);
        EXPECT_NE(refusal(draft, "time.h5").find("has a time of"), std::string::npos) << time;
    }
    EXPECT_NE(refusal(SamplesFileDraft{}, "empty.h5").find("no times in it"), std::string::npos);
}

TEST(SamplesFile, RefusesImpossibleCounts) {
    Block none;
    none.ranks = 0;
    SamplesFileDraft draft;
    draft.add(none, 1e-6);
    EXPECT_NE(refusal(draft, "ranks.h5").find("0 ranks"), std::string::npos);
}

// Without the checksum libhdf5 crashes on some of these.
TEST(SamplesFile, AnswersDamageInOneLine) {
    auto const path = temporary("whole.h5");
    three_blocks().write(path);
    auto const whole = read_whole(path);
    auto const hurt = temporary("hurt.h5");
    std::mt19937 random(72);
    for (int round = 0; round < 300; ++round) {
        auto bytes = whole;
        if (round % 3 == 0) {
            bytes.resize(random() % whole.size());
        } else {
            for (int change = 0; change < (round % 3 == 1 ? 1 : 100); ++change) {
                auto& byte = bytes[random() % bytes.size()];
                byte = static_cast<char>(byte ^ (1 + random() % 255));
            }
        }
        std::ofstream(hurt, std::ios::binary)
            .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        auto const text = reading_error(hurt);
        ASSERT_TRUE(text.starts_with(hurt + ": ")) << round << text;
        ASSERT_EQ(text.find('\n'), std::string::npos) << text;
    }
    EXPECT_NE(reading_error(temporary("absent.h5")), "");
    EXPECT_NE(reading_error(testing::TempDir()), "");
}

}  // namespace
}  // namespace nvl72
