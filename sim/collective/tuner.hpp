#pragma once

namespace nvl72 {

struct Choice;

/// Seconds by NCCL's cost model (src/graph/tuning.cc of 2.30.7): latency + size / bandwidth, with
/// NCCL's own constants. It is a selector, not a prediction: in the middle sizes it is optimistic
/// by a quarter, and NCCL follows it into slow branches all the same.
double tuner_ring_ll(Choice const& choice);
double tuner_ring_ll128(Choice const& choice);
double tuner_ring_simple(Choice const& choice);
double tuner_nvls(Choice const& choice);
double tuner_hierarchical(Choice const& choice);
double tuner_tree_ll(Choice const& choice);
double tuner_tree_ll128(Choice const& choice);
double tuner_tree_simple(Choice const& choice);
double tuner_pat(Choice const& choice);
double tuner_collnet(Choice const& choice);

}  // namespace nvl72
