#include "sim/base/text.hpp"
#include "sim/collective/algorithms.hpp"
#include "sim/cost/profile.hpp"
#include "topology/fabric.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <string>
#include <vector>

namespace nvl72 {
namespace {

struct Measured {
    std::string gpu, op, type;
    std::int64_t ranks = 0, domains = 1, bytes = 0;
    double us = 0;
};

std::vector<std::vector<std::string>> cells_of(std::string const& name) {
    std::ifstream file(NVL72_SOURCE_DIR "/configs/measurements/collectives/" + name);
    std::vector<std::vector<std::string>> rows;
    for (std::string line; std::getline(file, line);) {
        if (!line.empty() && line[0] != '#') rows.push_back(split(line, ','));
    }
    EXPECT_GT(rows.size(), 1U) << name;
    rows.erase(rows.begin());
    return rows;
}

std::vector<Measured> in_node() {
    std::vector<Measured> rows;
    for (auto const& cells : cells_of("in-node.csv")) {
        rows.push_back({cells[0], cells[1], cells[2], std::stoll(cells[3]), 1, std::stoll(cells[4]),
                        std::stod(cells[5])});
    }
    return rows;
}

/// The quicker of out of place and in place.
std::vector<Measured> logs() {
    std::vector<Measured> rows;
    for (auto const& cells : cells_of("logs.csv")) {
        double us = 1e300;
        for (std::size_t i : {7, 8}) {
            if (!cells[i].empty()) us = std::min(us, std::stod(cells[i]));
        }
        rows.push_back({cells[0], cells[1], cells[5], std::stoll(cells[2]), std::stoll(cells[3]),
                        std::stoll(cells[6]), us});
    }
    return rows;
}

/// predicted / measured - 1, on the wiring the rows were measured on.
double error_of(Measured const& row) {
    static Library const library(NVL72_SOURCE_DIR "/configs");
    static std::map<std::string, Profile> profiles;
    if (!profiles.contains(row.gpu)) profiles.emplace(row.gpu, load_profile(library, row.gpu));
    Profile const& profile = profiles.at(row.gpu);
    GroupShape shape;
    shape.ranks = row.ranks;
    shape.domains = row.domains;
    shape.ranks_per_domain = row.ranks / row.domains;
    shape.planes = shape.planes_up = 4;
    shape.in_domain = profile.collectives->nvlink;
    shape.per_gpu_nic = BytesPerSecond{50e9};
    int const bytes = row.type == "int8" ? 1 : row.type == "half" ? 2 : 4;
    auto const plan =
        plan_collective(profile, parse_collective_op(row.op), Bytes{row.bytes}, shape, bytes);
    return to_microseconds(cost(profile, plan.query, Load::burst).time) / row.us - 1;
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
        if (row.gpu != "gb200" || row.ranks != 72) continue;
        double const error = error_of(row);
        std::cout << row.bytes << " bytes: " << significant(100 * error, 2) << " %\n";
        EXPECT_LT(std::abs(error), 0.10) << row.bytes;
        ++seen;
    }
    EXPECT_EQ(seen, 5);
}

/// Boxes joined by NICs, from 256 MiB up; no fabric is calibrated.
TEST(CollectivesAcrossBoxes, MedianIsWithinTenPercent) {
    std::map<std::string, Errors> by_case;
    Errors all;
    for (auto const& row : logs()) {
        if (row.domains == 1 || row.op == "sendrecv") continue;
        double const error = error_of(row);
        by_case[row.gpu + " " + row.op + " " + std::to_string(row.ranks)].all.push_back(error);
        all.all.push_back(error);
    }
    for (auto const& [name, errors] : by_case) std::cout << name << ": " << errors.text() << '\n';
    EXPECT_LT(all.at(0.5), 0.10) << all.text();
}

TEST(CollectivesInOneBox, LargeBuffersOfLogsAreWithinFivePercent) {
    Errors all;
    for (auto const& row : logs()) {
        if (row.gpu != "h100" || row.domains != 1 || row.op == "sendrecv") continue;
        all.all.push_back(error_of(row));
    }
    std::cout << all.text() << '\n';
    EXPECT_LT(all.at(0.5), 0.05);
}

}  // namespace
}  // namespace nvl72
