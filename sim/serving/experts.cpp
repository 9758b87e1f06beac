#include "sim/serving/experts.hpp"

#include <algorithm>
#include <cmath>

namespace nvl72 {

double experts_hit(int experts, int top_k, double tokens, double skew) {
    double sum = 0;
    for (int rank = 1; rank <= experts; ++rank) sum += std::pow(rank, -skew);
    double hit = 0;
    for (int rank = 1; rank <= experts; ++rank) {
        double const chosen = std::min(1.0, top_k * std::pow(rank, -skew) / sum);
        hit += 1 - std::pow(1 - chosen, tokens);
    }
    return hit;
}

}  // namespace nvl72
