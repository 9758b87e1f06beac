#include "sim/model/architecture.hpp"

#include "sim/base/error.hpp"
#include "sim/model/hugging_face.hpp"

#include <algorithm>
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
        required("vocab", &Architecture::vocab, "tokens in the vocabulary, padding included"),
        required("max_sequence", &Architecture::max_sequence, "longest sequence, in tokens"),
        optional("ffn", &Architecture::ffn, "0",
                 "inner width of the feed-forward network of layers without experts"),
        optional("ffn_matrices", &Architecture::ffn_matrices, "3", "3 gated (SwiGLU), 2 plain"),
        optional("norm_vectors", &Architecture::norm_vectors, "1", "1 RMSNorm, 2 LayerNorm"),
        optional("head_norms", &Architecture::head_norms, "false",
                 "a norm over each query and key head"),
        optional("branch_norms", &Architecture::branch_norms, "false",
                 "a norm behind attention and feed-forward network too"),
        optional("rotary", &Architecture::rotary, "true", "rotary positions; false: learned ones"),
        optional("tied_embeddings", &Architecture::tied_embeddings, "false",
                 "the output layer reuses the input embedding"),
        optional("value_dim", &Architecture::value_dim, "0", "width of a value head; 0: head_dim"),
        optional("q_rank", &Architecture::q_rank, "0", "latent of the queries (MLA); 0: none"),
        optional("kv_rank", &Architecture::kv_rank, "0",
                 "latent of keys and values (MLA); 0: none"),
        optional("rope_dim", &Architecture::rope_dim, "0",
                 "with a latent: rotary part of head_dim, shared by the heads' keys"),
        optional("experts", &Architecture::experts, "0", "routed experts of a layer; 0: dense"),
        optional("top_k", &Architecture::top_k, "0", "routed experts of a token"),
        optional("expert_ffn", &Architecture::expert_ffn, "0", "inner width of a routed expert"),
        optional("shared_ffn", &Architecture::shared_ffn, "0",
                 "inner width of what every token passes beside the routed experts"),
        optional("dense_layers", &Architecture::dense_layers, "0",
                 "first layers, which have no experts"),
        optional("expert_layer_step", &Architecture::expert_layer_step, "1",
                 "of the others, every so many-th has experts"),
        optional("mtp_layers", &Architecture::mtp_layers, "0",
                 "multi-token prediction modules behind the last layer"),
        optional("window", &Architecture::window, "0",
                 "tokens that a windowed layer's attention sees; 0: no such layer"),
        optional("global_every", &Architecture::global_every, "0",
                 "every so many-th layer is not windowed; 0: all are"),
    };
    return fields;
}

LayerKind Architecture::kind_of(int layer) const {
    bool const routed =
        experts > 0 && layer >= dense_layers && (layer - dense_layers + 1) % expert_layer_step == 0;
    bool const sees_all = window == 0 || (global_every > 0 && (layer + 1) % global_every == 0);
    return {routed, !sees_all};
}

LayerCounts Architecture::count_layers(int first, int count) const {
    LayerCounts counts{};
    for (int layer = first; layer < first + count; ++layer) ++counts.at(kind_of(layer).index());
    return counts;
}

namespace {

// Past these a count is a slip of the hand, and products could leave 64 bits.
constexpr std::int64_t layers_max = 100'000;
constexpr std::int64_t experts_max = 100'000;
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
    if (a.experts == 0 || a.dense_layers > 0 || a.expert_layer_step > 1)
        within("ffn", a.ffn, width_max);
    within("vocab", a.vocab, width_max);
    within("max_sequence", a.max_sequence, width_max);
    if (a.ffn_matrices != 2 && a.ffn_matrices != 3) {
        fail(place_of("ffn_matrices"), std::to_string(a.ffn_matrices), "3 gated, or 2 plain");
    }
    if (a.norm_vectors != 1 && a.norm_vectors != 2) {
        fail(place_of("norm_vectors"), std::to_string(a.norm_vectors), "1 RMSNorm, or 2 LayerNorm");
    }
    auto const from_zero = [&](std::string const& key, std::int64_t value, std::int64_t largest) {
        if (value < 0 || value > largest) {
            fail(place_of(key), std::to_string(value),
                 fmt::format("a whole number, 0 to {}", largest));
        }
    };
    from_zero("value_dim", a.value_dim, width_max);
    from_zero("q_rank", a.q_rank, width_max);
    from_zero("kv_rank", a.kv_rank, width_max);
    from_zero("rope_dim", a.rope_dim, a.head_dim);
    from_zero("experts", a.experts, experts_max);
    from_zero("mtp_layers", a.mtp_layers, layers_max);
    from_zero("window", a.window, width_max);
    from_zero("global_every", a.global_every, layers_max);
    from_zero("shared_ffn", a.shared_ffn, width_max);
    if (a.experts == 0) return;
    within("top_k", a.top_k, a.experts);
    within("expert_ffn", a.expert_ffn, width_max);
    from_zero("dense_layers", a.dense_layers, a.layers);
    within("expert_layer_step", a.expert_layer_step, layers_max);
}

/// What belongs to a latent, to experts or to a window is an error without: it would do nothing.
void check_belonging(Architecture const& a,
                     std::function<Place(std::string const&)> const& place_of) {
    auto const without = [&](char const* owner, std::string const& key, std::int64_t value) {
        if (value == 0) return;
        fail(place_of(key), std::to_string(value), fmt::format("nothing without {}", owner));
    };
    if (!a.latent()) {
        without("kv_rank", "q_rank", a.q_rank);
        without("kv_rank", "rope_dim", a.rope_dim);
    } else if (a.kv_heads != a.heads) {
        fail(place_of("kv_heads"), std::to_string(a.kv_heads),
             fmt::format("the {} heads, as kv_rank says latent attention", a.heads));
    }
    if (a.experts == 0) {
        without("experts", "top_k", a.top_k);
        without("experts", "expert_ffn", a.expert_ffn);
        without("experts", "shared_ffn", a.shared_ffn);
        without("experts", "dense_layers", a.dense_layers);
    }
    if (a.window == 0) without("window", "global_every", a.global_every);
}

/// About all parameters, in floating point: sums of wrong counts would leave 64 bits.
double rough_parameters(Architecture const& a) {
    auto const real = [](std::int64_t count) { return static_cast<double>(count); };
    double const head = real(std::max(a.head_dim, a.value_width()));
    double const ffn =
        std::max(real(a.ffn), real(a.experts) * real(a.expert_ffn) + real(a.shared_ffn));
    double const width = 2 * real(a.heads + a.kv_heads) * head + real(a.q_rank + a.kv_rank) +
                         real(a.experts) + a.ffn_matrices * ffn;
    double const latents = 2 * real(a.q_rank + a.kv_rank) * real(a.heads) * head;
    double const layer = real(a.hidden) * width + latents;
    return a.layers * layer + a.mtp_layers * (layer + 2 * real(a.hidden) * real(a.hidden)) +
           2 * real(a.hidden) * real(a.vocab);
}

/// Throws unless the counts are possible together; `place_of` finds a field's key in the file.
void check(Architecture const& a, std::function<Place(std::string const&)> const& place_of) {
    check_ranges(a, place_of);
    check_belonging(a, place_of);
    if (a.heads % a.kv_heads != 0) {
        fail(place_of("kv_heads"), fmt::format("{} key-value heads", a.kv_heads),
             fmt::format("a divisor of the {} heads", a.heads));
    }
    if (rough_parameters(a) > parameters_max) {
        fail(place_of("hidden"), fmt::format("{:.1e} parameters in all", rough_parameters(a)),
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
