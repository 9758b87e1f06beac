export USE_DIST_OPTIMIZER=True
export FP8=True
export FP8_RECIPE="tensorwise"
export OVERLAP_GRAD_REDUCE=True
export OVERLAP_PARAM_GATHER=True
