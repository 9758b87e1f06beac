#pragma once

#include "sim/config/fields.hpp"
#include "sim/cost/query.hpp"

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
};
std::vector<Field<PrecisionPolicy>> const& fields_of(PrecisionPolicy const*);

/// Which communication runs under compute.
struct OverlapPolicy {
    int tp_sms = 0;  ///< SMs that a tensor-parallel collective takes from the GEMM it runs under
    bool tp = true;  ///< all-gather and reduce-scatter pipelined with their GEMM, ring step by step
    int tp_scatter_pieces = 4;  ///< pieces of a GEMM whose result is reduce-scattered meanwhile
    bool cp = true;             ///< key-value exchange pipelined with attention blocks
    bool dp = true;  ///< gradient reduce-scatter under the backward, parameter all-gather under the
                     ///< forward
    bool pp = true;  ///< sends do not block the sender
};
std::vector<Field<OverlapPolicy>> const& fields_of(OverlapPolicy const*);

/// Bytes that a parameter costs, and how they are spread over data-parallel ranks.
struct StatePolicy {
    double weight_bytes = 2;
    double gradient_bytes = 4;
    double optimizer_bytes = 12;  ///< master weight and two moments
    bool distributed_optimizer = true;
};
std::vector<Field<StatePolicy>> const& fields_of(StatePolicy const*);

/// What a GPU holds besides the model.
struct MemoryReserve {
    Bytes framework;           ///< CUDA context, cuBLAS workspaces
    Bytes communication;       ///< NCCL buffers
    double fragmentation = 0;  ///< share of activations lost to the allocator
};
std::vector<Field<MemoryReserve>> const& fields_of(MemoryReserve const*);

/// Training software, as switches and times that it could be timed at; never a multiplier of one
/// model. A release is a named bundle of these (configs/recipes/NAME.yaml).
struct Recipe {
    Place place;
    std::string name;
    std::string summary;
    std::vector<std::pair<std::string, PrecisionPolicy>> precisions;  ///< by the experiment's word
    OverlapPolicy overlap;
    StatePolicy state;
    MemoryReserve reserve;
    bool full_recompute = false;         ///< every layer's forward runs again before its backward
    double optimizer_traffic_bytes = 0;  ///< HBM bytes per parameter of one optimizer step
};
std::vector<Field<Recipe>> const& fields_of(Recipe const*);

/// Throws ConfigError where a number is outside what training software can have.
Recipe load_recipe(std::string const& path, Trail* trail = nullptr);

/// The policy of `word`; throws ConfigError at `asked` with the recipe's words.
PrecisionPolicy const& policy_of(Recipe const& recipe, std::string const& word, Place const& asked);

}  // namespace nvl72
