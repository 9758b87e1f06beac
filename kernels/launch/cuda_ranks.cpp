#include "kernels/launch/cuda_blocks.hpp"
#include "kernels/launch/multicast.hpp"
#include "kernels/launch/places.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <type_traits>

namespace nvl72::kernels {
namespace {

void check(cudaError_t error, std::string const& doing) {
    if (error != cudaSuccess) throw RanksError(doing + ": " + cudaGetErrorString(error));
}

/// Memory of one GPU, zeroed.
struct DeviceDelete {
    void operator()(std::byte* p) const { cudaFree(p); }
};
using DeviceBytes = std::unique_ptr<std::byte, DeviceDelete>;

struct StreamDelete {
    void operator()(cudaStream_t s) const { cudaStreamDestroy(s); }
};
using Stream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, StreamDelete>;

struct EventDelete {
    void operator()(cudaEvent_t e) const { cudaEventDestroy(e); }
};
using Event = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, EventDelete>;

Event make_event() {
    cudaEvent_t event = nullptr;
    check(cudaEventCreate(&event), "event");
    return Event(event);
}

DeviceBytes device_zeroed(int device, std::int64_t bytes) {
    auto const size = static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1));
    void* memory = nullptr;
    std::string const doing =
        "GPU " + std::to_string(device) + ": " + std::to_string(size) + " bytes";
    check(cudaSetDevice(device), doing);
    check(cudaMalloc(&memory, size), doing);
    DeviceBytes owned(static_cast<std::byte*>(memory));
    check(cudaMemset(memory, 0, size), doing);
    check(cudaDeviceSynchronize(), doing);
    return owned;
}

/// "" with at least `needed` GPUs, else why there are fewer, in one line.
std::string why_fewer_than(int needed) {
    int count = 0;
    cudaError_t const error = cudaGetDeviceCount(&count);
    if (error == cudaErrorInsufficientDriver) {
        int driver = 0;
        cudaDriverGetVersion(&driver);
        if (driver == 0) return "no NVIDIA driver";
        return "the NVIDIA driver knows CUDA " + std::to_string(driver / 1000) + "." +
               std::to_string(driver % 1000 / 10) + " (expected " +
               std::to_string(CUDART_VERSION / 1000) + ".0 or later)";
    }
    if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) return "no GPU";
    if (error != cudaSuccess) return cudaGetErrorString(error);
    if (count < needed)
        return std::to_string(count) + (count == 1 ? " GPU" : " GPUs") + " (expected " +
               std::to_string(needed) + " or more)";
    return "";
}

int attribute(cudaDeviceAttr name, int device) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, name, device), "GPU " + std::to_string(device));
    return value;
}

/// Ranks on GPUs: all on GPU 0, or rank r on GPU r.
class CudaRanks final : public Ranks {
public:
    explicit CudaRanks(RanksSpec const& spec);

    int ranks() const override { return spec_.ranks; }
    bool runs(std::size_t row, std::string* reason) const override;
    void write(int rank, Buffer buffer, int set, std::span<std::byte const> bytes) override;
    void read(int rank, Buffer buffer, int set, std::span<std::byte> bytes) const override;
    void route(MoeRouting const& routing) override;
    Timing run(Job const& job) override;

private:
    /// One GPU's part of a launch.
    struct Part {
        int device;
        int rank_first;
        int ranks;
        Stream stream;
        Event begin;
        Event end;
    };
    int device_of(int rank) const { return spec_.where == Where::gpus ? rank : 0; }
    std::byte* at(int rank, Buffer buffer, int set, std::size_t size) const;
    CudaBlocks blocks(Job const& job) const;
    void check_residency(Job const& job) const;
    void open_peers() const;
    void make_buffers();

    RanksSpec spec_;
    World world_{};
    std::vector<DeviceBytes> mailboxes_;
    std::vector<DeviceBytes> plain_;  ///< of ranks without multicast: send, then receive
    std::unique_ptr<Multicast> multicast_;
    std::string why_no_multicast_;
    Routed routed_;
    std::vector<DeviceBytes> routes_;  ///< of a rank: list, rows_to, rows_from
    std::vector<Part> parts_;
};

CudaRanks::CudaRanks(RanksSpec const& spec) : spec_(spec) {
    if (auto const why = why_no_gpus(spec_.where); !why.empty()) throw RanksError(why);
    bool const many = spec_.where == Where::gpus;
    if (auto const why = why_fewer_than(many ? spec_.ranks : 1); !why.empty())
        throw RanksError(why);
    if (many) open_peers();
    int const processors = attribute(cudaDevAttrMultiProcessorCount, 0);
    if (spec_.channels == 0)
        spec_.channels = std::clamp(processors / (many ? 1 : spec_.ranks), 1, 16);
    if (spec_.slots == 0) spec_.slots = 4;
    if (spec_.slot_bytes == 0) spec_.slot_bytes = 64 << 10;
    spec_.bytes_max = (spec_.bytes_max + 127) / 128 * 128;
    world_ = {spec_.ranks, spec_.channels, spec_.slots, spec_.slot_bytes, {}};
    for (int rank = 0; rank < spec_.ranks; ++rank) {
        mailboxes_.push_back(device_zeroed(device_of(rank), world_.mailbox_bytes()));
        world_.mailboxes[rank] = mailboxes_.back().get();
    }
    make_buffers();
    for (int device = 0; device < (many ? spec_.ranks : 1); ++device) {
        check(cudaSetDevice(device), "GPU");
        cudaStream_t stream = nullptr;
        check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
        parts_.push_back(
            {device, device, many ? 1 : spec_.ranks, Stream(stream), make_event(), make_event()});
    }
}

/// Lets every GPU reach every other one's memory.
void CudaRanks::open_peers() const {
    for (int a = 0; a < spec_.ranks; ++a) {
        for (int b = 0; b < spec_.ranks; ++b) {
            if (a == b) continue;
            std::string const pair = "GPU " + std::to_string(a) + " to GPU " + std::to_string(b);
            int can = 0;
            check(cudaDeviceCanAccessPeer(&can, a, b), pair);
            if (can == 0)
                throw RanksError(pair + ": no peer access (expected NVLink or a PCIe switch)");
            check(cudaSetDevice(a), pair);
            cudaError_t const error = cudaDeviceEnablePeerAccess(b, 0);
            if (error == cudaErrorPeerAccessAlreadyEnabled) {
                cudaGetLastError();  // takes it off the record
            } else {
                check(error, pair);
            }
        }
    }
}

/// The send and receive buffers of every rank, in memory with multicast where the GPUs have it.
void CudaRanks::make_buffers() {
    std::int64_t const bytes = 2 * spec_.bytes_max * spec_.sets;
    std::vector<int> devices;
    devices.reserve(static_cast<std::size_t>(spec_.ranks));
    for (int rank = 0; rank < spec_.ranks; ++rank) devices.push_back(device_of(rank));
    why_no_multicast_ = spec_.where == Where::gpus ? Multicast::why_not(devices)
                                                   : "one GPU has nothing to multicast to";
    if (why_no_multicast_.empty()) {
        try {
            multicast_ = std::make_unique<Multicast>(devices, std::max<std::int64_t>(bytes, 1));
            return;
        } catch (RanksError const& error) {  // a container may forbid it; the rest still runs
            why_no_multicast_ = error.what();
        }
    }
    for (int const device : devices) plain_.push_back(device_zeroed(device, bytes));
}

bool CudaRanks::runs(std::size_t row, std::string* reason) const {
    bool const here =
        collectives()[row].protocol != Protocol::multicast || why_no_multicast_.empty();
    if (!here && reason != nullptr) *reason = why_no_multicast_;
    return here;
}

std::byte* CudaRanks::at(int rank, Buffer buffer, int set, std::size_t size) const {
    if (rank < 0 || rank >= spec_.ranks || set < 0 || set >= spec_.sets ||
        static_cast<std::int64_t>(size) > spec_.bytes_max)
        throw RanksError("no such buffer, or " + std::to_string(size) + " bytes do not fit it");
    auto const r = static_cast<std::size_t>(rank);
    std::byte* const base = multicast_ ? multicast_->own(r) : plain_[r].get();
    return base + (static_cast<std::int64_t>(buffer) * spec_.sets + set) * spec_.bytes_max;
}

void CudaRanks::write(int rank, Buffer buffer, int set, std::span<std::byte const> bytes) {
    auto* const to = at(rank, buffer, set, bytes.size());
    check(cudaSetDevice(device_of(rank)), "write");
    check(cudaMemcpy(to, bytes.data(), bytes.size(), cudaMemcpyHostToDevice), "write");
    check(cudaDeviceSynchronize(), "write");
}

void CudaRanks::read(int rank, Buffer buffer, int set, std::span<std::byte> bytes) const {
    auto const* const from = at(rank, buffer, set, bytes.size());
    check(cudaSetDevice(device_of(rank)), "read");
    check(cudaMemcpy(bytes.data(), from, bytes.size(), cudaMemcpyDeviceToHost), "read");
}

void CudaRanks::route(MoeRouting const& routing) {
    std::vector<DeviceBytes> routes;
    auto const ranks = static_cast<std::size_t>(spec_.ranks);
    for (int rank = 0; rank < spec_.ranks; ++rank) {
        auto const tables = route_tables(routing, spec_.ranks, rank);
        auto all = tables.list;
        all.insert(all.end(), tables.rows_to.begin(), tables.rows_to.end());
        all.resize(all.size() + ranks * static_cast<std::size_t>(spec_.channels));
        auto const bytes = std::as_bytes(std::span(all));
        routes.push_back(device_zeroed(device_of(rank), static_cast<std::int64_t>(bytes.size())));
        check(cudaMemcpy(routes.back().get(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice),
              "route");
        check(cudaDeviceSynchronize(), "route");
    }
    routes_ = std::move(routes);
    routed_ = {routing.tokens, false};
}

CudaBlocks CudaRanks::blocks(Job const& job) const {
    CudaBlocks blocks{};
    blocks.iterations = job.iterations;
    blocks.sets = spec_.sets;
    blocks.root = job.root;
    blocks.stride = spec_.bytes_max;
    blocks.count = job.count;
    for (int rank = 0; rank < spec_.ranks; ++rank) {
        auto& o = blocks.ranks[rank];
        std::byte* const own = at(rank, Buffer::send, 0, 0);
        o.send = own;
        o.receive = at(rank, Buffer::receive, 0, 0);
        place_operands(job, rank, o.send, o.receive);
        if (multicast_) {
            o.multicast_send = multicast_->all() + (o.send - own);
            o.multicast_receive = multicast_->all() + (o.receive - own);
        }
        if (!routes_.empty()) {
            auto* const list =
                reinterpret_cast<std::int32_t*>(routes_[static_cast<std::size_t>(rank)].get());
            auto* const rows_to = list + static_cast<std::int64_t>(spec_.ranks) * routed_.tokens;
            o.routes = {routed_.tokens, list, rows_to, rows_to + spec_.ranks};
        }
    }
    return blocks;
}

/// All blocks of a launch wait for each other, so all must fit on the GPU at once.
void CudaRanks::check_residency(Job const& job) const {
    for (auto const& part : parts_) {
        std::string const gpu = "GPU " + std::to_string(part.device);
        check(cudaSetDevice(part.device), gpu);
        if (attribute(cudaDevAttrCooperativeLaunch, part.device) == 0)
            throw RanksError(gpu +
                             ": no cooperative launch (expected, so that blocks run together)");
        int blocks = 0;
        // This also loads the kernel, which must not happen while another GPU waits for it.
        check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
                  &blocks, cuda_kernel(job.row, job.element), cuda_lanes, 0),
              gpu + ": no code for it (built for sm_90, sm_100 and sm_103)");
        int const room = blocks * attribute(cudaDevAttrMultiProcessorCount, part.device);
        int const needed = part.ranks * spec_.channels;
        if (needed > room)
            throw RanksError(gpu + ": " + std::to_string(needed) + " blocks cannot run together (" +
                             std::to_string(part.ranks) + " ranks of " +
                             std::to_string(spec_.channels) + " channels; " + std::to_string(room) +
                             " fit)");
    }
}

Timing CudaRanks::run(Job const& job) {
    check_job(job, *this, spec_.bytes_max, routed_);
    check_residency(job);
    CudaBlocks all = blocks(job);
    std::string const name(collectives()[job.row].name);
    for (auto const& part : parts_) {
        all.rank_first = part.rank_first;
        std::array<void*, 2> arguments{&world_, &all};
        check(cudaSetDevice(part.device), name);
        check(cudaEventRecord(part.begin.get(), part.stream.get()), name);
        check(cudaLaunchCooperativeKernel(cuda_kernel(job.row, job.element),
                                          dim3(static_cast<unsigned>(part.ranks * spec_.channels)),
                                          dim3(cuda_lanes), arguments.data(), 0, part.stream.get()),
              name);
        check(cudaEventRecord(part.end.get(), part.stream.get()), name);
    }
    Timing timing;
    for (auto const& part : parts_) {
        float ms = 0;
        check(cudaSetDevice(part.device), name);
        check(cudaEventSynchronize(part.end.get()), name);
        check(cudaEventElapsedTime(&ms, part.begin.get(), part.end.get()), name);
        timing.block_s = static_cast<double>(ms) * 1e-3;  // the last one started waited for none
    }
    if (collectives()[job.row].op == Op::moe_dispatch) routed_.dispatched = true;
    return timing;
}

}  // namespace

std::string why_no_gpus(Where where) { return why_fewer_than(where == Where::gpus ? 2 : 1); }

std::unique_ptr<Ranks> make_cuda_ranks(RanksSpec spec) { return std::make_unique<CudaRanks>(spec); }

}  // namespace nvl72::kernels
