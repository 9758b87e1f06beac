export FP4=True
export FP8=False
export FP4_RECIPE="nvfp4"
export FP8_PARAM_GATHER=False
export NVTE_DPA_FP8_RECIPE="Float8CurrentScaling"
