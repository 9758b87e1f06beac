#include "sim/config/value.hpp"

#include "sim/base/error.hpp"
#include "sim/config/quantity.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

template <class Act>
std::string said(Act const& act) {
    try {
        act();
    } catch (ConfigError const& error) {
        return error.what();
    }
    return "";
}

std::string refused(std::string const& text) {
    return said([&] { parse_yaml(text, "f.yaml"); });
}

Value with(std::string const& text, std::string const& assignment) {
    Value root = parse_yaml(text, "f.yaml");
    apply_override(root, assignment);
    return root;
}

}  // namespace

TEST(ParseYaml, RefusesWhatYamlWouldPassOver) {
    EXPECT_EQ(refused("a: 1\nb: 2\na: 3"),
              "f.yaml:3: a: given twice (expected once; the first is on line 1)");
    EXPECT_EQ(refused("a: {b: 1, b: 2}"),
              "f.yaml:1: a.b: given twice (expected once; the first is on line 1)");
    EXPECT_EQ(refused("a: &a {b: 1}\n<<: *a"),
              "f.yaml:2: <<: a merge key (expected write the keys out)");
    EXPECT_EQ(refused("a: 1\n---\nb: 2"), "f.yaml:3: 2 YAML documents (expected one)");
    EXPECT_EQ(refused(""), "f.yaml:1: no keys (expected key: value lines)");
    EXPECT_EQ(refused("[1]"), "f.yaml:1: no keys (expected key: value lines)");
    EXPECT_TRUE(refused("a: &x [*x]").ends_with("nested too deep (expected at most 64 levels)"));
    EXPECT_EQ(refused("a: " + std::string(5000, '[')), "f.yaml:1: not YAML: nested too deep");
}

TEST(ParseYaml, GivesEveryLeafItsOwnOrTheNearestSource) {
    Value const root = parse_yaml(
        "source: assumed\na: 1\nb: {source: 'measured: x', c: 2, d: {value: 3, source: derived}}",
        "f.yaml");
    EXPECT_EQ(root.find("a")->source, "assumed");
    EXPECT_EQ(root.find("b")->find("c")->source, "measured: x");
    EXPECT_EQ(root.find("b")->find("d")->source, "derived");
    EXPECT_EQ(root.find("b")->find("d")->scalar, "3");
    EXPECT_TRUE(
        refused("a: {value: 1, source: hearsay}").starts_with("f.yaml:1: a.source: 'hearsay'"));
    EXPECT_TRUE(refused("a: {value: 1, source: }").starts_with("f.yaml:1: a.source: no text"));
    EXPECT_TRUE(refused("a: {value: 1, unit: s}").starts_with("f.yaml:1: a.unit: unknown key"));
}

TEST(Override, ReachesListItemsAndMakesMissingMaps) {
    Value const root = with("s: [{n: 1}, {n: 2}]", "s.1.n=7");
    EXPECT_EQ(root.find("s")->items[1].find("n")->scalar, "7");
    EXPECT_EQ(root.find("s")->items[1].find("n")->place.text(), "command line: s[1].n");
    EXPECT_EQ(with("a: 1", "b.c=2").find("b")->find("c")->scalar, "2");
}

TEST(Override, KeepsWholePathsInsideListsAndMaps) {
    Value const root = with("s: [{n: 1}]", "s.0.n=[{k: 5}]");
    EXPECT_EQ(root.find("s")->items[0].find("n")->items[0].find("k")->place.text(),
              "command line: s[0].n[0].k");
}

TEST(Override, TakesAValueWithItsSource) {
    Value const root = with("a: 1", "a={value: 8, source: 'published: x'}");
    EXPECT_EQ(root.find("a")->scalar, "8");
    EXPECT_EQ(root.find("a")->source, "published: x");
}

TEST(Override, SaysWhatIsWrongWithIt) {
    auto const wrong = [](std::string const& text) {
        return said([&] { with("s: [1, 2]", text); });
    };
    EXPECT_EQ(wrong("s"), "command line: s: no value (expected KEY=VALUE)");
    EXPECT_EQ(wrong("s.2=1"), "command line: s.2: no item '2' (expected 0 to 1)");
    EXPECT_EQ(wrong("s.-1=1"), "command line: s.-1: no item '-1' (expected 0 to 1)");
    EXPECT_EQ(
        wrong("s.18446744073709551617=1"),
        "command line: s.18446744073709551617: no item '18446744073709551617' (expected 0 to 1)");
    EXPECT_EQ(wrong("s.0.x=1"), "command line: s.0.x: 's[0]' holds no keys");
    EXPECT_EQ(wrong("s..0=1"),
              "command line: s..0: an empty name in 's..0' (expected names joined by "
              "dots, such as systems.0.cluster.gpus)");
    EXPECT_EQ(wrong("t={a: 1"), "command line: t:1: not YAML: end of map flow not found");
    EXPECT_EQ(wrong("t=1\nu: 2"), "command line: t: several lines (expected one line)");
}

TEST(ParseQuantity, WantsAFiniteNumberAndItsOwnUnit) {
    EXPECT_EQ(parse_quantity("80 GB", Dimension::bytes), 8e10);
    EXPECT_EQ(parse_quantity("400 Gb/s", Dimension::bytes_per_second), 5e10);
    EXPECT_EQ(parse_quantity("1.5", Dimension::number), 1.5);
    EXPECT_EQ(parse_quantity("0.5", Dimension::number), 0.5);
    for (char const* text : {"80", "80 Gb", "GB", "", "80 GB/s", "1e400 GB", "inf GB", "nan GB",
                             "0x10 GB", "010 GB", "1_000 GB", "80 gb", "80 GB GB"}) {
        EXPECT_FALSE(parse_quantity(text, Dimension::bytes)) << text;
    }
    for (char const* text : {"010", "-01", ".inf", ".nan", "0x10", "1_000", "1e400", "1,5", "+1"}) {
        EXPECT_FALSE(parse_quantity(text, Dimension::number)) << text;
    }
}

TEST(ReadQuantity, BoundsWhatIntegersHold) {
    auto const told = [](auto read, std::string const& text) {
        Value const root = parse_yaml("a: " + text, "f.yaml");
        return said([&] { read(root.entries.at(0).value); });
    };
    EXPECT_EQ(told(ValueType<Picoseconds>::read, "1e30 s"),
              "f.yaml:1: a: '1e30 s' (expected less than 9.2e6 s (106 days))");
    EXPECT_EQ(told(ValueType<Picoseconds>::read, "-1 us"),
              "f.yaml:1: a: '-1 us' (expected 0 or more)");
    EXPECT_EQ(told(ValueType<Bytes>::read, "1e30 GB"),
              "f.yaml:1: a: '1e30 GB' (expected less than 9.2 EB)");
    EXPECT_EQ(told(ValueType<int>::read, "3000000000"),
              "f.yaml:1: a: '3000000000' (expected a whole number of at most 2147483647)");
    EXPECT_EQ(told(ValueType<int>::read, "010"),
              "f.yaml:1: a: '010' (expected a whole number without leading zeros)");
    EXPECT_EQ(told(ValueType<std::int64_t>::read, "-9223372036854775809"),
              "f.yaml:1: a: '-9223372036854775809' (expected a whole number)");
    EXPECT_EQ(told(ValueType<bool>::read, "yes"), "f.yaml:1: a: 'yes' (expected true or false)");
}

TEST(Quantity, LongTimesMayBeWrittenInDays) {
    EXPECT_EQ(parse_quantity("54 days", Dimension::seconds), 54 * 86400.0);
    EXPECT_EQ(parse_quantity("1 day", Dimension::seconds), 86400.0);
    EXPECT_EQ(parse_quantity("2d", Dimension::seconds), 2 * 86400.0);
    EXPECT_EQ(format_quantity(54 * 86400.0, Dimension::seconds), "1296 h");  // as it always was
}

}  // namespace nvl72
