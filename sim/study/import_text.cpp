#include "sim/base/text.hpp"
#include "sim/config/write.hpp"
#include "sim/study/import_parts.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>

namespace nvl72 {

namespace {

constexpr std::size_t width = 120;

std::string file_name(std::string const& path) {
    std::filesystem::path const given(path);
    return (given.has_filename() ? given : given.parent_path()).filename().string();
}

/// `text` as comment lines, further ones set in.
std::string comment(std::string const& text, std::string const& first, std::string const& next) {
    std::string out;
    std::string line = first;
    bool empty = true;
    for (auto const& word : split(text, ' ')) {
        if (word.empty()) continue;
        if (!empty && line.size() + 1 + word.size() > width) {
            out += line + "\n";
            line = next;
            empty = true;
        }
        line += (empty ? "" : " ") + word;
        empty = false;
    }
    return out + line + "\n";
}

std::string item(std::string const& text) { return comment(text, "#   - ", "#     "); }

/// What may not be text stays out of our file.
std::string printable(std::string const& text) {
    std::string plain;
    for (char const c : text) {
        bool const ascii = c >= ' ' && c < '\x7f';
        plain += ascii ? c : '?';
    }
    return plain;
}

std::string shortened(std::string const& value) {
    constexpr std::size_t length_max = 60;
    return value.size() > length_max ? value.substr(0, length_max) + "..." : value;
}

std::string place_of(ForeignSetting const& setting, std::string const& file) {
    if (setting.place.line == 0) return setting.place.file;
    bool const other = setting.place.file != file;
    return fmt::format("{}line {}", other ? file_name(setting.place.file) + " " : "",
                       setting.place.line);
}

std::string kind_words(JobFileKind kind) {
    switch (kind) {
        case JobFileKind::megatron: return "Megatron's arguments";
        case JobFileKind::megatron_dump: return "Megatron's argument dump";
        case JobFileKind::bridge: return "Megatron-Bridge's ConfigContainer";
        case JobFileKind::mlperf: break;
    }
    return "an MLPerf result";
}

std::string header(ImportDraft const& draft) {
    auto const& facts = draft.result.facts;
    std::string out = comment(fmt::format("Imported by nvl72sim from {} ({}).",
                                          file_name(draft.job.file), kind_words(draft.job.kind)),
                              "# ", "# ");
    auto assumed = facts.assumed;
    assumed.insert(assumed.end(), draft.defaulted.begin(), draft.defaulted.end());
    assumed.insert(assumed.end(), draft.like.begin(), draft.like.end());
    if (!assumed.empty()) out += "# Assumed, or to be known:\n";
    for (auto const& text : assumed) out += item(printable(text));
    if (!facts.open.empty()) out += "# Not mapped, though it may touch a step:\n";
    for (auto const& one : facts.open) {
        auto const value = shortened(one.setting.value);
        out += item(printable(fmt::format("{}{}{} ({}): {}", one.setting.place.key,
                                          value.empty() ? "" : " ", value,
                                          place_of(one.setting, draft.job.file), one.reason)));
    }
    if (!draft.job.notes.empty()) out += "# Noted while reading:\n";
    for (auto const& note : draft.job.notes) out += item(printable(note));
    if (!facts.passed_over.empty()) out += "# Passed over:\n";
    for (auto const& [reason, names] : facts.passed_over)
        out += item(printable(fmt::format("{}: {}", reason, join(names))));
    return out;
}

Value sourced(std::string value, ForeignJob const& job, Place const& place) {
    if (place.key.empty()) return leaf(std::move(value), "assumed: the file does not tell it");
    if (place.line == 0) return leaf(std::move(value), "derived: " + place.key);
    bool const other = place.file != job.file;
    return leaf(std::move(value),
                fmt::format("derived: {}, {}line {}", place.key,
                            other ? file_name(place.file) + " " : "", place.line));
}

Value layout_of(ImportDraft const& draft) {
    auto const& layout = draft.system.layout;
    Value map;
    auto const put_key = [&](char const* key, std::int64_t value, std::int64_t fallback) {
        if (value == fallback) return;
        auto const place = layout.place_of(key);
        bool const told = std::ranges::any_of(
            layout.places, [&](auto const& entry) { return entry.first == key; });
        put(map, key,
            told ? sourced(std::to_string(value), draft.job, place)
                 : leaf(std::to_string(value), "derived: Megatron's own default"));
    };
    put_key("tp", layout.tp, 0);
    put_key("pp", layout.pp, 0);
    put_key("cp", layout.cp, 1);
    put_key("vp", layout.vp, 1);
    put_key("ep", layout.ep, 1);
    if (draft.result.facts.layout.expert_tp.value_or(1) != 1)
        put_key("expert_tp", *layout.expert_tp, 1);
    put_key("fsdp", layout.fsdp, 1);
    put_key("micro_batch", layout.micro_batch, 0);
    if (layout.tp > 1 && !layout.sequence_parallel)
        put(map, "sequence_parallel", leaf("false", "derived: sequence_parallel is not given"));
    if (layout.embedding_and_loss_as_layers) {
        bool const told = draft.result.facts.layout.embedding_and_loss_as_layers;
        put(map, "embedding_and_loss_as_layers",
            leaf("true", told ? "derived: account_for_embedding_in_pipeline_split and its like"
                              : "assumed: the layers divide over the chunks only so"));
    }
    if (layout.order) put(map, "order", leaf(*layout.order, "derived: --use-tp-pp-dp-mapping"));
    if (layout.uneven_layers)
        put(map, "uneven_layers",
            leaf("true", "assumed: the layers do not divide over the chunks"));
    return map;
}

std::string seconds(double value) { return significant(value, 6) + " s"; }

Value system_of(ImportDraft const& draft) {
    auto const& cluster = draft.system.cluster;
    Value choice;
    put(choice, "name",
        leaf(cluster.name, draft.options.cluster.empty()
                               ? "derived: the smallest of " + draft.result.facts.run.gpu
                               : "derived: --cluster"));
    put(choice, "gpus",
        sourced(std::to_string(cluster.gpus), draft.job, draft.result.facts.gpus_place));
    if (cluster.nvlink_domain > 0)
        put(choice, "nvlink_domain",
            leaf(std::to_string(cluster.nvlink_domain),
                 "assumed: the job's racks are filled alike"));
    Value system;
    put(system, "cluster", choice);
    put(system, "layout", layout_of(draft));
    if (has_figures(draft)) {
        auto const figures = step_figures(draft.job.steps_s);
        auto const source = "measured: " + draft.job.steps_source;
        Value published;
        put(published, "step", leaf(seconds(figures.median), source));
        put(published, "step_p10", leaf(seconds(figures.p10), source));
        put(published, "step_p90", leaf(seconds(figures.p90), source));
        put(system, "published", published);
    }
    return system;
}

/// The lines of a map as an item of a list.
std::string as_item(std::string const& yaml) {
    std::string out;
    for (auto const& line : split(yaml, '\n')) {
        if (!line.empty()) out += (out.empty() ? "  - " : "    ") + line + "\n";
    }
    return out;
}

std::string field(std::string const& text) {
    if (text.find_first_of(",\"\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (char const c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + '"';
}

}  // namespace

std::string ImportDraft::beside(std::string const& what, std::string const& extension) const {
    std::filesystem::path const out(options.output);
    return (out.parent_path() / (out.stem().string() + "-" + what + extension)).string();
}

bool has_figures(ImportDraft const& draft) {
    return !draft.job.steps_s.empty() && !draft.result.facts.gpus_assumed;
}

StepFigures step_figures(std::vector<double> steps) {
    std::ranges::sort(steps);
    auto const at = [&](double share) {
        double const rank = share * static_cast<double>(steps.size() - 1);
        auto const low = static_cast<std::size_t>(std::floor(rank));
        auto const high = std::min(low + 1, steps.size() - 1);
        return steps[low] + (rank - std::floor(rank)) * (steps[high] - steps[low]);
    };
    return {at(0.5), at(0.1), at(0.9)};
}

std::string experiment_text(ImportDraft const& draft) {
    auto const& facts = draft.result.facts;
    auto const& system = draft.system;
    Value root;
    bool const own_model = draft.model_name.ends_with(".yaml");
    put(root, "title",
        leaf(fmt::format("{} on {} {}, from {}", own_model ? "own model" : draft.model_name,
                         system.cluster.gpus, facts.run.gpu, file_name(draft.job.file))));
    put(root, "question", leaf("How long is a step of this job, and what bounds it?"));
    put(root, "model", leaf(draft.model_name, draft.model_source));
    put(root, "recipe", leaf(draft.recipe_name, draft.recipe_source));
    put(root, "precision", sourced(system.precision.value, draft.job, facts.precision_place));
    put(root, "sequence_length",
        sourced(std::to_string(system.sequence_length.value), draft.job, facts.sequence_place));
    put(root, "global_batch",
        sourced(std::to_string(system.global_batch.value), draft.job, facts.batch_place));
    return header(draft) + yaml_text(root) + "systems:\n" + as_item(yaml_text(system_of(draft)));
}

std::string row_text(ImportDraft const& draft) {
    auto const& run = draft.result.facts.run;
    auto const& layout = draft.system.layout;
    auto const figures = step_figures(draft.job.steps_s);
    bool full = false;
    bool some = false;
    bool hidden = true;
    for (auto const& one : draft.switches) {
        full = full || (one.key == "full_recompute" && one.value == "true");
        some = some || one.key == "recompute";
        hidden = hidden && !(one.key == "overlap.tp" && one.value == "false");
    }
    bool const told = draft.result.facts.recompute_told;
    std::vector<std::pair<std::string, std::string>> const cells{
        {"software", run.software},
        {"release", run.release},
        {"task", run.task},
        {"gpu", run.gpu},
        {"model", draft.model_name},
        {"precision", draft.system.precision.value},
        {"gpus", std::to_string(draft.system.cluster.gpus)},
        {"global_batch", std::to_string(draft.system.global_batch.value)},
        {"micro_batch", std::to_string(layout.micro_batch)},
        {"sequence", std::to_string(draft.system.sequence_length.value)},
        {"tp", std::to_string(layout.tp)},
        {"pp", std::to_string(layout.pp)},
        {"cp", std::to_string(layout.cp)},
        {"vp", std::to_string(layout.vp)},
        {"ep", std::to_string(layout.ep)},
        {"fsdp", layout.fsdp > 1 ? std::to_string(layout.fsdp) : ""},
        {"recompute", full   ? "full"
                      : some ? "selective"
                      : told ? "none"
                             : ""},
        {"async_tp", hidden ? "1" : "0"},
        {"step_s", significant(figures.median, 6)},
        {"step_s_p10", significant(figures.p10, 6)},
        {"step_s_p90", significant(figures.p90, 6)},
        {"source", "measured: " + draft.job.steps_source},
    };
    std::string names, values;
    for (auto const& [name, value] : cells) {
        names += (names.empty() ? "" : ",") + name;
        values += (name == "software" ? "" : ",") + field(value);
    }
    return names + "\n" + values + "\n";
}

}  // namespace nvl72
