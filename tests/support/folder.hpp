#pragma once

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace nvl72::support {

/// A fresh folder with these files, of this process alone.
inline std::string folder(std::string const& name,
                          std::vector<std::pair<std::string, std::string>> const& files) {
    auto const path = std::filesystem::path(testing::TempDir()) / name;
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
    for (auto const& file : files) std::ofstream(path / file.first) << file.second;
    return path.string();
}

}  // namespace nvl72::support
