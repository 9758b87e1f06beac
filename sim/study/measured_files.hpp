#pragma once

#include "sim/config/library.hpp"

#include <string>
#include <vector>

namespace nvl72 {

/// What a file or folder of measurements holds, seen from its content.
enum class MeasuredFileKind {
    kernels,
    moe,
    collectives,
    log,
    log_folder,
    training,
    power,
    experiments,
    samples,
    serving
};

struct MeasuredFile {
    std::string path;
    MeasuredFileKind kind = MeasuredFileKind::kernels;
};

/// Paths as given; of folders what lies in and under them, in order of its path: tables (CSV),
/// experiments and lists of them (YAML), samples of nvl72-measure (HDF5), nccl-tests logs (.log,
/// .txt, .out, .json), and folders of logs with an INDEX.csv as one. Tables in folders that hold no
/// measurements we read are named in `notes`; a file given by name is an error then, as are a path
/// that is not there and a folder without anything.
std::vector<MeasuredFile> measured_files(std::vector<std::string> const& paths,
                                         std::vector<std::string>& notes);

/// The experiments that a file is, or that its list `experiments` names in the library.
std::vector<std::string> experiments_named_in(std::string const& path, Library const& library);

}  // namespace nvl72
