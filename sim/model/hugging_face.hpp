#pragma once

#include "sim/model/architecture.hpp"

#include <nlohmann/json.hpp>
#include <string>

namespace nvl72 {

struct ModelFamily;

/// A Hugging Face config.json: a foreign file, so keys we do not need are fine; what we need must
/// be there, of its kind and positive.
class HuggingFaceConfig {
public:
    HuggingFaceConfig(std::string const& text, std::string file);

    [[nodiscard]] Architecture architecture() const;

    /// The key of this file that holds our field: "layers" -> "num_hidden_layers".
    [[nodiscard]] std::string key_of(std::string const& field) const;

private:
    [[nodiscard]] bool has(std::string const& key) const;
    [[nodiscard]] std::int64_t count(std::string const& key) const;
    [[nodiscard]] std::int64_t count_or(std::string const& key, std::int64_t fallback) const;
    [[nodiscard]] bool flag_or(std::string const& key, bool fallback) const;
    void refuse_unsupported() const;
    void refuse_sliding_window() const;
    [[nodiscard]] ModelFamily const& family() const;

    std::string file_;
    nlohmann::json root_;
};

}  // namespace nvl72
