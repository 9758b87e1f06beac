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

TEST(Csv, MalformedTablesNameTheLine) {
    EXPECT_EQ(message_of([] { CsvTable::parse("a,b\n1\n", "t.csv"); }),
              "t.csv:2: 1 fields (expected 2, as in the header)");
    EXPECT_EQ(message_of([] { CsvTable::parse("# nothing\n", "t.csv"); }),
              "t.csv:1: no header line (expected column names)");
    EXPECT_EQ(message_of([] { CsvTable::parse("a,a\n", "t.csv"); }),
              "t.csv:1: a: a column given twice (expected once)");
    EXPECT_EQ(message_of([] { CsvTable::parse("a\n\"open\n", "t.csv"); }),
              "t.csv:2: a quote that never closes (expected \"...\")");
    EXPECT_EQ(message_of([] { CsvTable::load("/no/such.csv"); }), "/no/such.csv: no such file");
    EXPECT_EQ(message_of([] { CsvTable::load("/"); }), "/: not a file (expected a CSV file)");
}

}  // namespace
}  // namespace nvl72
