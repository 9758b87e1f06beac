#include "sim/study/run.hpp"

#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <sstream>
#include <string>

namespace nvl72 {
namespace {

std::string const folder = NVL72_SOURCE_DIR "/tests/golden/sim/study/";

RunResult run_llama8b() {
    return run_experiment(load_experiment(folder + "llama8b.yaml", {}),
                          Library(NVL72_SOURCE_DIR "/configs"), {});
}

/// A result of made-up numbers: pins the columns of /sweep and the digest over them.
ResultFile fixed_result() {
    SweepRow row;
    row.kind = "system";
    row.system = row.cluster = "rack";
    row.gpu = "gb200";
    row.gpus = 72;
    row.step_s = 1.5;
    row.parts.compute = 1.25;
    row.parts.bubble = 0.25;
    row.basis = "on-grid";
    ResultFile file;
    file.config = "title: fixed\n";
    file.seed = 1;
    file.calibrations = {"gb200"};
    file.recipes = {"none"};
    file.tables.push_back(to_table({row}));
    return file;
}

/// Kept figures: a line each, "figure of system = value".
using Figures = std::map<std::string, std::string>;

Figures figures_now() {
    Figures figures{{"digest of fixed numbers", fixed_result().digest()}};
    for (SweepRow const& row : run_llama8b().rows) {
        figures["step_s of " + row.system] = fmt::format("{}", row.step_s);
        figures["memory_gib of " + row.system] = fmt::format("{}", row.memory_gib);
        for (StepPart const& part : step_parts) {
            figures[fmt::format("{} of {}", part.column, row.system)] =
                fmt::format("{}", row.parts.*part.member);
        }
    }
    return figures;
}

Figures figures_kept() {
    std::ifstream in(folder + "whole_run.txt");
    Figures figures;
    for (std::string line; std::getline(in, line);) {
        auto const at = line.find(" = ");
        if (at != std::string::npos) figures[line.substr(0, at)] = line.substr(at + 3);
    }
    return figures;
}

}  // namespace

// Figures hold to 1e-6; the digest exactly. tests/README.md says how to refresh them on purpose.
TEST(WholeRun, ComesToWhatWasKept) {
    auto const now = figures_now();
    if (std::getenv("NVL72_REFRESH") != nullptr) {  // NOLINT(concurrency-mt-unsafe)
        std::ofstream out(folder + "whole_run.txt");
        for (auto const& [figure, value] : now) out << figure << " = " << value << '\n';
        GTEST_SKIP() << "whole_run.txt is written anew: look at its diff";
    }
    auto const kept = figures_kept();
    ASSERT_EQ(kept.size(), now.size()) << "whole_run.txt holds other figures";
    for (auto const& [figure, value] : now) {
        ASSERT_TRUE(kept.contains(figure)) << figure;
        if (figure.starts_with("digest")) {
            EXPECT_EQ(value, kept.at(figure)) << figure;
            continue;
        }
        double const wanted = std::stod(kept.at(figure));
        EXPECT_NEAR(std::stod(value), wanted, 1e-6 * wanted) << figure;
    }
}

}  // namespace nvl72
