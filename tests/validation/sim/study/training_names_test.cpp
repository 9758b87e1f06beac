#include "sim/study/training_rows.hpp"
#include "sim/trace/atomic_file.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <map>
#include <regex>
#include <string>
#include <unistd.h>
#include <vector>

namespace nvl72 {
namespace {

namespace fs = std::filesystem;

/// The shipped configs with every model, recipe, software and release named otherwise.
class RenamedConfigs {
public:
    RenamedConfigs() : shipped_(NVL72_SOURCE_DIR "/configs") {
        folder_ = fs::temp_directory_path() / fmt::format("nvl72-renamed-{}", ::getpid());
        fs::remove_all(folder_);
        fs::copy(shipped_.folder(), folder_, fs::copy_options::recursive);
        rename_all("models", "anon", models_);
        rename_all("recipes", "way", recipes_);
        for (auto const& entry : fs::directory_iterator(folder_ / "recipes")) rewrite(entry.path());
    }
    RenamedConfigs(RenamedConfigs const&) = delete;
    RenamedConfigs& operator=(RenamedConfigs const&) = delete;
    ~RenamedConfigs() {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }

    [[nodiscard]] Library library() const { return Library(folder_.string()); }
    [[nodiscard]] MeasuredTraining renamed(MeasuredTraining run) const {
        run.model = models_.at(model_named(run.model, shipped_, {}));
        run.software = other_software(run.software);
        run.release = other_release(run.release);
        return run;
    }

private:
    static std::string other_software(std::string const& name) { return "z" + name; }
    /// Releases keep their order.
    static std::string other_release(std::string const& name) { return "1" + name; }

    void rename_all(std::string const& kind,
                    std::string const& word,
                    std::map<std::string, std::string>& names) {
        for (auto const& name : shipped_.names(kind)) {
            fs::path const from = shipped_.path(kind, name, {});
            names[name] = fmt::format("{}{:03}x", word, names.size());
            fs::rename(folder_ / kind / from.filename(),
                       folder_ / kind / (names[name] + from.extension().string()));
        }
    }

    void rewrite(fs::path const& file) const {
        auto const whole = read_whole(file.string());
        std::string text(whole.begin(), whole.end());
        for (auto const& [name, other] : recipes_) {
            std::string const line = "base: " + name + "\n";
            if (text.starts_with(line)) {
                text.replace(0, line.size(), "base: " + other + "\n");
                break;
            }
        }
        text = std::regex_replace(text, std::regex("\nsoftware: "), "\nsoftware: z");
        text = std::regex_replace(text, std::regex("\nrelease: \""), "\nrelease: \"1");
        std::smatch also;
        if (std::regex_search(text, also, std::regex("\nalso: [^\n]*"))) {
            auto const list = std::regex_replace(also.str(), std::regex("\"([0-9])"), "\"1$1");
            text.replace(static_cast<std::size_t>(also.position()),
                         static_cast<std::size_t>(also.length()), list);
        }
        write_whole(file.string(), {text.begin(), text.end()});
    }

    Library shipped_;
    fs::path folder_;
    std::map<std::string, std::string> models_, recipes_;
};

struct Predicted {
    std::string recipe;
    double step_s, low_s, high_s, memory_gib;
};

Predicted predicted(MeasuredTraining const& run, LoadedConfigs& configs) {
    auto const row = simulate_point(training_run(run, configs).point, 0).row;
    return {row.recipe, row.step_s, row.step_p10_s, row.step_p90_s, row.memory_gib};
}

void expect_equal(Predicted const& a, Predicted const& b, MeasuredTraining const& run) {
    EXPECT_EQ(a.step_s, b.step_s) << run.source << ":" << run.line << " " << a.recipe << b.recipe;
    EXPECT_EQ(a.low_s, b.low_s) << run.line;
    EXPECT_EQ(a.high_s, b.high_s) << run.line;
    EXPECT_EQ(a.memory_gib, b.memory_gib) << run.line;
}

}  // namespace

TEST(TrainingRuns, NamesAndMeasuredFiguresChangeNoPrediction) {
    Library const shipped(NVL72_SOURCE_DIR "/configs");
    RenamedConfigs const other;
    auto const other_library = other.library();
    LoadedConfigs configs(shipped, {}), renamed(other_library, {});
    auto const table = CsvTable::load(shipped.folder() + "/measurements/training/runs.csv");
    std::size_t judged = 0;
    constexpr std::size_t each = 7;  // of a table whose rows repeat themselves
    auto const runs = read_training_table(table);
    for (std::size_t i = 0; i < runs.size(); i += each) {
        MeasuredTraining const& run = runs[i];
        if (!run.aside.empty()) continue;
        auto const as_written = predicted(run, configs);
        expect_equal(as_written, predicted(other.renamed(run), renamed), run);
        MeasuredTraining blank = run;
        blank.tokens_per_s_per_gpu = blank.step_s = blank.memory_gib = std::nullopt;
        expect_equal(as_written, predicted(blank, configs), run);
        ++judged;
    }
    EXPECT_GT(judged, 15U);
}

}  // namespace nvl72
