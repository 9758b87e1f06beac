#pragma once

#include "kernels/team/platform.hpp"

#include <cstddef>
#include <cstdint>

/// Elements on their way through a team: a source gives the i-th element, a sink takes it. Four at
/// once (16 bytes) where both can.
namespace nvl72::kernels {

/// Part `part` of `count` elements in `parts`, on packs: all but the last ones have the same size.
struct Share {
    std::int64_t begin;
    std::int64_t size;
};

NVL_HD inline std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

NVL_HD inline Share share(std::int64_t count, std::int64_t part, std::int64_t parts) {
    std::int64_t const width = ((count + parts - 1) / parts + 3) / 4 * 4;
    std::int64_t const begin = least(part * width, count);
    return {begin, least(width, count - begin)};
}

template <class T>
struct alignas(16) Pack {
    T of[4];
};

template <class T>
NVL_HD inline bool on_pack(T const* p) {
    return reinterpret_cast<std::uintptr_t>(p) % sizeof(Pack<T>) == 0;
}

/// Elements that lie one after another; source and sink.
template <class T>
struct Run {
    T* base;
    NVL_HD bool packed() const { return on_pack(base); }
    NVL_HD T get(std::int64_t i) const { return base[i]; }
    NVL_HD Pack<T> get4(std::int64_t i) const { return *reinterpret_cast<Pack<T>*>(base + i); }
    NVL_HD void put(std::int64_t i, T value) const { base[i] = value; }
    NVL_HD void put4(std::int64_t i, Pack<T> const& value) const {
        *reinterpret_cast<Pack<T>*>(base + i) = value;
    }
};

/// A window of columns of a matrix's rows list[row], list[row + 1], ... as one run of elements that
/// begins at column `at` of the window; without a list, of rows row, row + 1, ... Source and sink.
template <class T>
struct Rows {
    T* base;
    std::int64_t width;        ///< of the matrix
    std::int32_t const* list;  ///< or nullptr
    Share window;              ///< columns
    std::int64_t row;
    std::int64_t at;

    NVL_HD T* place(std::int64_t i) const {
        // 32 bits: a message is small, and a division of 64 takes several times as long.
        auto const columns = static_cast<std::uint32_t>(window.size);
        auto const e = static_cast<std::uint32_t>(at + i);
        std::int64_t const r = row + e / columns;
        return base + (list == nullptr ? r : list[r]) * width + window.begin + e % columns;
    }
    NVL_HD bool packed() const {
        return on_pack(base) && (width | window.begin | window.size | at) % 4 == 0;
    }
    NVL_HD T get(std::int64_t i) const { return *place(i); }
    NVL_HD Pack<T> get4(std::int64_t i) const { return *reinterpret_cast<Pack<T>*>(place(i)); }
    NVL_HD void put(std::int64_t i, T value) const { *place(i) = value; }
    NVL_HD void put4(std::int64_t i, Pack<T> const& value) const {
        *reinterpret_cast<Pack<T>*>(place(i)) = value;
    }
};

/// Zeros; source.
template <class T>
struct Zeros {
    NVL_HD bool packed() const { return true; }
    NVL_HD T get(std::int64_t) const { return T{}; }
    NVL_HD Pack<T> get4(std::int64_t) const { return {}; }
};

/// The sum of two sources.
template <class T, class A, class B>
struct Sum {
    A a;
    B b;
    NVL_HD bool packed() const { return a.packed() && b.packed(); }
    NVL_HD T get(std::int64_t i) const { return a.get(i) + b.get(i); }
    NVL_HD Pack<T> get4(std::int64_t i) const {
        Pack<T> x = a.get4(i);
        Pack<T> const y = b.get4(i);
        for (int k = 0; k < 4; ++k) x.of[k] += y.of[k];
        return x;
    }
};

/// A sink that hands on to two.
template <class T, class A, class B>
struct Both {
    A a;
    B b;
    NVL_HD bool packed() const { return a.packed() && b.packed(); }
    NVL_HD void put(std::int64_t i, T value) const {
        a.put(i, value);
        b.put(i, value);
    }
    NVL_HD void put4(std::int64_t i, Pack<T> const& value) const {
        a.put4(i, value);
        b.put4(i, value);
    }
};

/// Moves elements 0 .. count-1 from source to sink, each by one lane.
template <class Team, class Source, class Sink>
NVL_HD void move(Team const& team, std::int64_t count, Source source, Sink sink) {
    std::int64_t const packs = source.packed() && sink.packed() ? count / 4 : 0;
    for (std::int64_t j = team.lane(); j < packs; j += team.lanes())
        sink.put4(4 * j, source.get4(4 * j));
    for (std::int64_t i = 4 * packs + team.lane(); i < count; i += team.lanes())
        sink.put(i, source.get(i));
}

}  // namespace nvl72::kernels
