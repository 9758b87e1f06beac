#pragma once

#include "sim/config/library.hpp"
#include "sim/study/experiment.hpp"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace nvl72::support {

/// A file of its own in the temporary folder; it goes with this object.
class TemporaryFile {
public:
    TemporaryFile(std::string const& text, std::string const& extension) {
        static std::atomic<int> made{0};
        auto const name =
            "nvl72-test-" + std::to_string(::getpid()) + "-" + std::to_string(made++) + extension;
        path_ = (std::filesystem::temp_directory_path() / name).string();
        std::ofstream(path_) << text;
    }
    TemporaryFile(TemporaryFile const&) = delete;
    TemporaryFile& operator=(TemporaryFile const&) = delete;
    ~TemporaryFile() {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }
    [[nodiscard]] std::string const& path() const { return path_; }

private:
    std::string path_;
};

inline Library shipped_library() { return Library(NVL72_SOURCE_DIR "/configs"); }

/// Llama-3.1-8B in BF16 on two H100 boxes: every dimension but CP, 8 micro-batches, interleaved.
inline constexpr std::string_view small_experiment_text = R"(title: a small run
question: how fast is it?
model: llama-3.1-8b
recipe: megatron-bridge-26.06
precision: bf16
sequence_length: 2048
global_batch: 16
systems:
  - cluster: {name: hgx-h100-superpod, gpus: 16}
    layout: {tp: 4, pp: 2, cp: 1, vp: 2, micro_batch: 1}
)";

inline Experiment experiment_of(std::string const& text,
                                std::vector<std::string> const& overrides = {}) {
    TemporaryFile const file(text, ".yaml");
    return load_experiment(file.path(), overrides);
}

inline Experiment small_experiment(std::vector<std::string> const& overrides = {}) {
    return experiment_of(std::string(small_experiment_text), overrides);
}

}  // namespace nvl72::support
