#include "sim/config/value.hpp"

#include "sim/base/error.hpp"
#include "sim/base/text.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <yaml-cpp/yaml.h>

namespace nvl72 {

namespace {

constexpr int depth_max = 64;
constexpr std::size_t values_max = 1'000'000;  // aliases of aliases could name 9^20 of them

class Converter {
public:
    explicit Converter(std::string file) : file_(std::move(file)) {}

    Value convert(YAML::Node const& node, std::string key, int line, int depth) {
        Value value;
        value.place = {file_, line, std::move(key)};
        if (depth > depth_max) fail(value.place, "nested too deep", "at most 64 levels");
        if (++values_ > values_max) fail(value.place, "too many values", "at most a million");
        switch (node.Type()) {
            case YAML::NodeType::Undefined:
            case YAML::NodeType::Null: break;
            case YAML::NodeType::Scalar:
                value.kind = Value::Kind::scalar;
                value.scalar = node.Scalar();
                break;
            case YAML::NodeType::Sequence: convert_list(node, value, depth); break;
            case YAML::NodeType::Map: convert_map(node, value, depth); break;
        }
        return value;
    }

private:
    void convert_list(YAML::Node const& node, Value& value, int depth) {
        value.kind = Value::Kind::list;
        for (std::size_t i = 0; i < node.size(); ++i) {
            auto const item = node[i];
            value.items.push_back(convert(item, fmt::format("{}[{}]", value.place.key, i),
                                          item.Mark().line + 1, depth + 1));
        }
    }

    void convert_map(YAML::Node const& node, Value& value, int depth) {
        value.kind = Value::Kind::map;
        for (auto const& entry : node) {
            int const line = entry.first.Mark().line + 1;
            if (!entry.first.IsScalar()) {
                fail({file_, line, value.place.key}, "a key that is not a word", "key: value");
            }
            std::string const name = entry.first.Scalar();
            std::string const key =
                value.place.key.empty() ? name : fmt::format("{}.{}", value.place.key, name);
            if (name == "<<") fail({file_, line, key}, "a merge key", "write the keys out");
            if (auto const* first = value.find(name)) {
                fail({file_, line, key}, "given twice",
                     fmt::format("once; the first is on line {}", first->place.line));
            }
            value.entries.push_back({name, convert(entry.second, key, line, depth + 1)});
        }
    }

    std::string file_;
    std::size_t values_ = 0;
};

void check_source(Value const& source) {
    bool const known =
        source.is_scalar() && std::ranges::any_of(source_kinds, [&](std::string_view kind) {
            return source.scalar.starts_with(kind);
        });
    if (!known) {
        fail(source.place, source.is_scalar() ? fmt::format("'{}'", source.scalar) : "no text",
             "a text that begins with measured, published, fitted, assumed or derived");
    }
}

/// Folds {value, source, note} into a leaf and hands `source` down to leaves without one.
void settle_sources(Value& value, std::string const& inherited) {
    std::string source = inherited;
    if (value.is_map()) {
        if (auto const* own = value.find("source")) {
            check_source(*own);
            source = own->scalar;
        }
        std::erase_if(value.entries, [](auto const& entry) {
            return entry.name == "source" || entry.name == "note";
        });
        if (auto const* inner = value.find("value")) {
            for (auto const& [name, other] : value.entries) {
                if (name != "value") fail(other.place, "unknown key", "value, source, note");
            }
            Value leaf = *inner;
            leaf.place.key = value.place.key;
            value = std::move(leaf);
            return settle_sources(value, source);  // it may carry a source of its own
        }
    }
    value.source = source;
    for (auto& item : value.items) settle_sources(item, source);
    for (auto& [name, entry] : value.entries) settle_sources(entry, source);
}

}  // namespace

std::string Place::text() const {
    std::string out = file;
    if (line > 0) out += fmt::format(":{}", line);
    if (!key.empty()) out += fmt::format("{}{}", out.empty() ? "" : ": ", key);
    return out;
}

Value const* Value::find(std::string_view key) const {
    for (auto const& [name, value] : entries) {
        if (name == key) return &value;
    }
    return nullptr;
}

bool same_content(Value const& a, Value const& b) {
    return a.kind == b.kind && a.scalar == b.scalar &&
           std::ranges::equal(a.items, b.items, same_content) &&
           std::ranges::equal(a.entries, b.entries, [](NamedValue const& x, NamedValue const& y) {
               return x.name == y.name && same_content(x.value, y.value);
           });
}

void fail(Place const& place, std::string const& found, std::string const& expected) {
    throw ConfigError(fmt::format("{}: {}{}", place.text(), found,
                                  expected.empty() ? "" : fmt::format(" (expected {})", expected)));
}

Value parse_yaml(std::string const& text, std::string const& file) {
    std::vector<YAML::Node> documents;
    try {
        documents = YAML::LoadAll(text);
    } catch (YAML::Exception const& error) {
        // Deep nesting surfaces as "bad file", at times with no mark.
        bool const deep = error.mark.line < 0 || error.msg == YAML::ErrorMsg::BAD_FILE;
        std::string const why = deep ? "nested too deep" : error.msg;
        throw ConfigError(
            fmt::format("{}:{}: not YAML: {}", file, std::max(0, error.mark.line) + 1, why));
    }
    if (documents.size() > 1) {
        throw ConfigError(fmt::format("{}:{}: {} YAML documents (expected one)", file,
                                      documents[1].Mark().line + 1, documents.size()));
    }
    if (documents.empty() || !documents[0].IsMap()) {
        throw ConfigError(fmt::format("{}:1: no keys (expected key: value lines)", file));
    }
    Value root = Converter(file).convert(documents[0], "", 0, 0);
    settle_sources(root, "");
    return root;
}

Value load_yaml(std::string const& path) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) throw ConfigError(path + ": no such file");
    if (!std::filesystem::is_regular_file(path, ignored)) {
        throw ConfigError(path + ": not a file (expected a YAML file)");
    }
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) throw ConfigError(path + ": cannot be read");
    return parse_yaml(text.str(), path);
}

namespace {

Value& child(Value& parent, std::string const& name, Place const& place) {
    if (parent.is_list()) {
        std::size_t index = parent.items.size();
        try {
            std::size_t used = 0;
            index = std::stoul(name, &used);
            if (used != name.size()) index = parent.items.size();
        } catch (std::exception const&) {
            index = parent.items.size();
        }
        if (index >= parent.items.size()) {
            fail(place, fmt::format("no item '{}'", name),
                 parent.items.empty() ? "an empty list"
                                      : fmt::format("0 to {}", parent.items.size() - 1));
        }
        return parent.items[index];
    }
    if (parent.kind == Value::Kind::null) parent.kind = Value::Kind::map;
    if (!parent.is_map()) fail(place, fmt::format("'{}' holds no keys", parent.place.key), "");
    for (auto& [key, value] : parent.entries) {
        if (key == name) return value;
    }
    Value added;
    added.place = {place.file, 0,
                   parent.place.key.empty() ? name : fmt::format("{}.{}", parent.place.key, name)};
    return parent.entries.emplace_back(NamedValue{name, std::move(added)}).value;
}

/// Gives a value, and all in it, keys that begin with `key`.
void rename(Value& value, std::string const& key) {
    value.place.key = key;
    for (std::size_t i = 0; i < value.items.size(); ++i) {
        rename(value.items[i], fmt::format("{}[{}]", key, i));
    }
    for (auto& [name, entry] : value.entries) rename(entry, fmt::format("{}.{}", key, name));
}

/// Says of a value, and all in it, that it was given at `place`.
void stand(Value& value, Place const& place) {
    value.place = place;
    for (auto& item : value.items) stand(item, place);
    for (auto& [name, entry] : value.entries) stand(entry, place);
}

}  // namespace

void set_value(Value& root, std::string const& path, Value value) {
    Value* target = &root;
    for (auto const& name : split(path, '.')) {
        if (trimmed(name).empty()) {
            fail(value.place, fmt::format("an empty name in '{}'", path),
                 "names joined by dots, such as systems.0.cluster.gpus");
        }
        target = &child(*target, name, value.place);
    }
    std::string const key = target->place.key;
    *target = std::move(value);
    rename(*target, key);
}

void apply_override(Value& root, std::string const& assignment) {
    auto const equals = assignment.find('=');
    std::string const path = assignment.substr(0, equals);
    Place const place{"command line", 0, path};
    if (equals == std::string::npos || equals == 0) fail(place, "no value", "KEY=VALUE");
    // Parsed as a file would be, so that lists and maps work; {value: X} folds to X.
    std::string const text = assignment.substr(equals + 1);
    if (text.find_first_of("\r\n") != std::string::npos) fail(place, "several lines", "one line");
    Value value = parse_yaml("value: " + text, place.text());
    stand(value, place);
    // `show` and messages write systems[0].layout; that is systems.0.layout.
    std::string dotted;
    for (char const c : path) {
        if (c != ']') dotted += c == '[' ? '.' : c;
    }
    set_value(root, dotted, std::move(value));
}

}  // namespace nvl72
