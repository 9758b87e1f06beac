source $(dirname ${BASH_SOURCE[0]})/config_common.sh

export MINIBS=1
export TENSOR_MODEL_PARALLEL=1
export PIPELINE_MODEL_PARALLEL=1
export CONTEXT_PARALLEL=2
export MICRO_BATCH_SIZE=1
export DGXNNODES=18
export DGXNGPU=4
