#pragma once

namespace nvl72 {

/// Experts of `experts` that at least one of `tokens` tokens goes to, on average, where each
/// chooses `top_k` of them and the popularity of the r-th falls as r^-skew.
double experts_hit(int experts, int top_k, double tokens, double skew);

}  // namespace nvl72
