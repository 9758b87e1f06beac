#include "kernels/launch/places.hpp"

// The places on GPUs of a build without the CUDA Toolkit.
namespace nvl72::kernels {

std::string why_no_gpus(Where) { return "built without the CUDA Toolkit"; }

std::unique_ptr<Ranks> make_cuda_ranks(RanksSpec spec) {
    throw RanksError(why_no_gpus(spec.where));
}

}  // namespace nvl72::kernels
