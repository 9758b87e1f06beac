#include "sim/interchange/csv.hpp"

#include "sim/base/error.hpp"

#include <functional>
#include <gtest/gtest.h>

namespace nvl72 {
namespace {

std::string message_of(std::function<void()> const& action) {
    try {
        action();
        return "no error";
    } catch (ConfigError const& error) {
        return error.what();
    }
}

TEST(Csv, QuotedFieldsHoldCommasQuotesAndLines) {
    auto const table = CsvTable::parse(
        "# note\na,b\r\n\"x, y\",\"say \"\"hi\"\"\"\r\n\n\"two\nlines\",3", "t.csv");
    ASSERT_EQ(table.rows(), 2U);
    EXPECT_EQ(table.text(0, "a"), "x, y");
    EXPECT_EQ(table.text(0, "b"), "say \"hi\"");
    EXPECT_EQ(table.text(1, "a"), "two\nlines");
    EXPECT_EQ(table.place(0, "a").line, 3);
    EXPECT_EQ(table.place(1, "a").line, 5);
}

TEST(Csv, NumbersNameLineAndColumn) {
    auto const table = CsvTable::parse("m,time_us\n4,1.5\nfour,-1\n", "t.csv");
    EXPECT_EQ(table.whole(0, "m", 1), 4);
    EXPECT_DOUBLE_EQ(table.positive(0, "time_us"), 1.5);
    EXPECT_EQ(message_of([&] { (void)table.whole(1, "m", 1); }),
              "t.csv:3: m: 'four' (expected a whole number of at least 1)");
    EXPECT_EQ(message_of([&] { (void)table.whole(0, "m", 5); }),
              "t.csv:2: m: '4' (expected a whole number of at least 5)");
    EXPECT_EQ(message_of([&] { (void)table.positive(1, "time_us"); }),
              "t.csv:3: time_us: '-1' (expected a number above 0)");
    EXPECT_EQ(message_of([&] { (void)table.text(0, "n"); }),
              "t.csv:1: no column 'n' (expected m, time_us)");
}

TEST(Csv, NotANumberIsNoNumber) {
    auto const table = CsvTable::parse("x\nnan\ninf\n1e999\n0\n\"\"\n1 2\n", "t.csv");
    for (std::size_t row = 0; row < table.rows(); ++row) {
        EXPECT_NE(message_of([&] { (void)table.positive(row, "x"); }), "no error") << row;
    }
}

TEST(Csv, TablesWithoutAHeaderNameTheFile) {
    EXPECT_EQ(message_of([] { CsvTable::parse("# nothing\n", "t.csv"); }),
              "t.csv:1: no header line (expected column names)");
    EXPECT_EQ(message_of([] { CsvTable::load("/no/such.csv"); }), "/no/such.csv: no such file");
    EXPECT_EQ(message_of([] { CsvTable::load("/"); }), "/: not a file (expected a CSV file)");
}

TEST(Csv, ADamagedRowKeepsItsPlaceAndFailsAlone) {
    auto const table = CsvTable::parse("a,b\n1,2\n3\n4,5,6\n7,8,,\n9,10\n11", "t.csv");
    ASSERT_EQ(table.rows(), 6U);
    EXPECT_EQ(table.text(0, "b"), "2");
    EXPECT_EQ(message_of([&] { (void)table.text(1, "a"); }),
              "t.csv:3: 1 fields (expected 2, as in the header)");
    EXPECT_EQ(message_of([&] { (void)table.text(2, "a"); }),
              "t.csv:4: 3 fields (expected 2, as in the header)");
    EXPECT_EQ(table.text(3, "b"), "8");  // commas too many, and nothing behind them
    EXPECT_EQ(table.text(4, "b"), "10");
    EXPECT_EQ(message_of([&] { (void)table.text(5, "a"); }),  // cut
              "t.csv:7: 1 fields (expected 2, as in the header)");
}

TEST(Csv, AStrayQuoteTakesOneLineAndNoMore) {
    auto const table = CsvTable::parse("a,b\n1,\"2\n3,4\n5,6\n", "t.csv");
    ASSERT_EQ(table.rows(), 3U);
    EXPECT_EQ(message_of([&] { (void)table.text(0, "a"); }),
              "t.csv:2: a quote that never closes (expected \"...\")");
    EXPECT_EQ(table.text(1, "b"), "4");
    EXPECT_EQ(table.place(2, "a").line, 4);
    auto const closed = CsvTable::parse("a,b\n1,\"2\n3,4\n5,\"6\n7,8\n", "t.csv");
    ASSERT_EQ(closed.rows(), 4U);  // the quotes close each other: one in line 2, one in line 4
    EXPECT_EQ(closed.text(1, "b"), "4");
    EXPECT_EQ(closed.text(3, "b"), "8");
}

TEST(Csv, ReadsWhatOtherProgramsWrite) {
    // A mark, returns, spaces, quotes, a line of commas, a last column without a name.
    auto const table = CsvTable::parse(
        "\xEF\xBB\xBF M , \"time_us\" ,\r\n 4 , \"1.5\" ,\r\n,,\r\n  \r\n5.0,NaN,\r\n", "t.csv");
    ASSERT_EQ(table.rows(), 2U);
    EXPECT_EQ(table.whole(0, "m", 1), 4);
    EXPECT_DOUBLE_EQ(table.positive(0, "time_us"), 1.5);
    EXPECT_EQ(table.whole(1, "m", 1), 5);
    EXPECT_DOUBLE_EQ(table.positive_or_blank(1, "time_us"), 0);
    EXPECT_NE(message_of([&] { (void)table.positive(1, "time_us"); }), "no error");
    EXPECT_EQ(CsvTable::parse("a,b\r1,2\r3,4\r", "t.csv").rows(), 2U);
}

TEST(Csv, ARowIsSetAsideInAColumnOfAnyTable) {
    auto const table =
        CsvTable::parse("a,quality,aside\n1,ok,\n1,noisy,\n1,OK,throttled\n1,,\n", "t.csv");
    EXPECT_EQ(aside_of(table, 0), "");
    EXPECT_EQ(aside_of(table, 1), "quality 'noisy'");
    EXPECT_EQ(aside_of(table, 2), "throttled");
    EXPECT_EQ(aside_of(table, 3), "");
}

TEST(Csv, AColumnGivenTwiceMustAgree) {
    auto const table = CsvTable::parse("a,a\n1,1\n1,2\n", "t.csv");
    EXPECT_EQ(table.text(0, "a"), "1");
    EXPECT_EQ(message_of([&] { (void)table.text(1, "a"); }),
              "t.csv:3: a: a column given twice, with different cells (expected once)");
}

}  // namespace
}  // namespace nvl72
