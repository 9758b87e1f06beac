#pragma once

#include "sim/model/architecture.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace nvl72 {

struct ModelFamily;

/// A Hugging Face config.json: a foreign file, so keys we do not need are fine; what we need must
/// be there, of its kind and in its range.
class HuggingFaceConfig {
public:
    HuggingFaceConfig(std::string const& text, std::string file);

    [[nodiscard]] Architecture architecture() const;

    /// The key of this file that holds our field: "layers" -> "num_hidden_layers".
    [[nodiscard]] std::string key_of(std::string const& field) const;

private:
    [[nodiscard]] bool has(std::string const& key) const;
    [[nodiscard]] std::int64_t whole(std::string const& key, std::int64_t least) const;
    /// Of the key that holds our field: from 1, or from the fallback where that is 0.
    [[nodiscard]] std::int64_t count(std::string const& field) const;
    [[nodiscard]] std::int64_t count_or(std::string const& field, std::int64_t fallback) const;
    /// The same of layers and experts, which are few.
    [[nodiscard]] int number(std::string const& field) const;
    [[nodiscard]] int number(std::string const& field, std::int64_t value) const;
    [[nodiscard]] int number_or(std::string const& field, int fallback) const;
    [[nodiscard]] bool flag_or(std::string const& key, bool fallback) const;
    [[nodiscard]] Place place(std::string const& key) const { return {file_, 0, key}; }
    [[nodiscard]] ModelFamily const& family() const;

    void refuse_unsupported() const;
    void refuse_other_families() const;
    void read_heads(Architecture& a) const;
    void read_experts(Architecture& a) const;
    void read_windows(Architecture& a) const;
    [[nodiscard]] std::vector<bool> dense_by_name(int layers) const;
    [[nodiscard]] std::vector<bool> windowed_layers(int layers) const;

    std::string file_;
    nlohmann::json root_;
};

}  // namespace nvl72
