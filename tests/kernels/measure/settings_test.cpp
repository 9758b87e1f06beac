#include "kernels/measure/settings.hpp"

#include "kernels/measure/errors.hpp"

#include <gtest/gtest.h>

namespace nvl72::measure {
namespace {

Settings parse(std::vector<char const*> words) {
    words.insert(words.begin(), "nvl72-measure");
    return parse_settings(static_cast<int>(words.size()), words.data());
}

std::string refusal(std::vector<char const*> const& words) {
    try {
        (void)parse(words);
    } catch (InputError const& why) {
        return why.what();
    }
    return "accepted";
}

TEST(ParseSize, IsBinaryAsInNcclTests) {
    EXPECT_EQ(parse_size("512", "-b"), 512);
    EXPECT_EQ(parse_size("4K", "-b"), 4096);
    EXPECT_EQ(parse_size("1M", "-b"), 1048576);
    EXPECT_EQ(parse_size("8g", "-b"), 8589934592);
}

TEST(ParseSize, RefusesWhatIsNoSize) {
    for (auto const* wrong : {"", "K", "0", "-1", "4X", "4 K", "1e6", "99999999999G", "4KB"}) {
        EXPECT_THROW(parse_size(wrong, "-b"), InputError) << wrong;
    }
}

TEST(SizesOf, GoUpByTheFactorToTheEnd) {
    EXPECT_EQ(sizes_of({4096, 65536, 4}), (std::vector<std::int64_t>{4096, 16384, 65536}));
    EXPECT_EQ(sizes_of({4096, 60000, 4}), (std::vector<std::int64_t>{4096, 16384}));
    EXPECT_EQ(sizes_of({5, 5, 2}), std::vector<std::int64_t>{5});
}

TEST(SizesAsked, LieOverTheDefaultsOfTheDevice) {
    Settings settings;
    settings.end = 100;
    auto const sizes = sizes_asked(settings, {4096, 65536, 4});
    EXPECT_EQ(sizes.begin, 100);  // never above the end
    EXPECT_EQ(sizes.end, 100);
    EXPECT_EQ(sizes.factor, 4);
}

TEST(ParseSettings, TakesNcclTestsOptions) {
    auto const settings = parse({"-b", "4K", "-e", "1M", "-f", "2", "--ranks", "2,4,2", "--only",
                                 "memory,launch", "--graph", "--seed", "7", "-o", "x.h5"});
    EXPECT_EQ(settings.begin, 4096);
    EXPECT_EQ(settings.end, 1048576);
    EXPECT_EQ(settings.factor, 2);
    EXPECT_EQ(settings.ranks, (std::vector<int>{2, 4}));
    EXPECT_EQ(settings.only, (std::vector<std::string>{"memory", "launch"}));
    EXPECT_TRUE(settings.graph);
    EXPECT_EQ(settings.method.seed, 7U);
    EXPECT_EQ(settings.output, "x.h5");
    EXPECT_EQ(settings.command.substr(0, 20), "nvl72-measure -b 4K ");
}

TEST(ParseSettings, LetsWhatIsTypedWinOverQuick) {
    EXPECT_EQ(parse({"--quick"}).method.blocks, 3);
    EXPECT_EQ(parse({"--quick", "--blocks", "9"}).method.blocks, 9);
}

TEST(ParseSettings, NamesWhatItExpected) {
    EXPECT_EQ(refusal({"--device", "tpu"}), "--device: 'tpu' (expected auto, cuda or host)");
    EXPECT_NE(refusal({"--only", "gem"}).find("unknown suite 'gem' (expected collectives, nccl"),
              std::string::npos);
    EXPECT_EQ(refusal({"--ranks", "2,x"}),
              "--ranks: 'x' (expected whole numbers from 1 to 4096, as 2,4,8)");
    EXPECT_EQ(refusal({"-b", "2M", "-e", "1M"}),
              "-b: 2097152 bytes, -e: 1048576 bytes (expected -b at most -e)");
    EXPECT_EQ(refusal({"--blocks", "0"}), "--blocks: 0 (expected 1 to 1000)");
    EXPECT_NE(refusal({"--blocks", "many"}).find("see nvl72-measure --help"), std::string::npos);
    EXPECT_NE(refusal({"--frobnicate"}).find("--frobnicate"), std::string::npos);
    EXPECT_NE(refusal({"file.h5"}), "accepted");
    EXPECT_NE(refusal({"-f", "1"}), "accepted");
    EXPECT_NE(refusal({"--seed", "-3"}), "accepted");
}

}  // namespace
}  // namespace nvl72::measure
