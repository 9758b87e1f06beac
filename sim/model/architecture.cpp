#include "sim/model/architecture.hpp"

#include "sim/base/error.hpp"
#include "sim/model/hugging_face.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <sstream>

namespace nvl72 {

std::vector<Field<Architecture>> const& fields_of(Architecture const*) {
    static std::vector<Field<Architecture>> const fields{
        required("layers", &Architecture::layers, "transformer layers"),
        required("hidden", &Architecture::hidden, "width of the residual stream"),
        required("heads", &Architecture::heads, "query heads"),
        required("kv_heads", &Architecture::kv_heads,
                 "key and value heads; = heads without grouping"),
        required("head_dim", &Architecture::head_dim, "width of one head"),
        required("ffn", &Architecture::ffn, "inner width of the feed-forward network"),
        required("vocab", &Architecture::vocab, "tokens in the vocabulary, padding included"),
        required("max_sequence", &Architecture::max_sequence, "longest sequence, in tokens"),
        optional("ffn_matrices", &Architecture::ffn_matrices, "3", "3 gated (SwiGLU), 2 plain"),
        optional("norm_vectors", &Architecture::norm_vectors, "1", "1 RMSNorm, 2 LayerNorm"),
        optional("rotary", &Architecture::rotary, "true", "rotary positions; false: learned ones"),
        optional("tied_embeddings", &Architecture::tied_embeddings, "false",
                 "the output layer reuses the input embedding"),
    };
    return fields;
}

namespace {

// Past these a count is a slip of the hand, and products could leave 64 bits.
constexpr std::int64_t layers_max = 100'000;
constexpr std::int64_t width_max = 100'000'000;
constexpr double parameters_max = 1e15;

void check_ranges(Architecture const& a, std::function<Place(std::string const&)> const& place_of) {
    auto const within = [&](std::string const& key, std::int64_t value, std::int64_t largest) {
        if (value < 1 || value > largest) {
            fail(place_of(key), std::to_string(value),
                 fmt::format("a whole number, 1 to {}", largest));
        }
    };
    within("layers", a.layers, layers_max);
    within("hidden", a.hidden, width_max);
    within("heads", a.heads, width_max);
    within("kv_heads", a.kv_heads, width_max);
    within("head_dim", a.head_dim, width_max);
    within("ffn", a.ffn, width_max);
    within("vocab", a.vocab, width_max);
    within("max_sequence", a.max_sequence, width_max);
    if (a.ffn_matrices != 2 && a.ffn_matrices != 3) {
        fail(place_of("ffn_matrices"), std::to_string(a.ffn_matrices), "3 gated, or 2 plain");
    }
    if (a.norm_vectors != 1 && a.norm_vectors != 2) {
        fail(place_of("norm_vectors"), std::to_string(a.norm_vectors), "1 RMSNorm, or 2 LayerNorm");
    }
}

/// Throws unless the counts are possible together; `place_of` finds a field's key in the file.
void check(Architecture const& a, std::function<Place(std::string const&)> const& place_of) {
    check_ranges(a, place_of);
    if (a.heads % a.kv_heads != 0) {
        fail(place_of("kv_heads"), fmt::format("{} key-value heads", a.kv_heads),
             fmt::format("a divisor of the {} heads", a.heads));
    }
    double const width =
        2.0 * static_cast<double>(a.heads + a.kv_heads) * static_cast<double>(a.head_dim) +
        a.ffn_matrices * static_cast<double>(a.ffn);
    double const parameters =
        static_cast<double>(a.hidden) * (a.layers * width + 2.0 * static_cast<double>(a.vocab));
    if (parameters > parameters_max) {
        fail(place_of("hidden"), fmt::format("{:.1e} parameters in all", parameters),
             "at most 1e15");
    }
}

Architecture parse_own(std::string const& text, std::string const& file) {
    Value const root = parse_yaml(text, file);
    auto architecture = read_spec<Architecture>(root, nullptr);
    check(architecture, [&](std::string const& key) {
        auto const* given = root.find(key);
        return given != nullptr ? given->place : Place{file, 0, key};
    });
    return architecture;
}

}  // namespace

Architecture parse_architecture(std::string const& text, std::string const& file) {
    std::filesystem::path const path(file);
    Architecture architecture;
    if (path.extension() == ".json") {
        HuggingFaceConfig const config(text, file);
        architecture = config.architecture();
        check(architecture,
              [&](std::string const& field) { return Place{file, 0, config.key_of(field)}; });
    } else if (path.extension() == ".yaml") {
        architecture = parse_own(text, file);
    } else {
        throw ConfigError(file +
                          ": not a model file (expected a Hugging Face config.json or a .yaml)");
    }
    architecture.name = path.stem().string();
    architecture.place = {file, 0, ""};
    return architecture;
}

Architecture load_architecture(std::string const& path) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) throw ConfigError(path + ": no such file");
    if (!std::filesystem::is_regular_file(path, ignored)) {
        throw ConfigError(path + ": not a file (expected a model's .json or .yaml)");
    }
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) throw ConfigError(path + ": cannot be read");
    return parse_architecture(text.str(), path);
}

}  // namespace nvl72
