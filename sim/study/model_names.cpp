#include "sim/study/model_names.hpp"

#include "sim/base/error.hpp"
#include "sim/base/names.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <optional>
#include <vector>

namespace nvl72 {

namespace {

bool digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

/// Words of a name that say nothing of its layers: who made it, how it was tuned, how it is stored.
constexpr std::array<std::string_view, 46> beside_the_point{
    "meta",        "nvidia",    "nv",          "openai",  "google", "microsoft", "mistralai",
    "hf",          "instruct",  "chat",        "base",    "it",     "sft",       "lora",
    "qlora",       "peft",      "dpo",         "rlhf",    "pt",     "pretrain",  "tuned",
    "finetune",    "finetuned", "model",       "bf16",    "fp16",   "fp8",       "fp4",
    "mxfp8",       "mxfp4",     "nvfp4",       "int8",    "int4",   "awq",       "gptq",
    "gguf",        "quant",     "quantized",   "dynamic", "mlperf", "thinking",  "pretrained",
    "pretraining", "preview",   "interactive", "turbo"};

constexpr std::array<std::string_view, 5> number_formats{"bf", "fp", "mxfp", "nvfp", "int"};

template <std::size_t size>
bool is_one_of(std::array<std::string_view, size> const& words, std::string const& word) {
    return std::ranges::find(words, word) != words.end();
}

/// "70b", "8x7b", "1.8t".
bool is_size(std::string const& word) {
    if (word.size() < 2 || !digit(word.front())) return false;
    if (word.back() != 'b' && word.back() != 't' && word.back() != 'm') return false;
    return std::all_of(word.begin(), word.end() - 1,
                       [](char c) { return digit(c) || c == '.' || c == 'x'; });
}

/// "a22b": parameters at work.
bool is_active_size(std::string const& word) {
    return word.size() > 2 && word.front() == 'a' && is_size(word.substr(1));
}

bool is_number(std::string const& word) {
    return digit(word.front()) &&
           std::ranges::all_of(word, [](char c) { return digit(c) || c == '.'; });
}

/// Lower-case words of a name, parted by what is no letter, digit or point, and where letters (two
/// or more) end and digits begin: "llama", "3.1", "405b".
std::vector<std::string> words_of(std::string_view name) {
    std::vector<std::string> words(1);
    for (char const raw : name) {
        char const c = static_cast<char>(std::tolower(static_cast<unsigned char>(raw)));
        auto& word = words.back();
        if (!letter(c) && !digit(c) && c != '.') {
            if (!word.empty()) words.emplace_back();
            continue;
        }
        bool const letters = word.size() > 1 && std::ranges::all_of(word, letter);
        if (letters && digit(c) && !is_one_of(number_formats, word)) words.emplace_back();
        words.back() += c;
    }
    if (words.back().empty()) words.pop_back();
    return words;
}

/// What of a name tells its layers.
struct NameParts {
    std::string family;   ///< its words together: "gptoss"
    std::string version;  ///< "3.1", "v3", "r1"; or empty
    std::string size, active;
};

NameParts parts_of(std::string_view name) {
    auto const slash = name.rfind('/');
    if (slash != std::string_view::npos) name.remove_prefix(slash + 1);
    NameParts parts;
    for (auto const& word : words_of(name)) {
        if (is_one_of(beside_the_point, word)) continue;
        if (is_size(word)) {
            if (parts.size.empty()) parts.size = word;
        } else if (is_active_size(word)) {
            parts.active = word;
        } else if (std::ranges::any_of(word, digit)) {
            bool const small = parts.size.empty() && word.size() == 1;
            if (parts.version.empty() && !parts.family.empty() && parts.size.empty()) {
                parts.version = word;
            } else if (small && parts.version.size() == 1 && is_number(word)) {
                parts.version += "." + word;  // "3_1"
            }  // others are dates and revisions
        } else {
            parts.family += word;
        }
    }
    return parts;
}

std::optional<double> number_of(std::string const& version) {
    auto const plain = version.starts_with('v') ? version.substr(1) : version;
    if (plain.empty() || !is_number(plain)) return std::nullopt;
    double const number = std::strtod(plain.c_str(), nullptr);
    // "31" for 3.1, as names of folders are written.
    return number >= 10 ? number / 10 : number;
}

/// How far two versions lie apart; nothing where they are of different generations.
std::optional<double> apart(std::string const& asked, std::string const& known) {
    if (asked == known) return 0;
    auto const a = number_of(asked), b = number_of(known);
    if (!a || !b || std::floor(*a) != std::floor(*b)) return std::nullopt;
    return std::abs(*a - *b);
}

/// How far a shipped name lies from the one asked for; nothing where it is another model.
std::optional<double> distance(NameParts const& asked, NameParts const& known) {
    bool const both_sized = !asked.size.empty() && !known.size.empty();
    if (both_sized && asked.size != known.size) return std::nullopt;
    if (!asked.active.empty() && !known.active.empty() && asked.active != known.active)
        return std::nullopt;
    // Words more than the known ones are a variant, if a size says that its layers are the same.
    double variant = 0;
    if (asked.family != known.family) {
        if (!both_sized || known.family.empty() || !asked.family.starts_with(known.family))
            return std::nullopt;
        variant = 10;
    }
    if (asked.version.empty() || known.version.empty()) {
        bool const told = both_sized || asked.version == known.version ||
                          (asked.size.empty() && known.size.empty());
        return told && asked.version.empty() == known.version.empty()
                   ? std::optional(variant)
                   : (both_sized ? std::optional(variant + 1) : std::nullopt);
    }
    auto const versions = apart(asked.version, known.version);
    if (!versions) return std::nullopt;
    return variant + *versions;
}

std::string some_of(std::vector<std::string> names) {
    constexpr std::size_t shown = 4;
    if (names.size() > shown) {
        names.resize(shown);
        names.emplace_back("...");
    }
    return join(names, " | ");
}

/// Shipped names of the same family, else the nearest in spelling.
std::vector<std::string> nearest(std::string const& words, std::vector<std::string> const& names) {
    auto const asked = parts_of(words);
    std::vector<std::string> near;
    for (auto const& name : names) {
        auto const family = parts_of(name).family;
        bool const same =
            family == asked.family || (!family.empty() && asked.family.starts_with(family));
        if (same) near.push_back(name);
    }
    std::ranges::stable_partition(near, [&](std::string const& name) {
        return apart(asked.version, parts_of(name).version).has_value();
    });
    if (!near.empty()) return near;
    auto const one = nearest_name(words, names);
    return one.empty() ? near : std::vector<std::string>{one};
}

}  // namespace

std::string model_named(std::string const& words, Library const& library, Place const& asked) {
    if (words.ends_with(".yaml") || words.ends_with(".json")) return words;  // a file of the user's
    if (trimmed(words).empty()) fail(asked, "no model", "one of nvl72sim list models");
    auto const wanted = letters_and_digits(words.substr(words.rfind('/') + 1));
    auto const names = library.names("models");
    for (auto const& name : names) {
        if (letters_and_digits(name) == wanted) return name;
    }
    auto const parts = parts_of(words);
    std::vector<std::string> best;
    double least = 0;
    for (auto const& name : names) {
        auto const far = parts.family.empty() ? std::nullopt : distance(parts, parts_of(name));
        if (!far || (!best.empty() && *far > least)) continue;
        if (!best.empty() && *far < least) best.clear();
        least = *far;
        best.push_back(name);
    }
    if (best.size() == 1) return best.front();
    if (best.size() > 1) {
        fail(asked, fmt::format("model '{}', which may be several", words), some_of(best));
    }
    auto const near = nearest(words, names);
    fail(asked, fmt::format("model '{}'", words),
         (near.empty() ? "" : some_of(near) + "; or another ") +
             std::string("of nvl72sim list models, or its config.json in configs/models"));
}

}  // namespace nvl72
