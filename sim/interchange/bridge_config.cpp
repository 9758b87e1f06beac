#include "sim/interchange/bridge_config.hpp"

#include "sim/base/text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fmt/format.h>

namespace nvl72 {

namespace {

constexpr std::string_view container = "ConfigContainer";

/// The sections whose settings touch a step, later over earlier.
constexpr std::array<std::string_view, 8> sections{
    "model", "dataset", "ddp", "dist", "optimizer", "train", "mixed_precision", "comm_overlap"};

/// Bridge's name where Megatron's argument has another.
struct Renamed {
    std::string_view section, theirs, ours;
};
constexpr std::array renamed{
    Renamed{"model", "num_moe_experts", "num_experts"},
    Renamed{"model", "seq_length", "model_seq_length"},
    Renamed{"dataset", "sequence_length", "seq_length"},
    Renamed{"dataset", "data_parallel_size", ""},
    Renamed{"dataset", "context_parallel_size", ""},
    Renamed{"comm_overlap", "data_parallel_size", ""},
    Renamed{"optimizer", "bf16", ""},
    Renamed{"optimizer", "fp16", ""},
    Renamed{"optimizer", "fp8_recipe", ""},
    // Set again from ddp's own when it builds the optimizer.
    Renamed{"optimizer", "overlap_param_gather", ""},
    Renamed{"optimizer", "overlap_param_gather_with_optimizer_step", ""},
};

std::string name_in(std::string_view section, std::string const& theirs) {
    for (auto const& row : renamed) {
        if (row.section == section && row.theirs == theirs) return std::string(row.ours);
    }
    return theirs;
}

/// A leaf, a list, or what a `_target_` names: "torch.bfloat16" is bfloat16.
std::string text_of(Value const& value) {
    if (value.is_scalar()) return value.scalar;
    if (value.is_list()) {
        std::vector<std::string> items;
        for (auto const& item : value.items) items.push_back(text_of(item));
        return "[" + join(items, ", ") + "]";
    }
    Value const* target = value.find("_target_");
    if (target == nullptr) return "";
    return target->scalar.substr(target->scalar.rfind('.') + 1);
}

bool is_key_line(std::string_view line) {
    auto const text = trimmed(line);
    if (text.empty() || text.front() == '#' || text == "---") return true;
    if (line.front() == ' ' || text.starts_with("- ")) return true;
    auto const colon = text.find(':');
    if (colon == std::string_view::npos) return false;
    return std::ranges::all_of(text.substr(0, colon), [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    });
}

/// The container's lines of a log, each at its own number, and blanks in place of the others.
std::string container_of(std::string_view text) {
    std::string yaml;
    bool inside = false;
    bool over = false;
    for (auto const& written : split(text, '\n')) {
        auto const line = plain_line(written);
        bool const begins =
            !over && line.starts_with("_target_:") && line.find(container) != std::string::npos;
        inside = inside || begins;
        if (inside && !is_key_line(line)) {
            inside = false;
            over = true;
        }
        yaml += (inside ? line : std::string()) + "\n";
    }
    return yaml;
}

bool null(Value const& value) {
    return value.kind == Value::Kind::null || (value.is_scalar() && value.scalar == "null");
}

/// One that wins only where it says something.
bool winner(std::string_view section) {
    return section == "mixed_precision" || section == "comm_overlap";
}

void take_section(ForeignJob& job, std::string_view section, Value const& values) {
    // A recipe's name in place of its settings: bf16_with_mxfp8_mixed.
    if (values.is_scalar() && section == "mixed_precision") {
        job.set({"mixed_precision", values.scalar, values.place});
        return;
    }
    for (auto const& [theirs, value] : values.entries) {
        auto const name = name_in(section, theirs);
        if (name.empty() || name.front() == '_') continue;
        bool const silent = null(value) && (winner(section) || job.find(name) != nullptr);
        if (!silent) job.set({name, null(value) ? "None" : text_of(value), value.place});
    }
}

/// Bridge's setup hides the sends of an interleaved pipeline unless it is told not to.
void take_defaults(ForeignJob& job, Value const& overlap) {
    Value const* sends = overlap.find("overlap_p2p_comm");
    auto const* chunks = job.find("virtual_pipeline_model_parallel_size");
    bool const interleaved = chunks != nullptr && chunks->value != "None" && chunks->value != "1";
    if (sends != nullptr && null(*sends) && interleaved)
        job.set({"overlap_p2p_comm", "true", sends->place});
}

}  // namespace

bool has_bridge_config(std::string_view text) {
    auto const at = text.find(container);
    return at != std::string_view::npos && text.rfind("_target_:", at) != std::string_view::npos;
}

ForeignJob read_bridge_config(std::string_view text, std::string const& file) {
    ForeignJob job;
    job.file = file;
    job.kind = JobFileKind::bridge;
    job.software = "megatron-bridge";
    Value const root = parse_yaml(container_of(text), file);
    for (auto const section : sections) {
        if (Value const* values = root.find(section)) take_section(job, section, *values);
    }
    if (Value const* overlap = root.find("comm_overlap")) take_defaults(job, *overlap);
    Value const* model = root.find("model");
    if (model == nullptr || !model->is_map()) {
        fail({file, root.place.line, "model"}, "nothing", "the section of a ConfigContainer");
    }
    if (Value const* name = model->find("hf_model_id"); name != nullptr && !null(*name)) {
        job.model = name->scalar;
        job.model_place = name->place;
    }
    Value const* adapters = root.find("peft");
    if (adapters != nullptr && !null(*adapters))
        job.set({"peft", text_of(*adapters), adapters->place});
    for (auto const& [name, values] : root.entries) {
        bool const taken = std::ranges::find(sections, name) != sections.end();
        if (taken || name == "peft" || name == "_target_" || null(values)) continue;
        job.notes.push_back(
            fmt::format("section {} (line {}) touches no step", name, values.place.line));
    }
    job.steps_s = logged_steps(text);
    drop_warm_up(job.steps_s);
    return job;
}

}  // namespace nvl72
