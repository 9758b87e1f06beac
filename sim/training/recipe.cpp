#include "sim/training/recipe.hpp"

#include "sim/base/text.hpp"
#include "sim/config/based.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <span>

namespace nvl72 {

std::vector<Field<PrecisionPolicy>> const& fields_of(PrecisionPolicy const*) {
    static std::vector<Field<PrecisionPolicy>> const fields{
        required("linear", &PrecisionPolicy::linear, "GEMMs of transformer blocks"),
        optional("head", &PrecisionPolicy::head, "bf16", "the output layer's GEMM"),
        optional("attention", &PrecisionPolicy::attention, "bf16", "attention scores and values"),
        optional("saved_input_bytes", &PrecisionPolicy::saved_input_bytes, "2",
                 "bytes per element that linear layers keep of their input"),
        optional("quantise_bytes", &PrecisionPolicy::quantise_bytes, "0",
                 "HBM bytes per element to quantise an operand, all passes and copies"),
        optional(
            "gathered_bytes", &PrecisionPolicy::gathered_bytes, "2",
            "bytes per element in the tensor-parallel all-gather of activations and gradients"),
        optional("parameter_gather_bytes", &PrecisionPolicy::parameter_gather_bytes, "2",
                 "bytes per parameter in the data-parallel all-gather"),
        optional("also", &PrecisionPolicy::also, "", "other words for it in tables of runs"),
    };
    return fields;
}

std::vector<Field<OverlapPolicy>> const& fields_of(OverlapPolicy const*) {
    static std::vector<Field<OverlapPolicy>> const fields{
        optional("tp", &OverlapPolicy::tp, "true", "tensor-parallel collectives under their GEMM"),
        optional("tp_sms", &OverlapPolicy::tp_sms, "0",
                 "SMs that a tensor-parallel collective takes from the GEMM it runs under"),
        optional("tp_hidden", &OverlapPolicy::tp_hidden, "1",
                 "share of a tensor-parallel collective that can hide at most"),
        optional("tp_scatter_pieces", &OverlapPolicy::tp_scatter_pieces, "4",
                 "pieces of a GEMM whose result is reduce-scattered meanwhile"),
        optional("cp", &OverlapPolicy::cp, "true", "key-value exchange under attention"),
        optional("dp", &OverlapPolicy::dp, "true",
                 "gradient and parameter collectives under compute"),
        optional("dp_hidden", &OverlapPolicy::dp_hidden, "1",
                 "share of a data-parallel collective that can hide at most"),
        optional("pp", &OverlapPolicy::pp, "true", "pipeline sends under compute"),
        optional("ep", &OverlapPolicy::ep, "false",
                 "expert exchanges under the compute of another micro-batch"),
        optional("fsdp", &OverlapPolicy::fsdp, "true",
                 "the next layer's weights gathered under this layer's compute"),
        optional("shared_expert", &OverlapPolicy::shared_expert, "false",
                 "the shared expert under the expert exchanges"),
    };
    return fields;
}

std::vector<Field<MoePolicy>> const& fields_of(MoePolicy const*) {
    static std::vector<Field<MoePolicy>> const fields{
        optional("dispatcher", &MoePolicy::dispatcher, "alltoall",
                 "alltoall (NCCL, a copy per expert) or fused (a copy per rank)"),
        optional("dispatch_bytes", &MoePolicy::dispatch_bytes, "2",
                 "bytes per element of a token on its way to its experts"),
        optional("combine_bytes", &MoePolicy::combine_bytes, "2",
                 "and of a result on its way back"),
        optional("exchange_time", &MoePolicy::exchange_time, "1",
                 "time of its dispatch and combine kernels over the calibration's"),
        optional("network_efficiency", &MoePolicy::network_efficiency, "0.9",
                 "share of line rate that a fused kernel reaches between NVLink domains"),
        optional("permute_bytes", &MoePolicy::permute_bytes, "8",
                 "HBM bytes per element of a routed row and pass: permuting, padding, copies"),
        optional("fused_quantise", &MoePolicy::fused_quantise, "false",
                 "expert GEMMs quantise their rows without a pass of its own"),
        optional("host_sync", &MoePolicy::host_sync, "0 us",
                 "per layer and pass: the GPU waits for the host"),
        optional("expert_launch", &MoePolicy::expert_launch, "0 us",
                 "per expert of a rank, layer and pass: its kernels one after the other"),
        optional("capacity", &MoePolicy::capacity, "0",
                 "rows of a rank over its even share, the rest dropped; 0: none is"),
        optional("imbalance", &MoePolicy::imbalance, "1",
                 "rows of the busiest rank over the even share"),
    };
    return fields;
}

std::vector<Field<StatePolicy>> const& fields_of(StatePolicy const*) {
    static std::vector<Field<StatePolicy>> const fields{
        optional("weight_bytes", &StatePolicy::weight_bytes, "2",
                 "bytes per weight kept for compute"),
        optional("other_weight_bytes", &StatePolicy::other_weight_bytes, "2",
                 "the same of norms, routers, embedding and head"),
        optional("gradient_bytes", &StatePolicy::gradient_bytes, "4", "bytes per gradient"),
        optional("optimizer_bytes", &StatePolicy::optimizer_bytes, "12",
                 "bytes per parameter of optimizer state (master weight, two moments)"),
        optional("distributed_optimizer", &StatePolicy::distributed_optimizer, "true",
                 "optimizer state spread over data-parallel ranks (ZeRO-1)"),
        optional("shard_gradients", &StatePolicy::shard_gradients, "false",
                 "gradients too (ZeRO-2), reduced after every micro-batch"),
    };
    return fields;
}

std::vector<Field<MemoryReserve>> const& fields_of(MemoryReserve const*) {
    static std::vector<Field<MemoryReserve>> const fields{
        required("framework", &MemoryReserve::framework, "CUDA context and library workspaces"),
        required("communication", &MemoryReserve::communication, "NCCL buffers"),
        optional("fragmentation", &MemoryReserve::fragmentation, "0",
                 "share of activations lost to the allocator"),
    };
    return fields;
}

std::vector<Field<MemoryHabits>> const& fields_of(MemoryHabits const*) {
    static std::vector<Field<MemoryHabits>> const fields{
        optional("kept_shares", &MemoryHabits::kept_shares, "",
                 "operator: share kept of what its backward needs; others: 1"),
        optional("logit_bytes", &MemoryHabits::logit_bytes, "6",
                 "bytes per logit at the loss's peak, all copies and temporaries"),
        optional("split_logit_bytes", &MemoryHabits::split_logit_bytes, "6",
                 "the same where tensor parallelism splits the vocabulary"),
        optional("keeps_gathered", &MemoryHabits::keeps_gathered, "false",
                 "the head's input is kept as gathered over tensor-parallel ranks"),
        optional("root_gathered", &MemoryHabits::root_gathered, "false",
                 "FSDP keeps embedding and head whole through the step"),
        optional("reports_allocated", &MemoryHabits::reports_allocated, "false",
                 "its memory figure is the allocator's: without `reserve`"),
    };
    return fields;
}

std::vector<Field<Recipe>> const& fields_of(Recipe const*) {
    static std::vector<Field<Recipe>> const fields{
        required("summary", &Recipe::summary, "one line: which software, which release"),
        optional("software", &Recipe::software, "", "whose release this is"),
        optional("release", &Recipe::release, "", "of that software, as 26.06"),
        optional("also", &Recipe::also, "", "other releases whose runs its values were fitted to"),
        optional("architecture", &Recipe::architecture, "",
                 "of the GPUs it is for, as configs/gpus say; default: any"),
        required("precisions", &Recipe::precisions,
                 "what each precision word of an experiment means"),
        required("overlap", &Recipe::overlap, "which communication runs under compute"),
        optional("moe", &Recipe::moe, "", "around layers of experts"),
        required("state", &Recipe::state, "bytes per parameter"),
        required("reserve", &Recipe::reserve, "memory besides the model"),
        optional("memory", &Recipe::memory, "", "how its tensors come and go"),
        optional("kernel_launch", &Recipe::kernel_launch, "0 us",
                 "host time of one kernel launch; 0: CUDA graphs"),
        optional("recompute", &Recipe::recompute, "",
                 "operators that run again before their backward, by name"),
        optional("rebuilt", &Recipe::rebuilt, "",
                 "operators whose input is not kept but made again by the operator before them"),
        optional("selective", &Recipe::selective, "",
                 "operators that its selective recomputation, where asked for, runs again"),
        optional("elementwise_traffic", &Recipe::elementwise_traffic, "1",
                 "HBM traffic of elementwise operators over that of fused kernels"),
        optional("loss_traffic", &Recipe::loss_traffic, "1",
                 "HBM traffic of the cross-entropy over that of Megatron's own kernels, 32 B a "
                 "logit"),
        optional("compiled", &Recipe::compiled, "true",
                 "kernels fused by a compiler; false: one by one (eager)"),
        optional("trains_weights", &Recipe::trains_weights, "true",
                 "false: adapters alone (LoRA), all else is frozen"),
        optional("full_recompute", &Recipe::full_recompute, "false",
                 "run every layer's forward again before its backward"),
        optional("activation_offload", &Recipe::activation_offload, "0",
                 "share of what layers keep that waits in CPU memory, over C2C or PCIe"),
        required("optimizer_traffic_bytes", &Recipe::optimizer_traffic_bytes,
                 "HBM bytes read and written per parameter by one optimizer step"),
    };
    return fields;
}

namespace {

/// What a number of a recipe can be; outside it is a slip of the hand (bits for bytes, all
/// parameters for one).
struct Limits {
    char const* key;
    double least, most;
};
constexpr std::array policy_limits{
    Limits{"saved_input_bytes", 0.25, 8},
    Limits{"quantise_bytes", 0, 64},
    Limits{"gathered_bytes", 0.25, 8},
    Limits{"parameter_gather_bytes", 0.25, 8},
};
constexpr std::array state_limits{
    Limits{"weight_bytes", 0.25, 8},
    Limits{"other_weight_bytes", 0.25, 8},
    Limits{"gradient_bytes", 0.25, 8},
    Limits{"optimizer_bytes", 0.25, 32},
};
constexpr std::array overlap_limits{
    Limits{"tp_sms", 0, 1000},
    Limits{"tp_hidden", 0, 1},
    Limits{"dp_hidden", 0, 1},
    Limits{"tp_scatter_pieces", 1, 1000},
};
constexpr std::array moe_limits{
    Limits{"network_efficiency", 0.01, 1}, Limits{"exchange_time", 0, 20},
    Limits{"dispatch_bytes", 0.25, 8},     Limits{"combine_bytes", 0.25, 8},
    Limits{"permute_bytes", 0, 1000},      Limits{"capacity", 0, 100},
    Limits{"imbalance", 1, 100},
};
constexpr std::array memory_limits{
    Limits{"logit_bytes", 1, 64},
    Limits{"split_logit_bytes", 1, 64},
};
constexpr std::array reserve_limits{Limits{"fragmentation", 0, 1}};
constexpr std::array recipe_limits{
    Limits{"optimizer_traffic_bytes", 1, 200},
    Limits{"activation_offload", 0, 1},
    Limits{"elementwise_traffic", 1, 20},
    Limits{"loss_traffic", 0.05, 20},
};

/// Every given number of `map` that has limits lies within them.
void check_limits(Value const* map, std::span<Limits const> limits) {
    for (auto const& [key, least, most] : limits) {
        Value const* given = map != nullptr ? map->find(key) : nullptr;
        if (given == nullptr) continue;
        double const number = ValueType<double>::read(*given);
        if (number >= least && number <= most) continue;
        fail(given->place, given->scalar, fmt::format("{} to {}", least, most));
    }
}

void check_state(Value const* state) {
    auto const is = [&](char const* key, bool fallback) {
        Value const* given = state != nullptr ? state->find(key) : nullptr;
        return given != nullptr ? ValueType<bool>::read(*given) : fallback;
    };
    if (!is("shard_gradients", false) || is("distributed_optimizer", true)) return;
    fail(state->find("shard_gradients")->place, "true without distributed_optimizer",
         "both: gradients are sharded as the optimizer's state is");
}

void check_recipe(Value const& file) {
    for (auto const& [name, policy] : file.find("precisions")->entries) {
        check_limits(&policy, policy_limits);
    }
    check_limits(file.find("overlap"), overlap_limits);
    check_limits(file.find("moe"), moe_limits);
    check_limits(file.find("state"), state_limits);
    check_limits(file.find("reserve"), reserve_limits);
    check_limits(file.find("memory"), memory_limits);
    check_limits(&file, recipe_limits);
    check_state(file.find("state"));
}

/// The file of a recipe's base: beside it, so that a user's own may build on one another, else a
/// shipped one.
std::string base_path(std::string const& path, Value const& base, Library const* shipped) {
    auto const file = std::filesystem::path(path).parent_path() / (base.scalar + ".yaml");
    if (std::filesystem::exists(file)) return file.string();
    if (shipped != nullptr) return shipped->path("recipes", base.scalar, base.place);
    fail(base.place, "'" + base.scalar + "'", "the name of a recipe beside this one");
}

}  // namespace

Value load_recipe_file(std::string const& path, Library const* shipped) {
    return load_based(path, [&](Value const& base) { return base_path(path, base, shipped); });
}

Recipe load_recipe(std::string const& path, Trail* trail, Library const* shipped) {
    return read_recipe(load_recipe_file(path, shipped), path, trail);
}

Recipe read_recipe(Value const& file, std::string const& path, Trail* trail) {
    auto recipe = read_spec<Recipe>(file, trail);
    check_recipe(file);
    recipe.name = std::filesystem::path(path).stem().string();
    recipe.place = {path, 1, ""};
    return recipe;
}

PrecisionPolicy const& policy_of(Recipe const& recipe,
                                 std::string const& word,
                                 Place const& asked) {
    std::vector<std::string> words;
    for (auto const& [name, policy] : recipe.precisions) {
        if (name == word) return policy;
        words.push_back(name);
    }
    auto const near = nearest_name(word, words);
    fail(asked, fmt::format("'{}'{}", word, near.empty() ? "" : ", did you mean " + near + "?"),
         fmt::format("a precision of recipe {}: {}", recipe.name, join(words, " | ")));
}

}  // namespace nvl72
