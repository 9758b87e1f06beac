export USE_DIST_OPTIMIZER=True
export NCCL_MIN_NCHANNELS=4
export MICRO_BATCH_SIZE=1

: "${LOAD_MINIMAL_NUM_SAMPLES:=0}"

if [[ "${LOAD_MINIMAL_NUM_SAMPLES}" -eq 1 ]]; then
  export MAX_STEPS=500
  export TENSOR_MODEL_PARALLEL=1
fi

# This is needed to save memory
export NCCL_NVLS_ENABLE=0
export NVTE_TP_OVERLAP_TRAINING_ONLY=1
export FP8=True
export OVERLAP_GRAD_REDUCE=True
export OVERLAP_PARAM_GATHER=True
export OVERLAP_PARAM_GATHER_WITH_OPTIM_STEP=True
export FP8_PARAM_GATHER=True
if [[ "${NO_CKPT:-0}" -eq 1 ]]; then
    export LOAD_CHECKPOINT=""
fi
