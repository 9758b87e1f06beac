#include "sim/trace/seal.hpp"

#include "sim/base/error.hpp"
#include "sim/trace/layout.hpp"

#include <gtest/gtest.h>
#include <string>

namespace nvl72 {
namespace {

std::vector<char> sealed(std::string const& content) {
    std::string const text = std::string(seal_size, ' ') + content;
    std::vector<char> file(text.begin(), text.end());
    seal(file);
    return file;
}

std::string refusal(std::vector<char> const& file) {
    try {
        check_seal(file, "x.h5");
    } catch (ConfigError const& error) {
        return error.what();
    }
    return "";
}

bool holds(std::string const& text, std::string const& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

// CRC-32 of "123456789" is cbf43926: the check value of every description of zlib's CRC-32.
TEST(Seal, IsOneLineWithTheCrcOfZlibAndTheLength) {
    auto const file = sealed("123456789");
    std::string const front(file.begin(), file.begin() + seal_size);
    std::string const line = "nvl72sim result 1 crc32 cbf43926 9\n";
    EXPECT_EQ(front, line + std::string(seal_size - line.size(), '\n'));
    EXPECT_EQ(refusal(file), "");
}

TEST(Seal, EveryChangedByteOfAResultIsRefusedWithTheRemedy) {
    ResultFile result;
    result.tables.push_back({"sweep", {{"x", "s", "", std::vector<double>{1, 2}}}});
    auto const whole = result_image(result);
    ASSERT_EQ(refusal(whole), "");
    for (std::size_t at = 0; at < whole.size(); ++at) {
        auto file = whole;
        file[at] = static_cast<char>(file[at] ^ (1 << at % 8));
        auto const text = refusal(file);
        ASSERT_TRUE(holds(text, "x.h5: ") && holds(text, "run the experiment again")) << at;
    }
}

TEST(Seal, EveryTruncationAndAnyExtensionIsRefused) {
    auto file = sealed("some content");
    file.push_back('\n');
    EXPECT_TRUE(holds(refusal(file), "damaged or truncated"));
    file.pop_back();
    while (!file.empty()) {
        file.pop_back();
        ASSERT_NE(refusal(file), "") << file.size();
    }
}

TEST(Seal, SaysWhatAFileIsInsteadOfAResult) {
    std::string const hdf5 = "\x89HDF\r\n\x1a\n and so on";
    EXPECT_TRUE(holds(refusal({hdf5.begin(), hdf5.end()}), "an HDF5 file of another program"));
    std::string const later = "nvl72sim result 2 crc32 00000000 0\n";
    EXPECT_TRUE(holds(refusal({later.begin(), later.end()}), "this program reads version 1"));
    std::string const text = "title: a\n";
    EXPECT_TRUE(holds(refusal({text.begin(), text.end()}), "not a result file of nvl72sim"));
}

}  // namespace nvl72
