#include "kernels/measure/cuda/nccl.hpp"

#include "kernels/measure/cuda/device.hpp"
#include "kernels/measure/cuda/library.hpp"
#include "kernels/measure/errors.hpp"
#include "kernels/measure/world.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <nccl.h>

namespace nvl72::measure {

namespace {

/// The calls of NCCL that are used, found in the opened library.
struct Nccl {
    Library library{{"libnccl.so.2", "libnccl.so"}, "NCCL"};
    decltype(ncclGetVersion)* version = nullptr;
    decltype(ncclGetErrorString)* text = nullptr;
    decltype(ncclGetUniqueId)* unique_id = nullptr;
    decltype(ncclCommInitRankConfig)* init = nullptr;
    decltype(ncclCommAbort)* abort = nullptr;
    decltype(ncclGroupStart)* group_start = nullptr;
    decltype(ncclGroupEnd)* group_end = nullptr;
    decltype(ncclAllReduce)* all_reduce = nullptr;
    decltype(ncclAllGather)* all_gather = nullptr;
    decltype(ncclReduceScatter)* reduce_scatter = nullptr;
    decltype(ncclBroadcast)* broadcast = nullptr;
    decltype(ncclSend)* send = nullptr;
    decltype(ncclRecv)* receive = nullptr;

    Nccl() {
        library.find(version, "ncclGetVersion");
        library.find(text, "ncclGetErrorString");
        library.find(unique_id, "ncclGetUniqueId");
        library.find(init, "ncclCommInitRankConfig");
        library.find(abort, "ncclCommAbort");
        library.find(group_start, "ncclGroupStart");
        library.find(group_end, "ncclGroupEnd");
        library.find(all_reduce, "ncclAllReduce");
        library.find(all_gather, "ncclAllGather");
        library.find(reduce_scatter, "ncclReduceScatter");
        library.find(broadcast, "ncclBroadcast");
        library.find(send, "ncclSend");
        library.find(receive, "ncclRecv");
    }
};

Nccl const& nccl() {
    static Nccl const opened;
    return opened;
}

void nccl_expect(ncclResult_t result, char const* what) {
    if (result == ncclSuccess) return;
    throw CaseUnavailable(std::string(what) + ": " + nccl().text(result) +
                          " (NCCL_DEBUG=WARN tells more)");
}

/// Calls of one NCCL group; the group is closed even when one of them throws.
template <class Calls>
void grouped(Calls const& calls) {
    nccl_expect(nccl().group_start(), "ncclGroupStart");
    try {
        calls();
    } catch (...) {
        (void)nccl().group_end();
        throw;
    }
    nccl_expect(nccl().group_end(), "ncclGroupEnd");
}

/// Sets NCCL_ALGO and NCCL_PROTO, which NCCL reads when a communicator is made, and puts back what
/// the user had set.
class BranchVariables {
public:
    explicit BranchVariables(NcclBranch const& branch)
        : algorithm_("NCCL_ALGO", branch.algorithm), protocol_("NCCL_PROTO", branch.protocol) {}

private:
    class Variable {
    public:
        Variable(char const* name, std::string value) : name_(name) {
            auto const* const old = std::getenv(name);
            had_ = old != nullptr;
            if (had_) old_ = old;
            if (value == "auto") return;
            std::ranges::transform(value, value.begin(), [](unsigned char letter) {
                return static_cast<char>(std::toupper(letter));
            });
            (void)setenv(name, value.c_str(), 1);
        }
        Variable(Variable const&) = delete;
        Variable& operator=(Variable const&) = delete;
        Variable(Variable&&) = delete;
        Variable& operator=(Variable&&) = delete;
        ~Variable() {
            if (had_) {
                (void)setenv(name_, old_.c_str(), 1);
            } else {
                (void)unsetenv(name_);
            }
        }

    private:
        char const* name_;
        bool had_ = false;
        std::string old_;
    };
    Variable algorithm_, protocol_;
};

constexpr std::int64_t element_bytes = 4;  // float32

std::int64_t past_l2(int device) {
    constexpr std::int64_t multiple = 2;
    int bytes = 0;
    cuda_expect(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device),
                "cudaDeviceGetAttribute");
    return multiple * bytes;
}

}  // namespace

/// One rank that this process drives.
struct NcclRanks::Member {
    Member(int device, int number, std::int64_t arena_bytes)
        : rank(number),
          stream(device, true),
          send(device, arena_bytes),
          receive(device, arena_bytes) {}
    Member(Member const&) = delete;
    Member& operator=(Member const&) = delete;
    Member(Member&&) = delete;
    Member& operator=(Member&&) = delete;
    ~Member() {
        // Abort, not destroy: it also frees a communicator whose peers have failed.
        if (comm != nullptr) (void)nccl().abort(comm);
    }

    int rank;
    Stream stream;
    DeviceMemory send, receive;
    ncclComm_t comm = nullptr;
};

NcclRanks::NcclRanks(int ranks, NcclBranch const& branch, std::int64_t bytes_most, int ctas_most)
    : ranks_(ranks), span_(past_l2(0)) {
    ncclUniqueId id{};
    if (world().first()) nccl_expect(nccl().unique_id(&id), "ncclGetUniqueId");
    world_share(&id, sizeof id);
    auto const arena = std::max(bytes_most, span_);
    if (world().alone()) {
        for (int rank = 0; rank < ranks; ++rank) {
            members_.push_back(std::make_unique<Member>(rank, rank, arena));
        }
    } else if (world().rank < ranks) {
        int devices = 0;  // Slurm may show each process its own GPU only
        cuda_expect(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
        members_.push_back(
            std::make_unique<Member>(world().local_rank % devices, world().rank, arena));
    }
    BranchVariables const variables(branch);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    if (ctas_most > 0) config.maxCTAs = ctas_most;
    grouped([&] {
        for (auto& member : members_) {
            member->stream.use();
            nccl_expect(nccl().init(&member->comm, ranks, id, member->rank, &config),
                        "ncclCommInitRankConfig");
        }
    });
}

NcclRanks::~NcclRanks() = default;

std::vector<Stream const*> NcclRanks::streams() const {
    std::vector<Stream const*> all;
    all.reserve(members_.size());
    for (auto const& member : members_) all.push_back(&member->stream);
    return all;
}

void NcclRanks::enqueue_one(NcclCall const& call, std::int64_t i, Member const& member) const {
    auto const at = window(i, call.bytes, span_, member.send.bytes());
    auto* const receive = member.receive.data() + at;
    auto* const send = call.in_place ? receive : member.send.data() + at;
    auto const total = static_cast<std::size_t>(call.bytes / element_bytes);
    auto const share = total / static_cast<std::size_t>(ranks_);
    auto const offset = share * static_cast<std::size_t>(member.rank) * element_bytes;
    auto* const comm = member.comm;
    auto* const stream = member.stream.get();
    auto const& api = nccl();
    auto const part = [&](std::byte* buffer, int rank) {
        return buffer + share * static_cast<std::size_t>(rank) * element_bytes;
    };
    if (call.op == "all_reduce") {
        nccl_expect(api.all_reduce(send, receive, total, ncclFloat, ncclSum, comm, stream),
                    "ncclAllReduce");
    } else if (call.op == "all_gather") {
        auto* const own = call.in_place ? receive + offset : send;
        nccl_expect(api.all_gather(own, receive, share, ncclFloat, comm, stream), "ncclAllGather");
    } else if (call.op == "reduce_scatter") {
        auto* const own = call.in_place ? receive + offset : receive;
        nccl_expect(api.reduce_scatter(send, own, share, ncclFloat, ncclSum, comm, stream),
                    "ncclReduceScatter");
    } else if (call.op == "broadcast") {
        nccl_expect(api.broadcast(send, receive, total, ncclFloat, 0, comm, stream),
                    "ncclBroadcast");
    } else if (call.op == "alltoall") {
        for (int peer = 0; peer < ranks_; ++peer) {
            nccl_expect(api.send(part(send, peer), share, ncclFloat, peer, comm, stream),
                        "ncclSend");
            nccl_expect(api.receive(part(receive, peer), share, ncclFloat, peer, comm, stream),
                        "ncclRecv");
        }
    } else if (call.op == "sendrecv") {
        int const next = (member.rank + 1) % ranks_;
        int const before = (member.rank + ranks_ - 1) % ranks_;
        nccl_expect(api.send(send, total, ncclFloat, next, comm, stream), "ncclSend");
        nccl_expect(api.receive(receive, total, ncclFloat, before, comm, stream), "ncclRecv");
    } else {
        throw std::invalid_argument("no NCCL operation " + call.op);
    }
}

void NcclRanks::enqueue(NcclCall const& call, std::int64_t i) {
    grouped([&] {
        for (auto const& member : members_) {
            member->stream.use();
            enqueue_one(call, i, *member);
        }
    });
}

void NcclRanks::run_eager(NcclCall const& call, std::int64_t iterations) {
    for (auto const& member : members_) {
        member->stream.use();
        member->stream.mark_begin();
    }
    for (std::int64_t i = 0; i < iterations; ++i) enqueue(call, i);
    for (auto const& member : members_) {
        member->stream.use();
        member->stream.mark_end();
    }
}

/// One graph per GPU, captured together, since a group spans them all.
void NcclRanks::run_graph(NcclCall const& call, std::int64_t iterations) {
    for (auto const& member : members_) {
        member->stream.use();
        cuda_expect(cudaStreamBeginCapture(member->stream.get(), cudaStreamCaptureModeThreadLocal),
                    "cudaStreamBeginCapture");
    }
    std::string failed;
    try {
        for (std::int64_t i = 0; i < iterations; ++i) enqueue(call, i);
    } catch (CaseUnavailable const& why) {
        failed = why.what();
    }
    std::vector<std::unique_ptr<Graph>> graphs;
    for (auto const& member : members_) {
        member->stream.use();
        cudaGraph_t captured = nullptr;
        auto const ended = cudaStreamEndCapture(member->stream.get(), &captured);
        if (failed.empty()) {
            cuda_expect(ended, "cudaStreamEndCapture");
            graphs.push_back(std::make_unique<Graph>(captured));
        } else if (captured != nullptr) {
            (void)cudaGraphDestroy(captured);
        }
    }
    if (!failed.empty()) throw CaseUnavailable(failed);
    for (bool const timed : {false, true}) {  // the first launch uploads the graph
        for (std::size_t k = 0; k < members_.size(); ++k) {
            auto const& stream = members_[k]->stream;
            stream.use();
            if (timed) stream.mark_begin();
            graphs[k]->launch(stream);
            if (timed) stream.mark_end();
        }
    }
    for (auto const& member : members_) member->stream.wait();
}

double NcclRanks::time_here(NcclCall const& call, std::int64_t iterations, bool graph) {
    enqueue(call, 0);  // untimed: after it the ranks start together
    if (graph) {
        run_graph(call, iterations);
    } else {
        run_eager(call, iterations);
    }
    double slowest = 0;
    for (auto const& member : members_) {
        member->stream.wait();
        slowest = std::max(slowest, member->stream.seconds());
    }
    return slowest;
}

double NcclRanks::time(NcclCall const& call, std::int64_t iterations, bool graph) {
    double slowest = 0;
    std::string failed;
    try {
        if (!members_.empty()) slowest = time_here(call, iterations, graph);
    } catch (CaseUnavailable const& why) {
        failed = why.what();
    }
    // Every process leaves the case out, or none: else they would time different cases.
    if (world_max(failed.empty() ? 0 : 1) > 0) {
        throw CaseUnavailable(failed.empty() ? "failed on another rank" : failed);
    }
    return world_max(slowest) / static_cast<double>(iterations);
}

std::string nccl_version() {
    try {
        int version = 0;  // 22809 is 2.28.9
        nccl_expect(nccl().version(&version), "ncclGetVersion");
        return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
               std::to_string(version % 100);
    } catch (CaseUnavailable const&) {
        return {};
    }
}

}  // namespace nvl72::measure
