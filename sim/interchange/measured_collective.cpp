#include "sim/interchange/measured_collective.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fmt/format.h>

namespace nvl72 {

namespace {

// The deviations are those of nccl-tests before 2.13, whose column is `error` instead of `#wrong`.
constexpr std::array known_types{
    ElementType{"int8", 1, 0},        ElementType{"uint8", 1, 0},
    ElementType{"fp8", 1, 0.01},      ElementType{"f8e4m3", 1, 0.01},
    ElementType{"f8e5m2", 1, 0.01},   ElementType{"fp8_e4m3", 1, 0.01},
    ElementType{"fp8_e5m2", 1, 0.01}, ElementType{"half", 2, 0.01},
    ElementType{"float16", 2, 0.01},  ElementType{"bfloat16", 2, 0.01},
    ElementType{"fp16", 2, 0.01},     ElementType{"bf16", 2, 0.01},
    ElementType{"fp32", 4, 1e-5},     ElementType{"float", 4, 1e-5},
    ElementType{"float32", 4, 1e-5},  ElementType{"int32", 4, 0},
    ElementType{"uint32", 4, 0},      ElementType{"int64", 8, 0},
    ElementType{"uint64", 8, 0},      ElementType{"double", 8, 1e-12},
    ElementType{"float64", 8, 1e-12},
};

/// A GPU of ours by the words that name it elsewhere; the first row whose words are all there.
struct GpuWords {
    std::string_view name, word, also;
};
constexpr std::array known_gpus{
    GpuWords{"a100-40gb", "a100", "40g"},  GpuWords{"a100-40gb", "a100", "40gb"},
    GpuWords{"a100-80gb", "a100", "80g"},  GpuWords{"a100-80gb", "a100", "80gb"},
    GpuWords{"h100-96gb", "h100", "96gb"}, GpuWords{"h100", "h100", ""},
    GpuWords{"h200", "h200", ""},          GpuWords{"h800", "h800", ""},
    GpuWords{"b200", "b200", ""},          GpuWords{"b300", "b300", ""},
    GpuWords{"gb200", "gb200", ""},        GpuWords{"gb300", "gb300", ""},
    GpuWords{"gh200", "gh200", ""},        GpuWords{"rubin", "rubin", ""},
    GpuWords{"rubin", "vr200", ""},
};
/// Families of collective_algorithms by NCCL_ALGO.
struct AlgorithmWord {
    std::string_view word, family;
};
constexpr std::array known_algorithms{
    AlgorithmWord{"ring", "ring"},
    AlgorithmWord{"tree", "tree"},
    AlgorithmWord{"nvls", "nvls"},
    AlgorithmWord{"nvlstree", "hierarchical"},
    AlgorithmWord{"collnet", "collnet"},
    AlgorithmWord{"collnetdirect", "collnet"},
    AlgorithmWord{"collnetchain", "collnet"},
    AlgorithmWord{"pat", "pat"},
};

std::string lower(std::string_view text) {
    std::string name;
    for (char const c : text) {
        name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return name;
}

/// The value of NAME=value among the words of a text, in lower case.
std::string variable(std::string_view text, std::string const& name) {
    auto const at = text.find(name + "=");
    if (at == std::string_view::npos) return "";
    auto const rest = text.substr(at + name.size() + 1);
    return lower(rest.substr(0, rest.find_first_of(" ,;\"'")));
}

/// Boards without NVLink switches, whatever GPU they carry.
constexpr std::array<std::string_view, 3> other_boards{"pcie", "nvl", "cnx"};

}  // namespace

std::span<ElementType const> element_types() { return known_types; }

ElementType const* element_type(std::string_view name) {
    auto const found = std::ranges::find(known_types, lower(trimmed(name)), &ElementType::name);
    return found == known_types.end() ? nullptr : &*found;
}

std::optional<CollectiveOp> collective_op(std::string_view word) {
    if (word.ends_with("_perf")) word.remove_suffix(5);
    auto const words = ValueType<CollectiveOp>::words();
    auto const found = std::ranges::find(words, word);
    if (found == words.end()) return std::nullopt;
    return static_cast<CollectiveOp>(found - words.begin());
}

std::string gpu_name(std::string_view text) {
    auto name = lower(trimmed(text));
    std::string spaced = name;
    std::ranges::replace_if(
        spaced, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, ' ');
    std::vector<std::string> words;
    for (auto const& word : split(spaced, ' ')) {
        if (!word.empty()) words.push_back(word);
    }
    auto const has = [&](std::string_view word) { return std::ranges::count(words, word) > 0; };
    // "GB200NVL72": the name, and letters that follow it.
    auto const begins = [&](std::string_view asked) {
        return std::ranges::any_of(words, [&](std::string const& word) {
            return word.starts_with(asked) &&
                   (word.size() == asked.size() ||
                    std::isdigit(static_cast<unsigned char>(word[asked.size()])) == 0);
        });
    };
    bool const other = std::ranges::any_of(other_boards, [&](std::string_view board) {
        return std::ranges::any_of(words, [&](auto const& word) { return word.ends_with(board); });
    });
    for (auto const& gpu : known_gpus) {
        bool const same = begins(gpu.word) && (gpu.also.empty() || has(gpu.also));
        if (same && !other) return std::string(gpu.name);
    }
    if (words.size() == 2 && words[0] == "nvidia") return words[1];  // "a100": of which memory?
    return name;
}

void take_times(MeasuredCollective& row,
                std::optional<double> out_of_place,
                std::optional<double> in_place) {
    row.out_of_place = out_of_place;
    row.in_place = in_place;
    for (auto const& time : {out_of_place, in_place}) {
        if (time && (row.seconds == 0 || *time < row.seconds)) row.seconds = *time;
    }
    if (row.seconds > 0) return;
    row.reason = "no time";
}

void take_quality(MeasuredCollective& row, std::string const& quality, std::string const& file) {
    row.quality = quality;
    if (quality.empty() || quality == "ok" || row.status == RowStatus::skipped) return;
    row.status = RowStatus::set_aside;
    row.reason = fmt::format("quality '{}' in {}", quality, file);
}

std::string forced_algorithm(std::string_view text) {
    auto const word = variable(text, "NCCL_ALGO");
    auto const found = std::ranges::find(known_algorithms, word, &AlgorithmWord::word);
    if (found == known_algorithms.end()) return "";
    std::string const family(found->family);
    auto const protocol = variable(text, "NCCL_PROTO");
    bool const chosen = (family == "ring" || family == "tree") &&
                        (protocol == "ll" || protocol == "ll128" || protocol == "simple");
    return chosen ? family + "-" + protocol : family;
}

int channels_asked(std::string_view text) {
    auto const word = variable(text, "NCCL_MIN_NCHANNELS");
    int channels = 0;
    auto const read = std::from_chars(word.data(), word.data() + word.size(), channels);
    return read.ec == std::errc{} && channels > 0 ? channels : 0;
}

Launch launch_of(LaunchMode mode, int gpus_per_thread) {
    if (mode == LaunchMode::unknown)
        mode = gpus_per_thread > 1 ? LaunchMode::eager : LaunchMode::threads;
    if (mode == LaunchMode::threads) return {};
    return {mode, gpus_per_thread};
}

LaunchMode launch_mode(std::string_view word, Place const& place) {
    if (word.empty()) return LaunchMode::unknown;
    auto const words = ValueType<LaunchMode>::words();
    auto const found = std::ranges::find(words, word);
    if (found == words.end()) {
        fail(place, fmt::format("'{}'", word), ValueType<LaunchMode>::expects());
    }
    return static_cast<LaunchMode>(found - words.begin());
}

std::vector<CollectiveSample> samples_to_fit(std::vector<MeasuredCollective> const& rows) {
    std::vector<CollectiveSample> samples;
    for (auto const& row : rows) {
        if (row.status != RowStatus::ok) continue;
        bool const both = row.query.op == CollectiveOp::all_reduce;
        auto const& site = row.site.empty() ? row.source : row.site;
        if (row.out_of_place) {
            samples.push_back(
                {row.gpu, row.query, *row.out_of_place, row.fabric, row.algorithm, site});
        }
        if (row.in_place && (both || !row.out_of_place)) {
            samples.push_back({row.gpu, row.query, *row.in_place, row.fabric, row.algorithm, site});
        }
    }
    return samples;
}

}  // namespace nvl72
