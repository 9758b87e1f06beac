#include "sim/config/write.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

void expect_same(Value const& a, Value const& b) {
    EXPECT_EQ(a.kind, b.kind) << a.place.text();
    EXPECT_EQ(a.scalar, b.scalar);
    if (!a.is_map()) {
        EXPECT_EQ(a.source, b.source) << a.scalar;
    }
    ASSERT_EQ(a.items.size(), b.items.size());
    for (std::size_t i = 0; i < a.items.size(); ++i) expect_same(a.items[i], b.items[i]);
    ASSERT_EQ(a.entries.size(), b.entries.size());
    for (std::size_t i = 0; i < a.entries.size(); ++i) {
        EXPECT_EQ(a.entries[i].name, b.entries[i].name);
        expect_same(a.entries[i].value, b.entries[i].value);
    }
}

TEST(YamlText, ReadsBackToTheSameTree) {
    Value inner;
    put(inner, "launch", leaf("2 us", "fitted: ten rows, 3 %"));
    put(inner, "peak", leaf("1 TFLOP/s", "fitted: ten rows, 3 %"));
    put(inner, "rows", leaf_list({"16", "32"}, "assumed: a \"quoted\" word"));
    Value root;
    put(root, "gpu", leaf("h100"));
    put(root, "odd", leaf("a: b #c"));
    put(root, "gemm", inner);
    auto const text = yaml_text(root);
    expect_same(root, parse_yaml(text, "t.yaml"));
    EXPECT_NE(text.find("gemm:\n  source: \"fitted: ten rows, 3 %\"\n  launch: 2 us\n"),
              std::string::npos)
        << text;
}

TEST(YamlText, ASourceNeverReachesALeafWithoutOne) {
    Value root;
    put(root, "a", leaf("1", "measured: here"));
    put(root, "b", leaf("2", "measured: here"));
    put(root, "c", leaf("3"));
    expect_same(root, parse_yaml(yaml_text(root), "t.yaml"));
}

TEST(YamlText, AListOfMapsReadsBack) {
    Value region, list, root;
    put(region, "ranks", leaf_list({"2", "4"}));
    put(region, "sizes", leaf_list({"512"}));
    list.kind = Value::Kind::list;
    list.items = {region, region};
    put(root, "measured", list);
    EXPECT_EQ(yaml_text(root),
              "measured: [{ranks: [2, 4], sizes: [512]}, {ranks: [2, 4], sizes: [512]}]\n");
    Value const read = parse_yaml(yaml_text(root), "x.yaml");
    EXPECT_EQ(read.find("measured")->items.at(1).find("ranks")->items.at(1).scalar, "4");
}

}  // namespace
}  // namespace nvl72
