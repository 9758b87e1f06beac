#include "sim/base/text.hpp"
#include "sim/collective/algorithms.hpp"
#include "sim/cost/fabric_profile.hpp"
#include "sim/cost/profile.hpp"
#include "sim/interchange/collective_table.hpp"
#include "topology/fabric.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {
namespace {

std::vector<MeasuredCollective> rows_of(std::string const& name) {
    return read_collective_table(
        CsvTable::load(NVL72_SOURCE_DIR "/configs/measurements/collectives/" + name), "");
}
std::vector<MeasuredCollective> in_node() { return rows_of("in-node.csv"); }
std::vector<MeasuredCollective> logs() { return rows_of("logs.csv"); }

/// predicted / measured - 1, on the wiring and over the fabric the rows were measured on; the
/// quicker of out of place and in place.
double error_of(MeasuredCollective const& row) {
    static Library const library(NVL72_SOURCE_DIR "/configs");
    static std::map<std::pair<std::string, std::string>, Profile> profiles;
    auto const& query = row.query;
    auto const fabric = query.shape.domains > 1 ? fabric_name(library, row.fabric) : "";
    auto const key = std::pair(row.gpu, fabric);
    if (!profiles.contains(key)) {
        Profile profile = load_profile(library, row.gpu);
        if (!fabric.empty()) profile = with_fabric(profile, load_fabric_profile(library, fabric));
        profiles.emplace(key, std::move(profile));
    }
    Profile const& profile = profiles.at(key);
    GroupShape shape = query.shape;
    shape.in_domain = profile.collectives->nvlink;
    auto const plan = plan_collective(profile, query.op, query.size, shape, query.bytes_per_element,
                                      row.algorithm, query.launch);
    return to_seconds(cost(profile, plan.query, Load::burst).time) / row.seconds - 1;
}

struct Errors {
    std::vector<double> all;
    [[nodiscard]] double at(double share) const {
        std::vector<double> sorted;
        for (double const error : all) sorted.push_back(std::abs(error));
        std::ranges::sort(sorted);
        return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
    }
    [[nodiscard]] std::string text() const {
        return std::to_string(all.size()) + " rows, median " + significant(100 * at(0.5), 2) +
               " %, p95 " + significant(100 * at(0.95), 2) + " %, worst " +
               significant(100 * at(1), 2) + " %";
    }
};

/// Every GPU with a table and a profile of its own, every collective: the fit's own rows.
TEST(CollectivesInNode, MedianIsWithinFivePercentAndNinetyFivePercentWithinThirty) {
    static Library const library(NVL72_SOURCE_DIR "/configs");
    auto const names = library.names("calibration");
    std::map<std::string, Errors> by_case;
    for (auto const& row : in_node()) {
        if (std::ranges::find(names, row.gpu) == names.end()) continue;
        if (!load_profile(library, row.gpu).collectives) continue;
        by_case[row.gpu + " " + row.op].all.push_back(error_of(row));
    }
    EXPECT_GE(by_case.size(), 8U);
    for (auto const& [name, errors] : by_case) {
        std::cout << name << ": " << errors.text() << '\n';
        EXPECT_LT(errors.at(0.5), 0.05) << name;
        EXPECT_LT(errors.at(0.95), 0.30) << name;
    }
}

/// Every size of the rack's own log, 512 MiB to 8 GiB.
TEST(CollectivesOfOneRack, AllReduceOf72IsWithinTenPercentAtEverySize) {
    int seen = 0;
    for (auto const& row : logs()) {
        if (row.gpu != "gb200" || row.query.shape.ranks != 72) continue;
        double const error = error_of(row);
        auto const bytes = row.query.size.count;
        std::cout << bytes << " bytes: " << significant(100 * error, 2) << " %\n";
        EXPECT_LT(std::abs(error), 0.10) << bytes;
        ++seen;
    }
    EXPECT_EQ(seen, 5);
}

/// Two racks of 64 without NVLS, 8 B to 512 MiB: 126 NVLink steps and 2 hops, then the chains'
/// bytes.
TEST(CollectivesOfTwoRacks, TheTreeIsWithinTenPercentAtTheMedian) {
    Errors all;
    for (auto const& row : logs()) {
        if (row.gpu == "gb200" && row.algorithm == "tree") all.all.push_back(error_of(row));
    }
    std::cout << all.text() << '\n';
    EXPECT_EQ(all.all.size(), 19U);
    EXPECT_LT(all.at(0.5), 0.10);
    EXPECT_LT(all.at(1), 0.30);
}

/// Boxes joined by InfiniBand or RoCE, every size there is.
TEST(CollectivesAcrossBoxes, MedianIsWithinFivePercentForLargeBuffersAndTenForOthers) {
    Errors large, others;
    for (auto const& row : logs()) {
        bool const rdma = row.fabric == "infiniband" || row.fabric == "roce";
        if (row.query.shape.domains == 1 || !rdma || row.op == "sendrecv") continue;
        (row.query.size < line_rate_decides_from ? others : large).all.push_back(error_of(row));
    }
    std::cout << "from 256 MB: " << large.text() << "; below: " << others.text() << '\n';
    EXPECT_LT(large.at(0.5), 0.05);
    EXPECT_LT(large.at(0.95), 0.20);
    EXPECT_LT(others.at(0.5), 0.10);
    EXPECT_LT(others.at(0.95), 0.40);
}

TEST(CollectivesInOneBox, LargeBuffersOfLogsAreWithinFivePercent) {
    Errors all;
    for (auto const& row : logs()) {
        if (row.gpu != "h100" || row.query.shape.domains != 1) continue;
        all.all.push_back(error_of(row));
    }
    std::cout << all.text() << '\n';
    EXPECT_LT(all.at(0.5), 0.05);
}

}  // namespace
}  // namespace nvl72
