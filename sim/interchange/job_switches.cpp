#include "sim/base/text.hpp"
#include "sim/interchange/nccl_log_parts.hpp"
#include "sim/interchange/setting_reader.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace nvl72 {

namespace {

class SwitchReader {
public:
    explicit SwitchReader(SettingReader& reader) : reader_(reader) {}

    void put(std::string const& key, std::string const& value, std::string const& why) {
        reader_.facts().switches.push_back({key, value, "derived: " + why});
    }

    /// A switch of Megatron's that is one of ours.
    void same(std::initializer_list<std::string_view> names, std::string const& key) {
        auto const value = reader_.flag(names, key);
        if (!value) return;
        auto const* setting = reader_.last();
        put(key, *value ? "true" : "false",
            setting != nullptr ? reader_.where(*setting)
                               : fmt::format("{} is not given", *names.begin()));
    }

    void told(ForeignSetting const& setting, std::string const& key, std::string const& value) {
        reader_.take(setting, key, value);
        put(key, value, reader_.where(setting));
    }

private:
    SettingReader& reader_;
};

/// Operators that a module of Megatron's selective recomputation runs again; none: it is no pass of
/// its own here.
struct Module {
    std::string_view name, operators;
};
constexpr std::array modules{
    Module{"layernorm", "input_norm, post_norm"},
    Module{"mla_up_proj", "q_norm, kv_norm, q_up, kv_up"},
    Module{"moe_act", "swiglu, gelu"},
    Module{"mlp", "gate_up, up, swiglu, gelu"},
};

void read_recompute(SettingReader& reader, SwitchReader& switches) {
    auto& facts = reader.facts();
    auto const granularity = reader.word({"recompute_granularity"}, "");
    auto const* how = reader.last();
    auto const* plain = reader.told({"recompute_activations", "checkpoint_activations"});
    bool const selective =
        granularity == "selective" || (plain != nullptr && !is_off(*plain, reader.job().kind));
    auto const method = reader.word({"recompute_method"}, "");
    auto const* layers = reader.told("recompute_num_layers");
    auto const listed = reader.word({"recompute_modules"}, "");
    auto const* list = reader.last();
    facts.recompute_told =
        reader.job().absent_is_off || how != nullptr || reader.job().kind == JobFileKind::bridge;
    if (granularity == "full") {
        switches.told(*how, "full_recompute", "true");
        auto const stage = facts.model.layers / std::max(1, facts.layout.pp);
        if (method == "block" && layers != nullptr && whole_of(*layers, 1) < stage)
            reader.open(*layers, "our recipes run every layer of a stage again, or none");
        return;
    }
    if (!granularity.empty() && granularity != "selective") {
        fail(how->place, fmt::format("'{}'", granularity), "full | selective");
    }
    if (facts.recompute_told) switches.put("full_recompute", "false", "no full recomputation");
    if (!selective) return;
    std::vector<std::string> operators;
    std::string names = listed.empty() ? "core_attn" : listed;
    std::ranges::replace_if(names, [](char c) { return c == ',' || c == '[' || c == ']'; }, ' ');
    auto const* setting = list != nullptr ? list : how != nullptr ? how : plain;
    for (auto const& name : split(names, ' ')) {
        if (name.empty() || name == "core_attn") continue;  // flash attention does so anyway
        auto const found = std::ranges::find(modules, name, &Module::name);
        if (found == modules.end()) {
            reader.open(
                *setting,
                fmt::format("recomputation of module {}: no list of operators is it", name));
        } else {
            operators.emplace_back(found->operators);
        }
    }
    auto const value = "[" + join(operators) + "]";
    switches.told(*setting, "recompute", value);
}

void read_state(SettingReader& reader, SwitchReader& switches) {
    switches.same({"use_distributed_optimizer"}, "state.distributed_optimizer");
    if (reader.job().kind == JobFileKind::mlperf) return;
    // Gradients are FP32 with BF16 weights unless one of these says otherwise.
    bool const bridge = reader.job().kind == JobFileKind::bridge;
    auto const* wide = reader.told("grad_reduce_in_fp32");
    auto const* narrow = reader.told("grad_reduce_in_bf16");
    auto const* accumulate = reader.told("accumulate_allreduce_grads_in_fp32");
    auto const* setting = bridge ? wide : narrow != nullptr ? narrow : accumulate;
    bool full = true;
    if (bridge && wide != nullptr) full = !is_off(*wide, reader.job().kind);
    if (!bridge && narrow != nullptr) full = is_off(*narrow, reader.job().kind);
    auto const bytes = full ? "4" : "2";
    if (setting != nullptr) {
        switches.told(*setting, "state.gradient_bytes", bytes);
    } else {
        switches.put("state.gradient_bytes", bytes, "Megatron reduces gradients of BF16 in FP32");
    }
}

/// Bytes of FP32 master weight and moments, or of what precision-aware optimizers keep.
void read_optimizer(SettingReader& reader, SwitchReader& switches) {
    bool const aware = reader.flag({"use_precision_aware_optimizer"}, "").value_or(false);
    auto const* setting = reader.last();
    auto const bytes_of = [&](std::string_view name) {
        auto const word = reader.word({name}, "");
        if (word.find('8') != std::string::npos) return 1;
        return word.find("16") != std::string::npos ? 2 : 4;
    };
    int const all =
        bytes_of("main_params_dtype") + bytes_of("exp_avg_dtype") + bytes_of("exp_avg_sq_dtype");
    (void)reader.told("main_grads_dtype");
    if (aware && setting != nullptr && reader.job().kind != JobFileKind::mlperf)
        switches.told(*setting, "state.optimizer_bytes", std::to_string(all));
}

void read_overlap(SettingReader& reader, SwitchReader& switches) {
    auto const& layout = reader.facts().layout;
    if (layout.tp > 1) {
        switches.same({"tp_comm_overlap"}, "overlap.tp");
    } else {
        (void)reader.told("tp_comm_overlap");
    }
    auto const gradients = reader.flag({"overlap_grad_reduce"}, "");
    auto const* first = reader.last();
    auto const weights = reader.flag({"overlap_param_gather"}, "");
    auto const* second = reader.last();
    if (gradients) {
        bool const both = *gradients && weights.value_or(true);
        if (first != nullptr) {
            switches.told(*first, "overlap.dp", both ? "true" : "false");
        } else {
            switches.put("overlap.dp", "false", "overlap_grad_reduce is not given");
        }
        if (*gradients && !both && second != nullptr)
            reader.open(*second, "our recipes hide gradients and weights together, or neither");
    }
    auto const* blocked = reader.told("no_overlap_p2p_communication");
    auto const* sends = reader.told("overlap_p2p_comm");
    if (blocked != nullptr && !is_off(*blocked, reader.job().kind)) {
        switches.told(*blocked, "overlap.pp", "false");
    } else if (sends != nullptr && layout.vp > 1) {
        switches.told(*sends, "overlap.pp", is_off(*sends, reader.job().kind) ? "false" : "true");
    }
}

void read_experts(SettingReader& reader, SwitchReader& switches) {
    auto const& model = reader.facts().model;
    bool const experts = model.experts > 0 || reader.facts().layout.ep > 1;
    auto const dispatcher = reader.word({"moe_token_dispatcher_type"}, "");
    auto const* setting = reader.last();
    bool const deep =
        reader.told("moe_enable_deepep") != nullptr && !is_off(*reader.last(), reader.job().kind);
    (void)reader.told("moe_flex_dispatcher_backend");
    if (!experts) {
        (void)reader.told({"overlap_moe_expert_parallel_comm", "moe_shared_expert_overlap",
                           "moe_expert_capacity_factor"});
        return;
    }
    if (dispatcher == "flex" || deep) {
        switches.told(*setting, "moe.dispatcher", "fused");
    } else if (dispatcher == "alltoall" || dispatcher == "alltoall_seq") {
        switches.told(*setting, "moe.dispatcher", "alltoall");
    } else {
        switches.put("moe.dispatcher", "alltoall", "allgather is Megatron's own default");
        if (setting != nullptr)
            reader.open(*setting, "priced as alltoall: no recipe gathers tokens everywhere");
    }
    switches.same({"overlap_moe_expert_parallel_comm"}, "overlap.ep");
    if (model.shared_ffn > 0) {
        switches.same({"moe_shared_expert_overlap"}, "overlap.shared_expert");
    } else {
        (void)reader.told("moe_shared_expert_overlap");
    }
    if (auto const* factor = reader.told("moe_expert_capacity_factor")) {
        auto const number = nccl_log::printed_number(trimmed(factor->value));
        if (!number || number->value <= 0)
            fail(factor->place, fmt::format("'{}'", factor->value), "a number above 0");
        switches.told(*factor, "moe.capacity", significant(number->value, 6));
    }
}

void read_sharding(SettingReader& reader) {
    auto& facts = reader.facts();
    bool on = false;
    ForeignSetting const* which = nullptr;
    for (auto const* name : {"use_megatron_fsdp", "use_custom_fsdp", "use_torch_fsdp2"}) {
        auto const* setting = reader.told(name);
        if (setting == nullptr || is_off(*setting, reader.job().kind)) continue;
        on = true;
        which = setting;
    }
    auto const strategy = reader.word({"data_parallel_sharding_strategy"}, "");
    if (!on) return;
    if (strategy != "optim_grads_params" && which->name != "use_torch_fsdp2") {
        reader.open(*which,
                    fmt::format("sharding strategy '{}': our fsdp shards weights, gradients "
                                "and optimizer together",
                                strategy));
        return;
    }
    auto const model_parallel = std::int64_t{facts.layout.tp} * facts.layout.pp;
    facts.layout.fsdp = std::max<std::int64_t>(1, facts.run.gpus.value_or(1) / model_parallel);
    facts.layout.places.emplace_back("fsdp", which->place);
    facts.run.fsdp = facts.layout.fsdp;
    reader.take(*which, "layout.fsdp", std::to_string(facts.layout.fsdp));
}

}  // namespace

void read_switches(SettingReader& reader) {
    SwitchReader switches(reader);
    read_overlap(reader, switches);
    read_experts(reader, switches);
    read_recompute(reader, switches);
    read_state(reader, switches);
    read_optimizer(reader, switches);
    read_sharding(reader);
    if (auto const* adapters = reader.told("peft"); adapters != nullptr) {
        switches.told(*adapters, "trains_weights", "false");
        reader.facts().run.task = "lora";
    }
}

}  // namespace nvl72
