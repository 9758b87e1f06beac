#include "sim/base/error.hpp"
#include "sim/interchange/job_file.hpp"
#include "sim/study/import_job.hpp"
#include "sim/study/point.hpp"
#include "tests/support/folder.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace nvl72 {
namespace {

std::string const data = NVL72_SOURCE_DIR "/tests/data/import/";

/// A public run and how a user would import it; its golden files are
/// tests/golden/sim/study/import/NAME*.
struct Sample {
    std::string name, file;
    std::map<std::string, std::string> words;
    std::string cluster, gpu;
};

std::vector<Sample> const& samples() {
    static std::vector<Sample> const all{
        {"qwen3-235b", "megatron/qwen3-235b.sh", {}, "hgx-h100-superpod", ""},
        {"gpt-345m", "megatron/gpt-345m.txt", {{"vocab_size", "50257"}}, "", ""},
        {"llama3-70b", "megatron/llama3-70b.log", {}, "", ""},
        {"llama32-1b", "bridge/llama32-1b.log", {{"world_size", "8"}}, "", "h100"},
        {"deepseek-v3", "bridge/deepseek_v3_pretrain_gb200_nvfp4.yaml", {}, "", ""},
        {"tyche-ngpu256", "mlperf/tyche_ngpu256", {}, "", ""},
        {"tyche-ngpu8", "mlperf/NVIDIA/results/tyche_ngpu8_ngc25.09_nemo/llama31_8b", {}, "", ""},
    };
    return all;
}

std::string text_of(std::string const& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

ImportedJob import_of(Sample const& sample, std::string const& folder) {
    ImportOptions options;
    options.cluster = sample.cluster;
    options.gpu = sample.gpu;
    options.output = folder + "/" + sample.name + ".yaml";
    auto const job = read_job_file(data + sample.file, {std::nullopt, sample.words});
    return import_job(job, options, Library(NVL72_SOURCE_DIR "/configs"));
}

class ImportedJobs : public testing::TestWithParam<Sample> {};

TEST_P(ImportedJobs, AreWrittenAsKept) {
    bool const refresh = std::getenv("NVL72_REFRESH") != nullptr;  // NOLINT(concurrency-mt-unsafe)
    std::string const kept = NVL72_SOURCE_DIR "/tests/golden/sim/study/import/";
    auto const folder = support::folder("import-" + GetParam().name, {});
    auto const imported = import_of(GetParam(), folder);
    ASSERT_FALSE(imported.files.empty());
    for (auto const& file : imported.files) {
        auto const name = std::filesystem::path(file.path).filename().string();
        auto const written = text_of(file.path);
        EXPECT_EQ(written, file.text) << name;
        EXPECT_EQ(written.find(NVL72_SOURCE_DIR), std::string::npos) << name;
        if (refresh) std::ofstream(kept + name, std::ios::binary) << written;
        EXPECT_EQ(written, text_of(kept + name)) << name;
    }
}

/// What the settings said is what the loaded experiment has: nothing is lost on the way.
TEST_P(ImportedJobs, RunWithTheNumbersOfTheirFile) {
    auto const folder = support::folder("import-run-" + GetParam().name, {});
    auto const imported = import_of(GetParam(), folder);
    Library const library(NVL72_SOURCE_DIR "/configs");
    auto const experiment = load_experiment(imported.files.front().path, {});
    ASSERT_EQ(experiment.points.size(), 1U);
    auto const loaded = load_point(experiment.points[0], library, {});
    auto const number = [&](std::string const& ours) -> std::int64_t {
        for (auto const& taken : imported.facts.taken) {
            if (taken.ours == ours) return std::stoll(taken.value);
        }
        return -1;
    };
    auto const same = [&](std::string const& ours, std::int64_t value) {
        if (number(ours) < 0) return;
        EXPECT_EQ(std::max<std::int64_t>(1, number(ours)), value) << ours;
    };
    auto const& parallel = loaded.parallel;
    same("layout.tp", parallel.tp);
    same("layout.pp", parallel.pp);
    same("layout.cp", parallel.cp);
    same("layout.vp", parallel.vp);
    same("layout.ep", parallel.ep);
    same("layout.micro_batch", parallel.micro_batch);
    same("cluster.gpus", parallel.gpus);
    same("global_batch", parallel.global_batch);
    same("sequence_length", parallel.sequence);
    same("model.layers", loaded.model.layers);
    same("model.hidden", loaded.model.hidden);
    same("model.heads", loaded.model.heads);
    same("model.experts", std::max(1, loaded.model.experts));
    EXPECT_TRUE(memory_fits(loaded));
    EXPECT_GT(simulate_point(loaded, 0).row.step_s, 0);
}

INSTANTIATE_TEST_SUITE_P(Public, ImportedJobs, testing::ValuesIn(samples()), [](auto const& info) {
    std::string name;
    for (char const c : info.param.name) {
        if (std::isalnum(static_cast<unsigned char>(c)) != 0) name += c;
    }
    return name;
});

TEST(ImportJob, LeavesNothingBehindWhereItThrows) {
    auto const folder = support::folder("import-none", {});
    Sample sample = samples()[0];
    sample.words["PP"] = "7";
    EXPECT_THROW((void)import_of(sample, folder), ConfigError);
    EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(ImportJob, KeepsAFileThatWasThereBefore) {
    auto const folder = support::folder("import-kept", {{"qwen3-235b-model.yaml", "mine\n"}});
    Sample sample = samples()[0];
    sample.words["PP"] = "7";
    EXPECT_THROW((void)import_of(sample, folder), ConfigError);
    EXPECT_EQ(text_of(folder + "/qwen3-235b-model.yaml"), "mine\n");
}

}  // namespace
}  // namespace nvl72
