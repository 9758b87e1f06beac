#include "sim/study/run.hpp"

#include "tests/support/small_experiment.hpp"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <sstream>
#include <string>

namespace nvl72 {
namespace {

using support::experiment_of;
using support::shipped_library;

/// Two systems on two GPUs, a sweep, a measured run, and published figures.
std::string text() {
    return std::string(support::small_experiment_text) +
           R"(    published: {tokens_per_s_per_gpu: {value: 9000, source: "published: nowhere"}}
    measured:
      - set: {global_batch: 48}
        published: {step: {value: 2.5 s, source: "measured: a log"}, step_p10: 2 s, step_p90: 3 s}
  - name: rack
    cluster: {name: gb200-nvl72, gpus: 16}
    layout: {tp: 2, pp: 2, cp: 2}
)";
}

RunResult run(std::string const& config, int threads = 1) {
    RunOptions options;
    options.threads = threads;
    options.program_version = "test";
    return run_experiment(experiment_of(config), shipped_library(), options);
}

std::string bytes_of(RunResult const& result) {
    support::TemporaryFile const file("", ".h5");
    write_result(result.file, file.path());
    std::ifstream in(file.path(), std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    return bytes.str();
}

std::string replaced(std::string text, std::string const& from, std::string const& to) {
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
    return text;
}

/// Digest of the numbers: every table but the columns named.
std::string numbers_of(RunResult const& result, std::set<std::string> const& but) {
    ResultFile file;
    file.tables = result.file.tables;
    for (ResultTable& table : file.tables) {
        std::erase_if(table.columns, [&](auto const& column) { return but.contains(column.name); });
    }
    return file.digest();
}

std::set<std::string> const published_columns{
    "published_tokens_per_s_per_gpu", "published_step_s", "published_step_low_s",
    "published_step_high_s",          "published_source", "error"};

}  // namespace

TEST(RunExperiment, GivesTheSameBytesTwiceAndOnAnyNumberOfThreads) {
    // The first points are the longest, so that later ones overtake them.
    std::string const config = text() + "sweep: {global_batch: [1024, 32]}\n";
    auto const once = run(config);
    auto const again = run(config);
    auto const threads = run(config, 2);
    auto const more = run(config, 5);
    ASSERT_EQ(once.rows.size(), 5U);
    EXPECT_EQ(once.file.digest(), again.file.digest());
    EXPECT_EQ(once.file.digest(), threads.file.digest());
    EXPECT_EQ(once.file.digest(), more.file.digest());
    std::string const bytes = bytes_of(once);
    EXPECT_GT(bytes.size(), 1000U);
    EXPECT_TRUE(bytes == bytes_of(again)) << "twice";
    EXPECT_TRUE(bytes == bytes_of(threads)) << "two threads";
    EXPECT_TRUE(bytes == bytes_of(more)) << "a thread a point";
}

TEST(RunExperiment, AnotherNumberIsAnotherDigest) {
    auto const one = run(text());
    auto const other = run(replaced(text(), "{global_batch: 48}", "{global_batch: 64}"));
    EXPECT_NE(numbers_of(one, {}), numbers_of(other, {}));
}

TEST(RunExperiment, PublishedFiguresNeverChangeAPrediction) {
    auto const told = run(text());
    std::string blank = replaced(
        text(),
        R"(    published: {tokens_per_s_per_gpu: {value: 9000, source: "published: nowhere"}})"
        "\n",
        "");
    blank = replaced(
        blank, R"({step: {value: 2.5 s, source: "measured: a log"}, step_p10: 2 s, step_p90: 3 s})",
        "{}");
    ASSERT_NE(blank, text());
    auto const untold = run(blank);
    EXPECT_EQ(numbers_of(told, published_columns), numbers_of(untold, published_columns));
    EXPECT_NE(numbers_of(told, {}), numbers_of(untold, {})) << "they were told apart";
    EXPECT_NEAR(told.rows[0].error, told.rows[0].tokens_per_s_per_gpu / 9000 - 1, 1e-12);
    EXPECT_NE(untold.rows[0].error, untold.rows[0].error) << "none: NaN";
    // Ten times what was published is ten times another error and the same prediction.
    auto const lied = run(replaced(text(), "9000", "90000"));
    EXPECT_EQ(numbers_of(told, published_columns), numbers_of(lied, published_columns));
}

TEST(RunExperiment, LabelsAndTitlesChangeNoNumber) {
    auto const named = run(text());
    auto const renamed = run(replaced(
        replaced(text(), "name: rack", "name: llama 405b h100 measured"), "a small run", "big"));
    EXPECT_EQ(renamed.rows[2].system, "llama 405b h100 measured");
    EXPECT_EQ(numbers_of(named, {"system"}), numbers_of(renamed, {"system"}));
    EXPECT_NE(numbers_of(named, {}), numbers_of(renamed, {}));
}

// The measured run is predicted as it was run: with its batch, not its system's.
TEST(RunExperiment, AMeasuredRunIsPredictedWithItsOwnSettings) {
    auto const result = run(text());
    ASSERT_EQ(result.rows.size(), 3U);
    SweepRow const& measured = result.rows[1];
    EXPECT_EQ(measured.kind, "measured");
    EXPECT_EQ(measured.global_batch, 48);
    auto const alone = run(replaced(text(), "global_batch: 16", "global_batch: 48"));
    EXPECT_EQ(alone.rows[0].global_batch, 48);
    EXPECT_EQ(measured.step_s, alone.rows[0].step_s);
    EXPECT_NEAR(measured.error, 2.5 / measured.step_s - 1, 1e-12);
    EXPECT_EQ(measured.published_step_low_s, 2);
    EXPECT_EQ(measured.published_step_high_s, 3);
}

// /classes sums to the step, /memory to the row's figure, and no link is above its capacity.
TEST(RunExperiment, ItsTablesAgree) {
    auto const result = run(text());
    auto const reals = [&](char const* table, char const* column) {
        return std::get<std::vector<double>>(result.file.find(table)->find(column)->values);
    };
    auto const counts = [&](char const* table, char const* column) {
        return std::get<std::vector<std::int64_t>>(result.file.find(table)->find(column)->values);
    };
    auto const points = counts("classes", "point");
    for (std::size_t c = 0; c < points.size(); ++c) {
        double sum = 0;
        for (StepPart const& part : step_parts) {
            sum += reals("classes", std::string(part.column).c_str())[c];
        }
        double const step = result.rows[static_cast<std::size_t>(points[c])].step_s;
        EXPECT_NEAR(sum, step, 1e-9 * step);
    }
    auto const owners = counts("memory", "point");
    auto const stages = counts("memory", "class");
    auto const gib = reals("memory", "gib");
    for (SweepRow const& row : result.rows) {
        std::map<std::int64_t, double> by_stage;
        for (std::size_t i = 0; i < owners.size(); ++i) {
            if (owners[i] == row.point) by_stage[stages[i]] += gib[i];
        }
        double fullest = 0;
        for (auto const& [stage, held] : by_stage) fullest = std::max(fullest, held);
        EXPECT_NEAR(fullest, row.memory_gib, 1e-9 * row.memory_gib);
    }
    auto const links = counts("links", "point");
    for (std::size_t i = 0; i < links.size(); ++i) {
        double const step = result.rows[static_cast<std::size_t>(links[i])].step_s;
        double const used = reals("links", "utilisation")[i];
        EXPECT_DOUBLE_EQ(used, reals("links", "bytes")[i] / (reals("links", "capacity")[i] * step));
        EXPECT_LE(used, 1 + 1e-9);
    }
    std::vector<std::int64_t> const tasks = counts("ops", "start_ps");
    std::vector<std::int64_t> const ends = counts("ops", "end_ps");
    std::vector<std::int64_t> const of = counts("ops", "point");
    std::int64_t last = 0;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        EXPECT_LT(tasks[i], ends[i]);
        if (of[i] == 0) last = std::max(last, ends[i]);
    }
    EXPECT_NEAR(static_cast<double>(last) * 1e-12, result.rows[0].step_s, 1e-12);
}

// A trace is written or not; the predictions are the same.
TEST(RunExperiment, TracingChangesNoPrediction) {
    RunOptions options;
    auto const traced = run_experiment(experiment_of(text()), shipped_library(), options);
    options.trace = TraceLevel::none;
    auto const plain = run_experiment(experiment_of(text()), shipped_library(), options);
    ASSERT_EQ(plain.file.tables.size(), 2U);  // /sweep, and /swept of its keys
    EXPECT_NE(traced.file.find("ops"), nullptr);
    ASSERT_EQ(traced.rows.size(), plain.rows.size());
    for (std::size_t i = 0; i < plain.rows.size(); ++i) {
        EXPECT_EQ(traced.rows[i].step_s, plain.rows[i].step_s);
    }
}

}  // namespace nvl72
