#include "kernels/measure/cuda/api.hpp"

#include "kernels/measure/errors.hpp"

#include <algorithm>
#include <stdexcept>

namespace nvl72::measure {

void cuda_expect(cudaError_t error, char const* what) {
    if (error == cudaSuccess) return;
    auto const text = std::string(what) + ": " + cudaGetErrorString(error);
    (void)cudaGetLastError();
    if (error == cudaErrorMemoryAllocation) throw CaseUnavailable(text);
    throw std::runtime_error(text);
}

DeviceMemory::DeviceMemory(int device, std::int64_t bytes) : bytes_(bytes) {
    cuda_expect(cudaSetDevice(device), "cudaSetDevice");
    void* data = nullptr;
    cuda_expect(cudaMalloc(&data, static_cast<std::size_t>(bytes)), "cudaMalloc");
    data_ = static_cast<std::byte*>(data);
    cuda_expect(cudaMemset(data_, 0, static_cast<std::size_t>(bytes)), "cudaMemset");
    // Our streams do not wait for the one that clears.
    cuda_expect(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
}
DeviceMemory::~DeviceMemory() {
    if (data_ != nullptr) (void)cudaFree(data_);
}

PinnedMemory::PinnedMemory(std::int64_t bytes) {
    void* data = nullptr;
    cuda_expect(cudaHostAlloc(&data, static_cast<std::size_t>(bytes),
                              cudaHostAllocPortable | cudaHostAllocMapped),
                "cudaHostAlloc");
    data_ = static_cast<std::byte*>(data);
    std::fill_n(data_, bytes, std::byte{0});
}
PinnedMemory::~PinnedMemory() { (void)cudaFreeHost(data_); }

Stream::Stream(int device, bool first) : device_(device) {
    use();
    int least = 0;
    int greatest = 0;
    cuda_expect(cudaDeviceGetStreamPriorityRange(&least, &greatest),
                "cudaDeviceGetStreamPriorityRange");
    cuda_expect(
        cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, first ? greatest : least),
        "cudaStreamCreateWithPriority");
    cuda_expect(cudaEventCreate(&begin_), "cudaEventCreate");
    cuda_expect(cudaEventCreate(&end_), "cudaEventCreate");
}
Stream::~Stream() {
    if (begin_ != nullptr) (void)cudaEventDestroy(begin_);
    if (end_ != nullptr) (void)cudaEventDestroy(end_);
    if (stream_ != nullptr) (void)cudaStreamDestroy(stream_);
}
void Stream::use() const { cuda_expect(cudaSetDevice(device_), "cudaSetDevice"); }
void Stream::mark_begin() const {
    cuda_expect(cudaEventRecord(begin_, stream_), "cudaEventRecord");
}
void Stream::mark_end() const { cuda_expect(cudaEventRecord(end_, stream_), "cudaEventRecord"); }
void Stream::wait() const { cuda_expect(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }
double Stream::seconds() const {
    float milliseconds = 0;
    cuda_expect(cudaEventElapsedTime(&milliseconds, begin_, end_), "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) * 1e-3;
}
double Stream::ends_after(Stream const& other) const {
    float milliseconds = 0;
    cuda_expect(cudaEventElapsedTime(&milliseconds, other.end_, end_), "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) * 1e-3;
}

namespace {

cudaGraph_t capture(Stream const& stream, std::function<void()> const& enqueue) {
    stream.use();
    cuda_expect(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal),
                "cudaStreamBeginCapture");
    cudaGraph_t captured = nullptr;
    try {
        enqueue();
    } catch (...) {
        (void)cudaStreamEndCapture(stream.get(), &captured);
        if (captured != nullptr) (void)cudaGraphDestroy(captured);
        throw;
    }
    cuda_expect(cudaStreamEndCapture(stream.get(), &captured), "cudaStreamEndCapture");
    return captured;
}

}  // namespace

Graph::Graph(Stream const& stream, std::function<void()> const& enqueue)
    : Graph(capture(stream, enqueue)) {}
Graph::Graph(cudaGraph_t captured) {
    auto const made = cudaGraphInstantiate(&graph_, captured, 0);
    (void)cudaGraphDestroy(captured);
    cuda_expect(made, "cudaGraphInstantiate");
}
Graph::~Graph() {
    if (graph_ != nullptr) (void)cudaGraphExecDestroy(graph_);
}
void Graph::launch(Stream const& stream) const {
    cuda_expect(cudaGraphLaunch(graph_, stream.get()), "cudaGraphLaunch");
}

double time_on(Stream const& stream,
               std::int64_t iterations,
               bool graph,
               std::function<void(std::int64_t)> const& enqueue) {
    stream.use();
    auto const all = [&] {
        for (std::int64_t i = 0; i < iterations; ++i) enqueue(i);
    };
    if (graph) {
        Graph const captured(stream, all);
        captured.launch(stream);  // the first launch uploads it
        stream.mark_begin();
        captured.launch(stream);
        stream.mark_end();
        stream.wait();
    } else {
        stream.mark_begin();
        all();
        stream.mark_end();
        stream.wait();
    }
    return stream.seconds() / static_cast<double>(iterations);
}

std::int64_t window(std::int64_t i,
                    std::int64_t bytes,
                    std::int64_t span,
                    std::int64_t arena_bytes) {
    constexpr std::int64_t alignment = 256;  // what cudaMalloc promises
    auto const step = (bytes + alignment - 1) / alignment * alignment;
    auto const windows = std::max<std::int64_t>(std::min(span, arena_bytes) / step, 1);
    return i % windows * step;
}

}  // namespace nvl72::measure
