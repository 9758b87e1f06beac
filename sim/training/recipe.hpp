#pragma once

#include "sim/config/fields.hpp"
#include "sim/config/library.hpp"
#include "sim/cost/query.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nvl72 {

/// What one training precision means to the software: which GEMMs run in what, and what is kept.
struct PrecisionPolicy {
    Precision linear = Precision::bf16;     ///< GEMMs of transformer blocks
    Precision head = Precision::bf16;       ///< the output layer's GEMM
    Precision attention = Precision::bf16;  ///< scores and weighted values
    double saved_input_bytes =
        2;                      ///< per element, of what linear layers keep for the backward pass
    double quantise_bytes = 0;  ///< HBM bytes per element to bring a linear layer's input or
                                ///< gradient into its precision, all passes and copies
    double gathered_bytes = 2;  ///< per element, in the tensor-parallel all-gather
    double parameter_gather_bytes = 2;  ///< per parameter, in the data-parallel all-gather
    std::vector<std::string> also;      ///< other words for it in tables of runs
};
std::vector<Field<PrecisionPolicy>> const& fields_of(PrecisionPolicy const*);

/// Which communication runs under compute.
struct OverlapPolicy {
    int tp_sms = 0;  ///< SMs that a tensor-parallel collective takes from the GEMM it runs under
    bool tp = true;  ///< all-gather and reduce-scatter pipelined with their GEMM, ring step by step
    double tp_hidden = 1;       ///< share of a tensor-parallel collective that can hide at most
    int tp_scatter_pieces = 4;  ///< pieces of a GEMM whose result is reduce-scattered meanwhile
    bool cp = true;             ///< key-value exchange pipelined with attention blocks
    /// Share of a data-parallel collective that can hide at most: the rest is waited for, or lost
    /// by the kernels that it runs beside.
    double dp_hidden = 1;
    bool dp = true;  ///< gradient reduce-scatter under the backward, parameter all-gather under the
                     ///< forward
    bool pp = true;  ///< sends do not block the sender
    bool ep = false;             ///< expert exchanges under the compute of another micro-batch
    bool fsdp = true;            ///< the next layer's weights gathered under this layer's compute
    bool shared_expert = false;  ///< what every token passes runs under the expert exchanges
};
std::vector<Field<OverlapPolicy>> const& fields_of(OverlapPolicy const*);

/// Who moves tokens to their experts: NCCL's all-to-all, one copy for each expert of a token; or a
/// fused kernel (DeepEP, HybridEP), one copy for each rank that holds some of them.
enum class MoeDispatcher : std::uint8_t { alltoall, fused };
template <>
struct EnumNames<MoeDispatcher> {
    static constexpr std::array words{"alltoall", "fused"};
};

/// What the software does around a layer of experts, besides their GEMMs.
struct MoePolicy {
    MoeDispatcher dispatcher = MoeDispatcher::alltoall;
    double dispatch_bytes = 2;  ///< per element of a token on its way to its experts
    double combine_bytes = 2;   ///< and back
    /// Time of its dispatch and combine kernels over those that the calibration holds.
    double exchange_time = 1;
    /// Share of the NICs' line rate that a fused kernel reaches between NVLink domains.
    double network_efficiency = 0.9;
    /// HBM bytes per element of a routed row in one pass: permuting, padding, their copies.
    double permute_bytes = 8;
    bool fused_quantise = false;  ///< expert GEMMs quantise their rows without a pass of its own
    Picoseconds host_sync{0};  ///< per layer and pass: the GPU waits for the host to size buffers
    /// Per expert of a rank, layer and pass: its kernels are launched one after the other.
    Picoseconds expert_launch{0};
    double capacity = 0;   ///< rows of a rank over its even share, the rest dropped; 0: all
    double imbalance = 1;  ///< rows of the busiest rank over the even share
};
std::vector<Field<MoePolicy>> const& fields_of(MoePolicy const*);

/// Bytes that a parameter costs, and how they are spread over data-parallel ranks.
struct StatePolicy {
    double weight_bytes = 2;
    double gradient_bytes = 4;
    double other_weight_bytes = 2;  ///< of norms, routers, embedding and head
    double optimizer_bytes = 12;    ///< master weight and two moments
    bool distributed_optimizer = true;
    bool shard_gradients = false;  ///< ZeRO-2: every micro-batch's gradients are reduced at once
};
std::vector<Field<StatePolicy>> const& fields_of(StatePolicy const*);

/// What a GPU holds besides the model.
struct MemoryReserve {
    Bytes framework;           ///< CUDA context, cuBLAS workspaces
    Bytes communication;       ///< NCCL buffers
    double fragmentation = 0;  ///< share of activations lost to the allocator
};
std::vector<Field<MemoryReserve>> const& fields_of(MemoryReserve const*);

/// How the software's tensors come and go, beyond what the backward needs of the forward.
struct MemoryHabits {
    /// Of what the named operators' backward needs, the share that is kept; others: all.
    std::vector<std::pair<std::string, double>> kept_shares;
    /// Of a logit at the loss's peak, all copies; the second where tensor parallelism splits them.
    double logit_bytes = 6, split_logit_bytes = 6;
    bool keeps_gathered = false;     ///< the head's input as gathered over tensor-parallel ranks
    bool root_gathered = false;      ///< FSDP keeps embedding and head whole through the step
    bool reports_allocated = false;  ///< its memory figure is the allocator's, without CUDA's own
};
std::vector<Field<MemoryHabits>> const& fields_of(MemoryHabits const*);

/// Training software, as switches and times that it could be timed at; never a multiplier of one
/// model. A release is a named bundle of these (configs/recipes/NAME.yaml).
struct Recipe {
    Place place;
    std::string name;
    std::string summary;
    std::optional<std::string> software;  ///< "megatron-bridge"
    std::optional<std::string>
        release;  ///< "26.06", of that software; releases sort as their numbers do
    std::vector<std::string> also;  ///< other releases whose runs its values were fitted to
    std::optional<std::string> architecture;  ///< of the GPUs it is for; none: any
    std::vector<std::pair<std::string, PrecisionPolicy>> precisions;  ///< by the experiment's word
    OverlapPolicy overlap;
    MoePolicy moe;
    StatePolicy state;
    MemoryReserve reserve;
    MemoryHabits memory;
    Picoseconds kernel_launch{0};        ///< host time of one launch; 0: CUDA graphs
    std::vector<std::string> recompute;  ///< operators that run again before their backward
    std::vector<std::string> rebuilt;    ///< operators whose kept input the elementwise operator
                                       ///< before it makes again (a compiler's choice, nearly free)
    std::vector<std::string> selective;  ///< what its selective recomputation would run again
    /// HBM traffic of elementwise operators over that of fused kernels: 1 where they are.
    double elementwise_traffic = 1;
    double loss_traffic = 1;      ///< the same of the loss, over that of Megatron's own kernels
    bool compiled = true;         ///< kernels fused by a compiler; false: one by one (eager)
    bool trains_weights = true;   ///< false: adapters alone (LoRA), all else is frozen
    bool full_recompute = false;  ///< every layer's forward runs again before its backward
    /// Share of what layers keep for the backward that waits in the CPU's memory meanwhile.
    double activation_offload = 0;
    double optimizer_traffic_bytes = 0;  ///< HBM bytes per parameter of one optimizer step
};
std::vector<Field<Recipe>> const& fields_of(Recipe const*);

/// Reads a recipe over its `base`, a recipe beside it or a `shipped` one, whose entries it
/// replaces. Throws ConfigError where a number is outside what training software can have.
Recipe load_recipe(std::string const& path,
                   Trail* trail = nullptr,
                   Library const* shipped = nullptr);

/// The two halves of it: the files laid over one another, each value with the place in the file
/// that gave it; and the recipe that they say, once some values may have changed.
Value load_recipe_file(std::string const& path, Library const* shipped = nullptr);
Recipe read_recipe(Value const& file, std::string const& path, Trail* trail = nullptr);

/// The policy of `word`; throws ConfigError at `asked` with the recipe's words.
PrecisionPolicy const& policy_of(Recipe const& recipe, std::string const& word, Place const& asked);

}  // namespace nvl72
