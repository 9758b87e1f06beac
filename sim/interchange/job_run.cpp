#include "sim/base/text.hpp"
#include "sim/interchange/setting_reader.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nvl72 {

namespace {

/// "8" of "gpu:h100:8" or "gpu:8".
std::optional<std::int64_t> gpus_of_gres(ForeignSetting const* gres) {
    if (gres == nullptr) return std::nullopt;
    ForeignSetting number = *gres;
    number.value = gres->value.substr(gres->value.rfind(':') + 1);
    return whole_of(number, 1);
}

/// A number where the word is one: launchers also take "auto", "1:4" and variables of the job.
std::optional<std::int64_t> number_in(ForeignSetting const* setting) {
    if (setting == nullptr || setting->value.empty()) return std::nullopt;
    bool const digits = std::ranges::all_of(
        setting->value, [](char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; });
    return digits ? std::optional(whole_of(*setting, 1)) : std::nullopt;
}

/// Nodes times GPUs of one, from the words of one launcher.
std::optional<std::int64_t> product_of(SettingReader& reader,
                                       std::string_view nodes,
                                       std::string_view per_node) {
    auto const* one = reader.told(nodes);
    auto const* other = reader.told(per_node);
    auto const count = number_in(one);
    auto const each = number_in(other);
    if (!count || !each) return std::nullopt;
    auto const product = *count * *each;
    reader.take(*other, "cluster.gpus", std::to_string(product));
    reader.facts().gpus_place = other->place;
    return product;
}

void read_gpus(SettingReader& reader) {
    auto& facts = reader.facts();
    auto const system = product_of(reader, "system_nodes", "system_gpus_per_node");
    auto const system_place = facts.gpus_place;
    auto const launched = product_of(reader, "nnodes", "nproc_per_node");
    auto const* world = reader.told("world_size");
    if (world != nullptr) {
        facts.run.gpus = whole_of(*world, 1);
        reader.take(*world, "cluster.gpus", world->value);
        facts.gpus_place = world->place;
    } else {
        facts.run.gpus = launched ? launched : system;
    }
    if (system && launched && *system != *launched) {
        fail(facts.gpus_place, fmt::format("{} GPUs", *launched),
             fmt::format("{}, as {} has it", *system, system_place.text()));
    }
    auto const* environment = reader.told("environment_world_size");
    auto const from_environment =
        product_of(reader, "environment_nnodes", "environment_gpus_per_node");
    if (!facts.run.gpus && number_in(environment)) {
        facts.run.gpus = number_in(environment);
        reader.take(*environment, "cluster.gpus", environment->value);
        facts.gpus_place = environment->place;
    }
    if (!facts.run.gpus) facts.run.gpus = from_environment;
    auto const* gres = reader.told("slurm_gres");
    auto const slurm = product_of(reader, "nnodes", "slurm_gpus_per_node");
    if (!facts.run.gpus) facts.run.gpus = slurm;
    auto const nodes = number_in(reader.told("nnodes"));
    if (!facts.run.gpus && nodes && gres != nullptr) facts.run.gpus = *nodes * *gpus_of_gres(gres);
    auto const tasks = product_of(reader, "nnodes", "slurm_ntasks_per_node");
    bool const a_task_each = tasks && number_in(reader.told("slurm_ntasks_per_node")) > 1;
    if (!facts.run.gpus && a_task_each) facts.run.gpus = tasks;
    (void)reader.told("slurm_ntasks");
}

int degree(SettingReader& reader,
           std::initializer_list<std::string_view> names,
           std::string const& key,
           int fallback = 1) {
    auto& layout = reader.facts().layout;
    // "0": off, as some scripts write it.
    auto const value = reader.count(names, "layout." + key, 0);
    if (!value) return fallback;
    auto const* setting = reader.last();
    layout.places.emplace_back(key, setting->place);
    constexpr std::int64_t most = 100'000;
    if (*value > most) fail(setting->place, setting->value, fmt::format("at most {}", most));
    return std::max(1, static_cast<int>(*value));
}

/// Chunks of a stage: told, or from the layers of one.
void read_chunks(SettingReader& reader) {
    auto& layout = reader.facts().layout;
    layout.vp = degree(
        reader, {"virtual_pipeline_model_parallel_size", "num_virtual_stages_per_pipeline_rank"},
        "vp");
    auto const* each = reader.told("num_layers_per_virtual_pipeline_stage");
    auto const* layers = reader.told({"num_layers", "encoder_num_layers"});
    if (each == nullptr || layers == nullptr || layout.vp > 1) return;
    auto const of_one = whole_of(*each, 1) * layout.pp;
    auto const all = whole_of(*layers, 1);
    if (all % of_one != 0) {
        fail(each->place, fmt::format("{} layers a chunk on pp {}", each->value, layout.pp),
             fmt::format("a divisor of the {} layers", all));
    }
    layout.vp = static_cast<int>(all / of_one);
    layout.places.emplace_back("vp", each->place);
    reader.take(*each, "layout.vp", std::to_string(layout.vp));
}

void read_layout(SettingReader& reader) {
    auto& facts = reader.facts();
    auto& layout = facts.layout;
    layout.place = {reader.job().file, 0, "layout"};
    layout.tp = degree(reader, {"tensor_model_parallel_size"}, "tp");
    layout.pp = degree(reader, {"pipeline_model_parallel_size"}, "pp");
    layout.cp = degree(reader, {"context_parallel_size"}, "cp");
    read_chunks(reader);
    layout.ep = degree(reader, {"expert_model_parallel_size"}, "ep");
    // Megatron's own default.
    layout.expert_tp = degree(reader, {"expert_tensor_parallel_size"}, "expert_tp", layout.tp);
    if (auto const given = reader.flag({"sequence_parallel"}, "layout.sequence_parallel"))
        layout.sequence_parallel = *given;
    if (reader.flag({"use_tp_pp_dp_mapping"}, "") == true) {
        layout.order = "tp-cp-ep-pp-dp";
        if (auto const* mapping = reader.last()) {
            reader.take(*mapping, "layout.order", *layout.order);
        }
    }
    bool const embedding = reader.flag({"account_for_embedding_in_pipeline_split"}, "") == true;
    auto const* setting = reader.last();
    bool const loss = reader.flag({"account_for_loss_in_pipeline_split"}, "") == true;
    layout.embedding_and_loss_as_layers = embedding && loss;
    if (embedding && loss) {
        reader.take(*setting, "layout.embedding_and_loss_as_layers", "true");
    } else if (embedding || loss) {
        auto const* one = embedding ? setting : reader.last();
        reader.open(*one, "our layout counts embedding and loss as layers together, or neither");
    }
}

void read_batch(SettingReader& reader) {
    auto& facts = reader.facts();
    auto& run = facts.run;
    run.micro_batch = reader.count({"micro_batch_size"}, "layout.micro_batch");
    if (run.micro_batch) facts.layout.places.emplace_back("micro_batch", reader.last()->place);
    facts.layout.micro_batch = run.micro_batch.value_or(1);
    if (!run.micro_batch) facts.assumed.emplace_back("micro_batch 1: the file does not tell it");
    run.global_batch = reader.count({"global_batch_size"}, "global_batch");
    if (run.global_batch) facts.batch_place = reader.last()->place;
    auto const* share = reader.told("mlperf_minibs");
    auto const& layout = facts.layout;
    auto const replica = std::int64_t{layout.tp} * layout.pp * layout.cp;
    if (run.global_batch || !run.gpus) return;
    auto const ranks = std::max<std::int64_t>(1, *run.gpus / replica);
    if (share != nullptr) {
        run.global_batch = whole_of(*share, 1) * ranks;
        facts.batch_place = share->place;
        reader.take(*share, "global_batch", std::to_string(*run.global_batch));
        return;
    }
    run.global_batch = facts.layout.micro_batch * ranks;
    facts.assumed.push_back(
        fmt::format("global_batch {}: one micro-batch a data-parallel rank, Megatron's own default",
                    *run.global_batch));
}

/// Where the file does not tell it: the fewest GPUs that hold the layout once.
void assume_gpus(JobFacts& facts) {
    if (facts.run.gpus) return;
    auto const& layout = facts.layout;
    auto const dense = std::int64_t{layout.tp} * layout.pp * layout.cp;
    auto const experts = std::int64_t{layout.ep} * layout.expert_tp.value_or(1) * layout.pp;
    auto gpus = dense;
    while (gpus % experts != 0 && layout.ep > 1) gpus += dense;
    facts.run.gpus = gpus;
    facts.gpus_assumed = true;
    facts.assumed.push_back(fmt::format(
        "{} GPUs: the file does not tell how many; these are the fewest that hold its layout "
        "(nvl72sim import FILE world_size=N)",
        gpus));
}

std::string fp8_word(SettingReader& reader) {
    auto const recipe = reader.word({"fp8_recipe"}, "");
    if (recipe == "mxfp8") return "mxfp8";
    if (recipe.empty() || recipe == "delayed" || recipe == "tensorwise" || recipe == "custom")
        return "fp8";
    if (recipe == "blockwise") {
        reader.open(*reader.last(),
                    "priced as FP8 with one scale a tensor: the recipes have no block scales");
        return "fp8";
    }
    fail(reader.last()->place, fmt::format("'{}'", recipe),
         "delayed | tensorwise | mxfp8 | blockwise");
}

/// The word of a whole mixed_precision recipe: bf16_with_mxfp8_mixed.
std::string precision_of(std::string const& recipe) {
    auto const has = [&](char const* part) { return recipe.find(part) != std::string::npos; };
    if (has("nvfp4")) return "nvfp4";
    if (has("mxfp8")) return "mxfp8";
    return has("fp8") ? "fp8" : "bf16";
}

void read_precision(SettingReader& reader) {
    auto& facts = reader.facts();
    auto const on = [&](std::initializer_list<std::string_view> names) {
        auto const* setting = reader.told(names);
        bool const given = setting != nullptr && !is_off(*setting, reader.job().kind);
        if (given) facts.precision_place = setting->place;
        return given;
    };
    // All are asked for, so that none is left over; the narrowest counts.
    auto const named = reader.word({"mixed_precision"}, "");
    if (!named.empty()) facts.precision_place = reader.last()->place;
    bool const half = on({"fp16"});
    bool const brain = on({"bf16"});
    bool const eight = on({"fp8", "fp8_format"});
    auto const eight_word = eight ? fp8_word(reader) : std::string();
    bool const four = on({"fp4", "fp4_format"});
    (void)reader.told({"fp8_recipe", "fp4_recipe"});
    auto& word = facts.run.precision;
    word = four ? "nvfp4" : eight ? eight_word : named.empty() ? "bf16" : precision_of(named);
    ForeignSetting const* setting = nullptr;
    for (auto const* name :
         {"fp4", "fp4_format", "fp8", "fp8_format", "bf16", "fp16", "mixed_precision"}) {
        auto const* candidate = reader.job().find(name);
        bool const given = candidate != nullptr && !is_off(*candidate, reader.job().kind);
        if (setting == nullptr && given) setting = candidate;
    }
    if (setting != nullptr) {
        facts.precision_place = setting->place;
        reader.take(*setting, "precision", word);
    } else {
        facts.precision_place = {reader.job().file, 0, "precision"};
        facts.assumed.emplace_back("precision bf16: the file names none");
    }
    if (half && !brain && !eight && !four) {
        reader.open(*reader.job().find("fp16"), "priced as BF16, whose rate and bytes FP16 has");
    }
}

}  // namespace

void read_run(SettingReader& reader) {
    auto& facts = reader.facts();
    auto const& job = reader.job();
    facts.run.source = job.file;
    facts.run.software = job.software.empty() ? "megatron-bridge" : job.software;
    facts.run.release = job.release;
    facts.run.task = "pretrain";
    facts.gpus_place = facts.batch_place = facts.sequence_place = {job.file, 0, ""};
    read_gpus(reader);
    read_layout(reader);
    assume_gpus(facts);
    read_batch(reader);
    facts.run.sequence =
        reader.count({"seq_length", "encoder_seq_length", "model_seq_length"}, "sequence_length");
    if (facts.run.sequence) facts.sequence_place = reader.last()->place;
    read_precision(reader);
    (void)reader.told({"data_parallel_size", "transformer_pipeline_model_parallel_size"});
    auto const* platform = reader.told("submission_platform");
    if (platform != nullptr && job.gpu.empty()) facts.run.gpu = platform->value;
    if (!job.gpu.empty()) facts.run.gpu = job.gpu;
}

}  // namespace nvl72
