#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace nvl72::measure {

/// Throws CaseUnavailable when memory is short, else std::runtime_error, in one line, when a call
/// of CUDA failed. `what` names the call.
void cuda_expect(cudaError_t error, char const* what);

/// Memory of one GPU, freed with it.
class DeviceMemory {
public:
    DeviceMemory() = default;
    DeviceMemory(int device, std::int64_t bytes);
    DeviceMemory(DeviceMemory&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
    DeviceMemory& operator=(DeviceMemory&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    DeviceMemory(DeviceMemory const&) = delete;
    DeviceMemory& operator=(DeviceMemory const&) = delete;
    ~DeviceMemory();
    std::byte* data() const { return data_; }
    std::int64_t bytes() const { return bytes_; }

private:
    std::byte* data_ = nullptr;
    std::int64_t bytes_ = 0;
};

/// Pinned memory of the host that every GPU reads and writes.
class PinnedMemory {
public:
    explicit PinnedMemory(std::int64_t bytes);
    PinnedMemory(PinnedMemory const&) = delete;
    PinnedMemory& operator=(PinnedMemory const&) = delete;
    PinnedMemory(PinnedMemory&&) = delete;
    PinnedMemory& operator=(PinnedMemory&&) = delete;
    ~PinnedMemory();
    std::byte* data() const { return data_; }

private:
    std::byte* data_ = nullptr;
};

/// A stream of one GPU and the two events that time what it runs.
class Stream {
public:
    /// first: before the other streams when SMs are scarce
    explicit Stream(int device, bool first = false);
    Stream(Stream&& other) noexcept
        : device_(other.device_),
          stream_(std::exchange(other.stream_, nullptr)),
          begin_(std::exchange(other.begin_, nullptr)),
          end_(std::exchange(other.end_, nullptr)) {}
    Stream& operator=(Stream&&) = delete;
    Stream(Stream const&) = delete;
    Stream& operator=(Stream const&) = delete;
    ~Stream();

    cudaStream_t get() const { return stream_; }
    int device() const { return device_; }
    /// Makes the stream's GPU the current one.
    void use() const;
    void mark_begin() const;
    void mark_end() const;
    void wait() const;
    /// Between the two marks; the stream has been waited for.
    double seconds() const;
    /// Of `mark_end` after other's `mark_end` on the same GPU: positive when this one ended later.
    double ends_after(Stream const& other) const;

private:
    int device_;
    cudaStream_t stream_ = nullptr;
    cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

/// Work captured from a stream once and launched as one CUDA graph.
class Graph {
public:
    Graph(Stream const& stream, std::function<void()> const& enqueue);
    /// Of a capture that has ended; takes it over.
    explicit Graph(cudaGraph_t captured);
    Graph(Graph const&) = delete;
    Graph& operator=(Graph const&) = delete;
    Graph(Graph&&) = delete;
    Graph& operator=(Graph&&) = delete;
    ~Graph();
    void launch(Stream const& stream) const;

private:
    cudaGraphExec_t graph_ = nullptr;
};

/// Seconds per operation: enqueue(0), ..., enqueue(iterations - 1) between two events, as a graph
/// that has run once before when `graph` is set.
double time_on(Stream const& stream,
               std::int64_t iterations,
               bool graph,
               std::function<void(std::int64_t)> const& enqueue);

/// Where iteration i of a buffer of `bytes` begins in an arena: moves on by whole multiples of 256
/// bytes through at most `span` bytes (past the L2), and stays inside the arena.
std::int64_t window(std::int64_t i,
                    std::int64_t bytes,
                    std::int64_t span,
                    std::int64_t arena_bytes);

}  // namespace nvl72::measure
