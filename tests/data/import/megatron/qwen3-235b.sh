#!/bin/bash
# After github.com/NVIDIA/Megatron-LM/pull/2280, shortened (tests/data/import/README.md).
export CUDA_DEVICE_MAX_CONNECTIONS=1
export MEGATRON_PATH=.

TP=${TP:-2}
EP=${EP:-32}
PP=${PP:-8}
VPP=${VPP:-4}
MBS=${MBS:-1}
GBS=${GBS:-2048}

export WORLD_SIZE=256
export RANK=0

MOE_ARGS=(
    --num-experts 128            # of each layer
    --moe-router-topk 8
    --moe-ffn-hidden-size 1536
    --moe-layer-freq "([1]*94)"
    --moe-grouped-gemm
    --moe-token-dispatcher-type alltoall
    --moe-router-load-balancing-type aux_loss
    --moe-aux-loss-coeff 1e-3
)
if [ "$VPP" -gt 1 ]; then
    PIPELINE_ARGS="--num-virtual-stages-per-pipeline-rank $VPP"
else
    PIPELINE_ARGS=""
fi

python $MEGATRON_PATH/pretrain_gpt.py \
    --distributed-timeout-minutes 60 \
    --tensor-model-parallel-size $TP \
    --pipeline-model-parallel-size $PP \
    --expert-model-parallel-size $EP \
    $PIPELINE_ARGS \
    --context-parallel-size 1 \
    --expert-tensor-parallel-size 1 \
    --use-distributed-optimizer \
    --use-mcore-models \
    --sequence-parallel \
    --use-flash-attn \
    --disable-bias-linear \
    --micro-batch-size $MBS \
    --global-batch-size $GBS \
    --train-samples 32768 \
    --transformer-impl transformer_engine \
    --mock-data \
    --tokenizer-type NullTokenizer \
    --vocab-size 32000 \
    --split 99,1,0 \
    --untie-embeddings-and-output-weights \
    --position-embedding-type rope \
    --rotary-base 1000000 \
    --normalization RMSNorm \
    --swiglu \
    --num-layers 94 \
    --hidden-size 4096 \
    --ffn-hidden-size 12288 \
    --num-attention-heads 64 \
    --group-query-attention --num-query-groups 4 \
    --kv-channels 128 \
    --qk-layernorm \
    --seq-length 4096 --max-position-embeddings 40960 \
    --bf16 \
    --recompute-granularity selective --recompute-modules layernorm moe_act \
    "${MOE_ARGS[@]}" \
    ${EXTRA_ARGS} 2>&1 | tee train.log
