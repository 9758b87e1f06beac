#pragma once

#include "sim/trace/atomic_file.hpp"
#include "sim/trace/hdf5_handle.hpp"
#include "sim/trace/seal.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace nvl72 {

inline constexpr SealKind draft_seal{"nvl72 samples", 2, "samples", "nvl72-measure", ""};

/// A samples file as kernels/SAMPLES.md lays it out, for tests to fill, bend and write.
struct SamplesFileDraft {
    using Text = std::vector<std::string>;
    using Whole = std::vector<std::int64_t>;
    using Real = std::vector<double>;
    struct Column {
        std::string name;
        std::variant<Text, Whole, Real> values;
    };
    struct Table {
        std::string name;
        std::vector<Column> columns;

        Column& at(std::string const& column) {
            for (auto& own : columns) {
                if (own.name == column) return own;
            }
            return columns.emplace_back(Column{column, Whole{}});
        }
    };
    std::vector<std::pair<std::string, std::string>> texts{
        {"format", "nvl72-samples"}, {"date", "2026-11-24"}, {"device_kind", "host"},
        {"device_name", "a CPU"},    {"command", "x"},       {"nccl_version", ""}};
    std::vector<std::pair<std::string, std::int64_t>> numbers{{"version", 2},   {"device_count", 2},
                                                              {"nodes", 1},     {"cpu_cores", 2},
                                                              {"multicast", 0}, {"peer_access", 0}};
    std::vector<std::pair<std::string, double>> reals;
    std::vector<Table> tables;

    template <class Values, class Item>
    static void append(Column& column, Item item) {
        if (!std::holds_alternative<Values>(column.values)) column.values = Values{};
        std::get<Values>(column.values).push_back(std::move(item));
    }
    Table& table(std::string const& name) {
        for (auto& own : tables) {
            if (own.name == name) return own;
        }
        return tables.emplace_back(Table{name, {}});
    }
    void set(std::string const& name, std::string const& text) {
        for (auto& entry : texts) {
            if (entry.first == name) entry.second = text;
        }
    }

    void set_drift(double share, std::string const& batch) {
        reals.emplace_back("drift", share);
        texts.emplace_back("drift_batch", batch);
    }

    /// One block of a collective.
    struct Collective {
        std::string suite = "microkernel", op = "all_reduce", algorithm = "ring", protocol = "bulk",
                    launch = "host-threads", wiring = "host";
        std::int64_t ranks = 2, nodes = 1, bytes = 4096;
        std::string dtype = "float32";
        std::int64_t in_place = 0, tokens = 0, top_k = 0;
    };
    void add(Collective const& row, double time_s, std::int64_t outlier = 0) {
        auto& rows = table("collectives");
        append<Text>(rows.at("suite"), row.suite);
        append<Text>(rows.at("op"), row.op);
        append<Text>(rows.at("algorithm"), row.algorithm);
        append<Text>(rows.at("protocol"), row.protocol);
        append<Text>(rows.at("launch"), row.launch);
        append<Text>(rows.at("wiring"), row.wiring);
        append<Whole>(rows.at("ranks"), row.ranks);
        append<Whole>(rows.at("nodes"), row.nodes);
        append<Whole>(rows.at("channels"), std::int64_t{0});
        append<Whole>(rows.at("bytes"), row.bytes);
        append<Whole>(rows.at("tokens"), row.tokens);
        append<Whole>(rows.at("top_k"), row.top_k);
        append<Text>(rows.at("dtype"), row.dtype);
        append<Whole>(rows.at("in_place"), row.in_place);
        add_time(rows, time_s, outlier);
    }
    void add_gemm(std::string const& precision,
                  std::int64_t m,
                  std::int64_t n,
                  std::int64_t k,
                  std::string const& launch,
                  double time_s) {
        auto& rows = table("gemm");
        append<Text>(rows.at("precision"), precision);
        append<Whole>(rows.at("m"), m);
        append<Whole>(rows.at("n"), n);
        append<Whole>(rows.at("k"), k);
        append<Text>(rows.at("launch"), launch);
        add_time(rows, time_s, 0);
    }
    void add_memory(std::string const& kind, std::int64_t traffic_bytes, double time_s) {
        auto& rows = table("memory");
        append<Text>(rows.at("kind"), kind);
        append<Whole>(rows.at("bytes"), kind == "copy" ? traffic_bytes / 2 : traffic_bytes);
        append<Whole>(rows.at("traffic_bytes"), traffic_bytes);
        add_time(rows, time_s, 0);
    }
    void add_launch(std::string const& kind, double time_s) {
        auto& rows = table("launch");
        append<Text>(rows.at("kind"), kind);
        add_time(rows, time_s, 0);
    }
    void add_copy(std::string const& from,
                  std::string const& to,
                  std::string const& engine,
                  std::int64_t bytes,
                  double time_s) {
        auto& rows = table("copy");
        append<Text>(rows.at("from"), from);
        append<Text>(rows.at("to"), to);
        append<Text>(rows.at("engine"), engine);
        append<Whole>(rows.at("bytes"), bytes);
        add_time(rows, time_s, 0);
    }
    /// A GEMM of 8192 cubed beside an all-reduce that may hold `sms`.
    void add_overlap(std::string const& what, std::int64_t sms, double time_s) {
        auto& rows = table("overlap");
        append<Text>(rows.at("what"), what);
        append<Text>(rows.at("precision"), std::string("bf16"));
        for (auto const* side : {"m", "n", "k"}) append<Whole>(rows.at(side), std::int64_t{8192});
        append<Text>(rows.at("op"), std::string("all_reduce"));
        append<Text>(rows.at("algorithm"), std::string("ring"));
        append<Text>(rows.at("protocol"), std::string("simple"));
        append<Whole>(rows.at("ranks"), std::int64_t{8});
        append<Whole>(rows.at("bytes"), std::int64_t{256} << 20);
        append<Whole>(rows.at("sms"), sms);
        add_time(rows, time_s, 0);
    }
    void write(std::string const& path) const {
        write_unsealed(path);
        auto bytes = read_whole(path);
        seal(bytes, draft_seal);
        write_whole(path, bytes);
    }

    void write_unsealed(std::string const& path) const {
        Hdf5Session const session;
        Hdf5Handle const creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose, path);
        hdf5_expect(H5Pset_userblock(creation, seal_size) >= 0, path);
        Hdf5Handle const file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, H5P_DEFAULT),
                              H5Fclose, path);
        Hdf5Handle const one(H5Screate(H5S_SCALAR), H5Sclose, "a scalar");
        for (auto const& [name, text] : texts) {
            auto const type = text_type(text.size());
            Hdf5Handle const attribute(
                H5Acreate2(file, name.c_str(), type, one, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
                name);
            hdf5_expect(H5Awrite(attribute, type, text.c_str()) >= 0, name);
        }
        for (auto const& [name, number] : numbers) {
            Hdf5Handle const attribute(
                H5Acreate2(file, name.c_str(), H5T_NATIVE_INT64, one, H5P_DEFAULT, H5P_DEFAULT),
                H5Aclose, name);
            hdf5_expect(H5Awrite(attribute, H5T_NATIVE_INT64, &number) >= 0, name);
        }
        for (auto const& [name, number] : reals) {
            Hdf5Handle const attribute(
                H5Acreate2(file, name.c_str(), H5T_NATIVE_DOUBLE, one, H5P_DEFAULT, H5P_DEFAULT),
                H5Aclose, name);
            hdf5_expect(H5Awrite(attribute, H5T_NATIVE_DOUBLE, &number) >= 0, name);
        }
        for (auto const& table : tables) {
            Hdf5Handle const group(
                H5Gcreate2(file, table.name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                H5Gclose, table.name);
            for (auto const& column : table.columns) write_column(group, column);
        }
    }

private:
    static void add_time(Table& rows, double time_s, std::int64_t outlier) {
        append<Whole>(rows.at("block"), std::int64_t{0});
        append<Whole>(rows.at("order"), std::int64_t{0});
        append<Whole>(rows.at("iterations"), std::int64_t{1});
        append<Real>(rows.at("time_s"), time_s);
        append<Whole>(rows.at("outlier"), outlier);
    }
    static Hdf5Handle text_type(std::size_t size) {
        Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "a text type");
        hdf5_expect(H5Tset_size(type, size > 0 ? size : 1) >= 0, "a text type");
        return type;
    }
    static void write_data(
        hid_t group, std::string const& name, hid_t type, std::size_t count, void const* data) {
        hsize_t const rows = count;
        Hdf5Handle const space(H5Screate_simple(1, &rows, nullptr), H5Sclose, name);
        Hdf5Handle const dataset(
            H5Dcreate2(group, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
            H5Dclose, name);
        hdf5_expect(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0, name);
    }
    static void write_column(hid_t group, Column const& column) {
        if (auto const* texts = std::get_if<Text>(&column.values)) {
            std::size_t width = 1;
            for (auto const& text : *texts) width = std::max(width, text.size());
            std::string padded;
            for (auto text : *texts) {
                text.resize(width, '\0');
                padded += text;
            }
            write_data(group, column.name, text_type(width), texts->size(), padded.data());
        } else if (auto const* wholes = std::get_if<Whole>(&column.values)) {
            write_data(group, column.name, H5T_NATIVE_INT64, wholes->size(), wholes->data());
        } else {
            auto const& reals = std::get<Real>(column.values);
            write_data(group, column.name, H5T_NATIVE_DOUBLE, reals.size(), reals.data());
        }
    }
};

}  // namespace nvl72
