#include "sim/model/hugging_face.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"
#include "sim/model/model_families.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace nvl72 {

namespace {

// Past this a count of layers or experts is a slip of the hand; the same for widths.
constexpr std::int64_t number_max = 100'000;
constexpr std::int64_t width_max = 100'000'000;

std::string model_types(bool (*wanted)(ModelFamily const&)) {
    std::vector<std::string> names;
    for (auto const& row : model_families) {
        if (wanted(row)) names.emplace_back(row.model_type);
    }
    return join(names);
}

}  // namespace

HuggingFaceConfig::HuggingFaceConfig(std::string const& text, std::string file)
    : file_(std::move(file)) {
    try {
        root_ = nlohmann::json::parse(text);
    } catch (nlohmann::json::parse_error const& error) {
        std::string why = error.what();
        why = why.substr(why.find("] ") == std::string::npos ? 0 : why.find("] ") + 2);
        throw ConfigError(fmt::format("{}: not JSON: {}", file_, why));
    }
    if (!root_.is_object()) {
        throw ConfigError(fmt::format("{}: no keys (expected a Hugging Face config.json)", file_));
    }
    refuse_unsupported();
    refuse_other_families();
}

bool HuggingFaceConfig::has(std::string const& key) const {
    return root_.contains(key) && !root_[key].is_null();
}

std::int64_t HuggingFaceConfig::whole(std::string const& key, std::int64_t least) const {
    std::string const expected =
        least == 1 ? "a whole number above 0" : fmt::format("a whole number from {}", least);
    if (!has(key)) fail(place(key), "missing", expected);
    auto const& value = root_[key];
    bool const small = value.is_number_unsigned() ? value.get<std::uint64_t>() <= INT64_MAX
                                                  : value.is_number_integer();
    if (!small || value.get<std::int64_t>() < least) fail(place(key), value.dump(), expected);
    if (value.get<std::int64_t>() > width_max) {
        fail(place(key), value.dump(), fmt::format("a whole number, {} to {}", least, width_max));
    }
    return value.get<std::int64_t>();
}

std::int64_t HuggingFaceConfig::count(std::string const& field) const {
    return whole(key_of(field), 1);
}

std::int64_t HuggingFaceConfig::count_or(std::string const& field, std::int64_t fallback) const {
    return has(key_of(field)) ? whole(key_of(field), fallback == 0 ? 0 : 1) : fallback;
}

int HuggingFaceConfig::number(std::string const& field, std::int64_t value) const {
    if (value > number_max) {
        fail(place(key_of(field)), std::to_string(value), fmt::format("at most {}", number_max));
    }
    return static_cast<int>(value);
}

int HuggingFaceConfig::number(std::string const& field) const {
    return number(field, count(field));
}

int HuggingFaceConfig::number_or(std::string const& field, int fallback) const {
    return number(field, count_or(field, fallback));
}

bool HuggingFaceConfig::flag_or(std::string const& key, bool fallback) const {
    if (!has(key)) return fallback;
    if (!root_[key].is_boolean()) fail(place(key), root_[key].dump(), "true or false");
    return root_[key].get<bool>();
}

void HuggingFaceConfig::refuse_unsupported() const {
    for (auto const& row : unsupported) {
        std::string const key(row.key);
        if (!has(key) || root_[key] == 0) continue;
        throw ConfigError(fmt::format("{}: {}: {} ({} layers are not supported)", file_, key,
                                      root_[key].is_number() ? root_[key].dump() : "given",
                                      row.means));
    }
}

void HuggingFaceConfig::refuse_other_families() const {
    auto const refuse = [&](std::string const& key, bool (*wanted)(ModelFamily const&)) {
        // Some dense models state "no experts" or "one expert".
        if (!has(key) || root_[key] == 0 || root_[key] == 1) return;
        fail(place(key), root_[key].dump(),
             fmt::format("none in model_type {}; {} have it", family().model_type,
                         model_types(wanted)));
    };
    if (!family().experts) {
        for (auto const* key : expert_keys)
            refuse(key, [](ModelFamily const& row) { return row.experts; });
    }
    if (!family().latent) {
        for (auto const* key : latent_keys)
            refuse(key, [](ModelFamily const& row) { return row.latent; });
    }
}

ModelFamily const& HuggingFaceConfig::family() const {
    auto const known = model_types([](ModelFamily const&) { return true; });
    if (!has("model_type")) fail(place("model_type"), "missing", known);
    auto const& value = root_["model_type"];
    if (!value.is_string()) fail(place("model_type"), value.dump(), known);
    auto const name = value.get<std::string>();
    for (auto const& row : model_families) {
        if (row.model_type == name) return row;
    }
    fail(place("model_type"), fmt::format("unknown '{}'", name), known);
}

std::string HuggingFaceConfig::key_of(std::string const& field) const {
    for (auto const keys : {family().keys, Keys::usual}) {
        std::string first;
        for (auto const& row : key_names) {
            if (row.keys != keys || row.field != field) continue;
            if (has(std::string(row.key))) return std::string(row.key);
            if (first.empty()) first = row.key;
        }
        if (!first.empty()) return first;
    }
    return "model_type";  // the rest follows from the family
}

void HuggingFaceConfig::read_heads(Architecture& a) const {
    ModelFamily const& type = family();
    a.heads = count("heads");
    if (type.latent) {
        a.kv_heads = a.heads;
        a.rope_dim = count("rope_dim");
        a.head_dim = count("head_dim") + a.rope_dim;
        a.value_dim = count("value_dim");
        a.q_rank = count_or("q_rank", 0);
        a.kv_rank = count("kv_rank");
        return;
    }
    a.kv_heads = count_or("kv_heads", a.heads);
    bool const divided = type.head_dim == 0 && !has(key_of("head_dim"));
    if (divided && a.hidden % a.heads != 0) {
        fail(place(key_of("heads")), fmt::format("{} heads", a.heads),
             fmt::format("a divisor of {} {}, or a head_dim", key_of("hidden"), a.hidden));
    }
    a.head_dim =
        count_or("head_dim",
                 type.head_dim > 0 ? type.head_dim : std::max<std::int64_t>(1, a.hidden / a.heads));
}

/// The layers that Qwen's mlp_only_layers lists.
std::vector<bool> HuggingFaceConfig::dense_by_name(int layers) const {
    std::vector<bool> dense(static_cast<std::size_t>(layers), false);
    if (!has("mlp_only_layers")) return dense;
    auto const& list = root_["mlp_only_layers"];
    constexpr char const* expected = "a list of layers, from 0";
    if (!list.is_array()) fail(place("mlp_only_layers"), list.dump(), expected);
    for (auto const& entry : list) {
        if (!entry.is_number_unsigned() || entry.get<std::uint64_t>() >= dense.size())
            fail(place("mlp_only_layers"), entry.dump(), expected);
        dense[entry.get<std::size_t>()] = true;
    }
    return dense;
}

void HuggingFaceConfig::read_experts(Architecture& a) const {
    ModelFamily const& type = family();
    a.experts = number("experts");
    a.top_k = number("top_k");
    a.expert_ffn = count("expert_ffn");
    if (type.keys == Keys::usual) return;
    a.expert_layer_step = number_or("expert_layer_step", 1);
    std::vector<bool> dense(static_cast<std::size_t>(a.layers), false);
    if (type.keys == Keys::qwen) {
        dense = dense_by_name(a.layers);
        a.dense_layers = static_cast<int>(std::ranges::find(dense, false) - dense.begin());
    } else {
        std::int64_t const shared = count_or("shared_ffn", 0);
        if (shared > a.experts)
            fail(place(key_of("shared_ffn")), std::to_string(shared),
                 fmt::format("at most the {} routed experts", a.experts));
        a.shared_ffn = shared * a.expert_ffn;
        a.dense_layers = std::min(number_or("dense_layers", 0), a.layers);
        a.mtp_layers = number_or("mtp_layers", 0);
        std::fill_n(dense.begin(), a.dense_layers, true);
    }
    // Qwen counts every so many-th layer from the first, DeepSeek from 0: ours must agree.
    int const offset = type.keys == Keys::qwen ? 1 : 0;
    for (int layer = 0; layer < a.layers; ++layer) {
        bool const routed =
            !dense[static_cast<std::size_t>(layer)] && (layer + offset) % a.expert_layer_step == 0;
        if (routed == a.kind_of(layer).experts) continue;
        fail(place(key_of("dense_layers")),
             fmt::format("layer {} {} experts", layer, routed ? "has" : "without"),
             a.expert_layer_step == 1
                 ? "the first layers dense, all others with experts"
                 : fmt::format("the first layers dense, then every {}-th with experts",
                               a.expert_layer_step));
    }
}

/// Which layers' attention is windowed, if the model has a window.
std::vector<bool> HuggingFaceConfig::windowed_layers(int layers) const {
    std::vector<bool> windowed(static_cast<std::size_t>(layers), true);
    if (has("layer_types")) {
        auto const& list = root_["layer_types"];
        if (!list.is_array() || list.size() != windowed.size())
            fail(place("layer_types"),
                 list.is_array() ? fmt::format("{} layers", list.size()) : list.dump(),
                 fmt::format("a list of the {} layers", layers));
        for (std::size_t layer = 0; layer < windowed.size(); ++layer) {
            windowed[layer] = list[layer] == "sliding_attention";
            if (!windowed[layer] && list[layer] != "full_attention")
                fail(place("layer_types"), fmt::format("layer {} {}", layer, list[layer].dump()),
                     "full_attention or sliding_attention; other layers are not supported");
        }
        return windowed;
    }
    auto const full = family().window_by_flag ? whole("max_window_layers", 0) : 0;
    int const every = number_or("global_every", family().global_every);
    for (int layer = 0; layer < layers; ++layer) {
        bool const global = every > 0 && (layer + 1) % every == 0;
        windowed[static_cast<std::size_t>(layer)] = layer >= full && !global;
    }
    return windowed;
}

void HuggingFaceConfig::read_windows(Architecture& a) const {
    std::string const key = key_of("window");
    bool const given = has(key) && flag_or("use_sliding_window", !family().window_by_flag);
    std::int64_t const window = given ? whole(key, 1) : 0;
    if (!given && !has("layer_types")) return;
    auto const windowed = windowed_layers(a.layers);  // also refuses other kinds of layer
    if (std::ranges::find(windowed, true) == windowed.end()) return;
    a.window = given ? window : whole(key, 1);
    if (a.window >= a.max_sequence) {  // never binds
        a.window = 0;
        return;
    }
    auto const global = std::ranges::find(windowed, false);
    a.global_every = global == windowed.end() ? 0 : static_cast<int>(global - windowed.begin()) + 1;
    for (int layer = 0; layer < a.layers; ++layer) {
        if (windowed[static_cast<std::size_t>(layer)] == a.kind_of(layer).windowed) continue;
        fail(place(has("layer_types") ? "layer_types" : "max_window_layers"),
             fmt::format("layer {} breaks the pattern", layer),
             "every layer windowed, or every so many-th not");
    }
}

Architecture HuggingFaceConfig::architecture() const {
    ModelFamily const& type = family();
    Architecture a;
    a.layers = number("layers");
    a.hidden = count("hidden");
    read_heads(a);
    a.vocab = count("vocab");
    a.max_sequence = count("max_sequence");
    a.ffn_matrices = type.ffn_matrices;
    a.norm_vectors = type.norm_vectors;
    a.rotary = type.rotary;
    a.head_norms = type.head_norms;
    a.branch_norms = type.branch_norms;
    a.tied_embeddings = flag_or(key_of("tied_embeddings"), type.tied);
    if (type.experts) read_experts(a);
    if (type.keys == Keys::gpt2) {
        a.ffn = count_or("ffn", 4 * a.hidden);
    } else if (a.experts == 0 || a.dense_layers > 0 || a.expert_layer_step > 1) {
        a.ffn = count("ffn");
    }
    read_windows(a);
    return a;
}

}  // namespace nvl72
