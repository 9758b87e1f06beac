#include "sim/interchange/setting_reader.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace nvl72 {

namespace {

/// A name, or the beginning (`lr_*`) or end (`*_path`) of names, and why no key of ours takes it.
struct Pattern {
    std::string_view names, reason;
};

constexpr std::string_view learning = "what is learnt, not how long a step takes";
constexpr std::string_view storage = "data, tokenizer and checkpoints are outside a step";
constexpr std::string_view watching =
    "logs, checks, evaluation and failure handling are outside a step";
constexpr std::string_view launching = "how the job is started";
constexpr std::string_view others = "of other models, or of inference";
constexpr std::string_view kernels = "a kernel's choice: the recipe has its release's own";
constexpr std::string_view off = "off here";

/// May touch a step; each is listed with its reason.
constexpr std::array open_settings{
    Pattern{"rampup_batch_size", "a step is simulated at the full batch"},
    Pattern{"cpu_offloading*", "no recipe moves activations to the host"},
    Pattern{"optimizer_cpu_offload", "no recipe moves the optimizer to the host"},
    Pattern{"fine_grained_activation_offloading", "no recipe moves activations to the host"},
    Pattern{"first_last_layers_bf16", "our precisions hold for all layers"},
    Pattern{"num_layers_at_*_in_bf16", "our precisions hold for all layers"},
    Pattern{"fp8_dot_product_attention", "our recipes keep attention in BF16"},
    Pattern{"fp8_multi_head_attention", "our recipes keep attention in BF16"},
    Pattern{"*fp8_param*", "bytes of a gathered weight are the precision's own in the recipe"},
    Pattern{"delay_wgrad_compute", "no schedule of ours moves weight gradients"},
    Pattern{"defer_embedding_wgrad_compute", "no schedule of ours moves weight gradients"},
    Pattern{"overlap_param_gather_with_optimizer_step", "the optimizer step hides nothing here"},
    Pattern{"overlap_p2p_comm_warmup_flush", "sends are hidden, or not, in all of a step"},
    Pattern{"tp_comm_overlap_cfg", "the recipe has SMs and pieces of overlapped collectives"},
    Pattern{"nccl_ub", "collectives are priced as they were calibrated"},
    Pattern{"use_sharp", "collectives are priced by NCCL's own choice on the cluster"},
    Pattern{"num_distributed_optimizer_instances", "optimizer state is spread over all replicas"},
    Pattern{"hierarchical_context_parallel_sizes", "context parallelism is one ring here"},
    Pattern{"cp_comm_type", "context parallelism exchanges keys and values in a ring here"},
    Pattern{"moe_router_force_load_balancing",
            "tokens are spread evenly unless moe.imbalance says"},
    Pattern{"moe_router_load_balancing_type", "tokens are spread evenly unless moe.imbalance says"},
    Pattern{"moe_layer_recompute", "no list of operators is it"},
    Pattern{"moe_latent_size", "our experts work at the model's width"},
    Pattern{"distribute_saved_activations", "saved activations lie on each tensor-parallel rank"},
    Pattern{"pipeline_model_parallel_layout",
            "layers are dealt out evenly over the chunks, the last ones a layer less"},
    Pattern{"num_layers_in_*_pipeline_stage", "layers are dealt out evenly over the chunks"},
    Pattern{"decoder_first_pipeline_num_layers", "layers are dealt out evenly over the chunks"},
    Pattern{"decoder_last_pipeline_num_layers", "layers are dealt out evenly over the chunks"},
    Pattern{"variable_seq_lengths", "all sequences are as long as sequence_length"},
    Pattern{"deterministic_mode", "kernels are priced as they were calibrated"},
    Pattern{"mlperf_overwritten_num_layers", "the benchmark's model is taken whole"},
    Pattern{"overwritten_num_layers", "the benchmark's model is taken whole"},
    Pattern{"mlperf_segment", "which trays Slurm gives is not told to the placement"},
    Pattern{"mlperf_full_cuda_graph", "launch times are the recipe's: kernel_launch"},
    Pattern{"mlperf_layer_cuda_graph", "launch times are the recipe's: kernel_launch"},
    Pattern{"enable_cuda_graph", "launch times are the recipe's: kernel_launch"},
    Pattern{"external_cuda_graph", "launch times are the recipe's: kernel_launch"},
    Pattern{"cuda_graph_impl", "launch times are the recipe's: kernel_launch"},
    Pattern{"mlperf_nvte_dpa_fp8_recipe", "our recipes keep attention in BF16"},
    Pattern{"mlperf_nccl_min_ctas", "collectives are priced as they were calibrated"},
    Pattern{"mlperf_nccl_max_ctas", "collectives are priced as they were calibrated"},
    Pattern{"mlperf_overlap_param_gather_with_optim_step", "the optimizer step hides nothing here"},
    Pattern{"mlperf_vboost_value", "clocks are the calibration's"},
};

constexpr std::array passed_settings{
    Pattern{"lr*", learning},
    Pattern{"min_lr", learning},
    Pattern{"*weight_decay*", learning},
    Pattern{"wd_*", learning},
    Pattern{"wsd_*", learning},
    Pattern{"adam*", learning},
    Pattern{"muon*", learning},
    Pattern{"lion*", learning},
    Pattern{"sgd*", learning},
    Pattern{"optimizer", learning},
    Pattern{"decoupled*", learning},
    Pattern{"*init_method*", learning},
    Pattern{"*dropout*", learning},
    Pattern{"*loss_scale*", learning},
    Pattern{"hysteresis", learning},
    Pattern{"clip_grad", learning},
    Pattern{"*seed*", learning},
    Pattern{"*rng*", learning},
    Pattern{"*norm_epsilon", learning},
    Pattern{"layernorm_epsilon", learning},
    Pattern{"rotary*", learning},
    Pattern{"rope*", learning},
    Pattern{"use_rope_scaling", learning},
    Pattern{"no_rope_freq", learning},
    Pattern{"beta_fast", learning},
    Pattern{"beta_slow", learning},
    Pattern{"mscale*", learning},
    Pattern{"yarn*", learning},
    Pattern{"*_freq_factor", learning},
    Pattern{"scale_factor", learning},
    Pattern{"softmax_*", learning},
    Pattern{"*aux_loss*", learning},
    Pattern{"*z_loss*", learning},
    Pattern{"*_loss_scaling_factor", learning},
    Pattern{"moe_router_*", learning},
    Pattern{"mup_*", learning},
    Pattern{"qk_clip*", learning},
    Pattern{"apply_*", learning},
    Pattern{"calculate_per_token_loss", learning},
    Pattern{"fp16_lm_cross_entropy", learning},
    Pattern{"fp32_residual_connection", learning},
    Pattern{"attention_softmax_in_fp32", learning},
    Pattern{"original_max_position_embeddings", learning},
    Pattern{"old_context_len", learning},
    Pattern{"fp8_amax*", learning},
    Pattern{"fp8_margin", learning},
    Pattern{"fp8_interval", learning},
    Pattern{"override_opt*", learning},
    Pattern{"use_checkpoint_*", storage},
    Pattern{"train_*", watching},
    Pattern{"*data*", storage},
    Pattern{"*tokenizer*", storage},
    Pattern{"tiktoken*", storage},
    Pattern{"split*", storage},
    Pattern{"vocab_file", storage},
    Pattern{"merge_file", storage},
    Pattern{"vocab_extra_ids", storage},
    Pattern{"save*", storage},
    Pattern{"load*", storage},
    Pattern{"no_save*", storage},
    Pattern{"no_load*", storage},
    Pattern{"*ckpt*", storage},
    Pattern{"*checkpoint*", storage},
    Pattern{"finetune", storage},
    Pattern{"*reset_*", storage},
    Pattern{"eod_mask_loss", storage},
    Pattern{"num_workers", storage},
    Pattern{"mmap*", storage},
    Pattern{"*persistent*", storage},
    Pattern{"create_attention_mask*", storage},
    Pattern{"no_create_attention_mask*", storage},
    Pattern{"no_mmap*", storage},
    Pattern{"blend*", storage},
    Pattern{"mock*", storage},
    Pattern{"*sequence*", storage},
    Pattern{"pin_*", storage},
    Pattern{"drop_last*", storage},
    Pattern{"token_*", storage},
    Pattern{"path_to_cache", storage},
    Pattern{"*log*", watching},
    Pattern{"*tensorboard*", watching},
    Pattern{"*wandb*", watching},
    Pattern{"timing*", watching},
    Pattern{"exit*", watching},
    Pattern{"eval*", watching},
    Pattern{"*profile*", watching},
    Pattern{"*straggler*", watching},
    Pattern{"*rerun*", watching},
    Pattern{"error_*", watching},
    Pattern{"check_*", watching},
    Pattern{"*nan*", watching},
    Pattern{"manual_gc*", watching},
    Pattern{"iter*", watching},
    Pattern{"skip_*", watching},
    Pattern{"barrier*", watching},
    Pattern{"memory_*", watching},
    Pattern{"*timeout*", launching},
    Pattern{"*rank", launching},
    Pattern{"master_*", launching},
    Pattern{"rdzv*", launching},
    Pattern{"distributed_backend", launching},
    Pattern{"nnodes", launching},
    Pattern{"nproc_per_node", launching},
    Pattern{"standalone", launching},
    Pattern{"local_rank", launching},
    Pattern{"use_mcore_models", launching},
    Pattern{"*gloo*", launching},
    Pattern{"flight_recorder*", launching},
    Pattern{"*communicator*", launching},
    Pattern{"environment_*", launching},
    Pattern{"slurm_*", launching},
    Pattern{"bert*", others},
    Pattern{"retro*", others},
    Pattern{"*retriever*", others},
    Pattern{"ict*", others},
    Pattern{"biencoder*", others},
    Pattern{"img_*", others},
    Pattern{"dino*", others},
    Pattern{"swin*", others},
    Pattern{"vision*", others},
    Pattern{"mask_*", others},
    Pattern{"num_channels", others},
    Pattern{"num_classes", others},
    Pattern{"patch_dim", others},
    Pattern{"mamba*", others},
    Pattern{"linear_*", others},
    Pattern{"dsa_*", others},
    Pattern{"hybrid*", others},
    Pattern{"*inference*", others},
    Pattern{"encoder_*", others},
    Pattern{"decoder_*", others},
    Pattern{"short_seq_prob", others},
    Pattern{"generation_config", others},
    Pattern{"*fusion*", kernels},
    Pattern{"*fused*", kernels},
    Pattern{"use_flash_attn", kernels},
    Pattern{"attention_backend", kernels},
    Pattern{"transformer_*", kernels},
    Pattern{"*persist_layer_norm", kernels},
    Pattern{"tp_comm_*", kernels},
    Pattern{"moe_grouped_gemm", kernels},
    Pattern{"moe_permute_fusion", kernels},
    Pattern{"moe_deepep*", kernels},
    Pattern{"moe_hybridep*", kernels},
    Pattern{"cross_entropy*", kernels},
    Pattern{"deallocate*", kernels},
    Pattern{"*cuda_graph*", kernels},
    Pattern{"*bucket*", kernels},
    Pattern{"*wgrad*", kernels},
    Pattern{"*dtype", kernels},
    Pattern{"*grad*", kernels},
    Pattern{"align_*", kernels},
    Pattern{"*p2p*", kernels},
    Pattern{"store_param_remainders", kernels},
    Pattern{"parallel_output", kernels},
    Pattern{"scatter_*", kernels},
    Pattern{"fsdp_*", kernels},
    Pattern{"average_in_collective", kernels},
    Pattern{"perform_initialization", kernels},
    Pattern{"preserve_fp32_weights", kernels},
    Pattern{"use_mamba*", others},
    Pattern{"add_bias_linear", "biases are not counted"},
    Pattern{"disable_bias_linear", "biases are not counted"},
    Pattern{"add_qkv_bias", "biases are not counted"},
    Pattern{"add_position_embedding", "learned positions are not counted"},
    Pattern{"hf_model_id", "names the model"},
    Pattern{"mlperf_nccl*", "collectives are priced as they were calibrated"},
    Pattern{"mlperf_nvte*", kernels},
    Pattern{"mlperf_te_*", kernels},
    Pattern{"mlperf_mc_*", kernels},
    Pattern{"mlperf_cuda*", launching},
    Pattern{"mlperf_torch*", launching},
    Pattern{"mlperf_py*", launching},
    Pattern{"mlperf_*", "of the submission's own scripts"},
};

/// The same of switches that touch a step where they are off.
constexpr std::array open_when_off{
    Pattern{"mlperf_nccl_nvls_enable", "collectives are priced by NCCL's own choice, NVLS too"},
};

/// `*` stands for any letters.
bool matches(std::string_view pattern, std::string_view name) {
    auto const star = pattern.find('*');
    if (star == std::string_view::npos) return pattern == name;
    if (!name.starts_with(pattern.substr(0, star))) return false;
    auto const rest = pattern.substr(star + 1);
    for (auto from = star; from <= name.size(); ++from) {
        if (matches(rest, name.substr(from))) return true;
    }
    return false;
}

template <class Patterns>
Pattern const* find(Patterns const& patterns, std::string_view name) {
    auto const found = std::ranges::find_if(
        patterns, [&](Pattern const& pattern) { return matches(pattern.names, name); });
    return found == patterns.end() ? nullptr : &*found;
}

}  // namespace

PassReason pass_reason(ForeignSetting const& setting, JobFileKind kind) {
    auto const* without = find(open_when_off, setting.name);
    if (without != nullptr && is_off(setting, kind)) return {std::string(without->reason), true};
    auto const* may_touch = find(open_settings, setting.name);
    if (may_touch != nullptr && !is_off(setting, kind))
        return {std::string(may_touch->reason), true};
    if (may_touch != nullptr) return {std::string(off), false};
    if (auto const* passed = find(passed_settings, setting.name))
        return {std::string(passed->reason), false};
    if (is_off(setting, kind)) return {std::string(off), false};
    return {"unknown here", true};
}

}  // namespace nvl72
