/// The suite `launch` on the first GPU.

#include "kernels/measure/cuda/api.hpp"
#include "kernels/measure/cuda/kernels.hpp"
#include "kernels/measure/suites.hpp"

#include <chrono>
#include <memory>

namespace nvl72::measure {

namespace {

double host_seconds(std::int64_t iterations, std::function<void()> const& once) {
    auto const begin = std::chrono::steady_clock::now();
    for (std::int64_t i = 0; i < iterations; ++i) once();
    std::chrono::duration<double> const took = std::chrono::steady_clock::now() - begin;
    return took.count() / static_cast<double>(iterations);
}

/// An event that is only recorded, never waited for.
class Mark {
public:
    Mark() { cuda_expect(cudaEventCreate(&event_), "cudaEventCreate"); }
    Mark(Mark const&) = delete;
    Mark& operator=(Mark const&) = delete;
    Mark(Mark&&) = delete;
    Mark& operator=(Mark&&) = delete;
    ~Mark() { (void)cudaEventDestroy(event_); }
    void record(Stream const& stream) const {
        cuda_expect(cudaEventRecord(event_, stream.get()), "cudaEventRecord");
    }

private:
    cudaEvent_t event_ = nullptr;
};

std::vector<Case> launch_cases() {
    auto const stream = std::make_shared<Stream>(0);
    auto const mark = std::make_shared<Mark>();
    auto const empty = [stream](std::int64_t) { launch_empty(stream->get()); };
    return {
        {LaunchRow{"kernel"}, [=](std::int64_t n) { return time_on(*stream, n, false, empty); }},
        {LaunchRow{"graph"}, [=](std::int64_t n) { return time_on(*stream, n, true, empty); }},
        {LaunchRow{"kernel_sync"},
         [=](std::int64_t n) {
             stream->use();
             return host_seconds(n, [&] {
                 launch_empty(stream->get());
                 stream->wait();
             });
         }},
        {LaunchRow{"event"},
         [=](std::int64_t n) {
             return time_on(*stream, n, false, [&](std::int64_t) { mark->record(*stream); });
         }},
    };
}

}  // namespace

std::vector<Batch> cuda_launch(Settings const& /*settings*/, Machine const& /*machine*/) {
    return {{"kernels, graphs, events", launch_cases}};
}

}  // namespace nvl72::measure
