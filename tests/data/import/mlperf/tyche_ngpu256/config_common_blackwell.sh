export NCCL_MIN_CTAS=16
export NCCL_MAX_CTAS=32
export FP8_RECIPE="delayed"
