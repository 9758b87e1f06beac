#pragma once

#include "sim/interchange/csv.hpp"
#include "sim/interchange/known_gpus.hpp"
#include "sim/interchange/measured_collective.hpp"
#include "sim/interchange/nccl_log.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// What a log of nccl-tests does not say of its run, or only in part. A number of 0 and an empty
/// word are not told.
struct LogFacts {
    std::string op;   ///< as nccl-tests names it
    std::string gpu;  ///< as configs/gpus names it, where it is one of ours
    std::int64_t ranks = 0, nodes = 0;
    double nics_per_node = 0, nic_gbps = 0;  ///< line rate of one NIC, Gb/s
    std::int64_t nvlink_domain = 0;          ///< GPUs that one NVLink domain of the machine holds
    std::string fabric;
    LaunchMode launch = LaunchMode::unknown;
    int gpus_per_thread = 0;  ///< that one host thread launches for
    std::string algorithm{};  ///< that the run forced
    int channels_min = 0;     ///< that the run asked for; 0: as NCCL chooses
    std::string quality = "ok", notes;
    std::string told_by;  ///< the place of the row of INDEX.csv; the log itself without one
};

/// What the user says of a log where neither it nor an index does: fact by fact, and the cluster
/// that it ran on, for what is left.
struct GivenFacts {
    LogFacts told;
    std::string cluster;                           ///< its name; empty: none
    std::string larger;                            ///< cluster that joins many of it; empty: none
    LogFacts of_cluster;                           ///< GPU, NICs, NVLink domain and fabric
    std::int64_t gpus_per_node = 0, gpus_max = 0;  ///< of the cluster
};

/// Fills what `facts` lack. Throws ConfigError, naming `file` and the option, where both tell a
/// fact and differ, and for more ranks than the cluster has GPUs; of the GPU the facts win where
/// `gpus` holds theirs.
void fill_facts(LogFacts& facts,
                GivenFacts const& given,
                KnownGpus const& gpus,
                std::string const& file);

/// A log, and what its row of the index adds.
struct IndexedLog {
    LogFacts facts;
    NcclLog log;
};

struct LogFolder {
    std::vector<IndexedLog> logs;    ///< in the index's order
    std::vector<std::string> notes;  ///< logs that the index lacks, rows that it counts otherwise
};

/// True for the header of an INDEX.csv: file, gpu, ngpus, nvlink_domain.
bool is_log_index(CsvTable const& table);

/// Reads the logs that `folder`/INDEX.csv names, a row each: file, gpu, ngpus, nvlink_domain; where
/// they are told also collective, nnodes, nics_per_node, nic_gbps, fabric, launch, quality, rows,
/// notes, and env, of which -g N, NCCL_ALGO=, NCCL_PROTO= and NCCL_MIN_NCHANNELS= are read. A file
/// that is not there is an error. `given` fills what the rows lack.
LogFolder read_log_folder(std::string const& folder,
                          GivenFacts const& given = {},
                          KnownGpus const& gpus = {});

/// What a log tells by itself.
LogFacts facts_of(NcclLog const& log);

/// A log without an index, whose operation or ranks `given` may hold.
IndexedLog read_lone_log(std::string const& path, GivenFacts const& given, KnownGpus const& gpus);

/// One row for every size, in the log's order. Rows of other GPUs than `gpus` are skipped, and so
/// are those whose facts do not suffice: the reason names all that lack. The ranks span ceil(ranks
/// / nvlink_domain) domains; of boxes, whose NVLink ends at their wall, at least as many as there
/// are. NICs per GPU are those of a node over its ranks.
std::vector<MeasuredCollective> measured_rows(IndexedLog const& indexed, KnownGpus const& gpus);

}  // namespace nvl72
