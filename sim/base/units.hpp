#pragma once

#include <cmath>
#include <compare>
#include <concepts>
#include <cstdint>
#include <stdexcept>

namespace nvl72 {

/// A number that carries its unit in its type: `Tag` names the unit, `Rep` holds the count.
/// Only operations that make physical sense compile; integers throw std::overflow_error.
template <class Tag, class Rep>
struct Quantity {
    Rep count{};

    constexpr Quantity() = default;
    constexpr explicit Quantity(Rep value) : count(value) {}

    friend constexpr auto operator<=>(Quantity const&, Quantity const&) = default;

    friend constexpr Quantity operator+(Quantity a, Quantity b) {
        if constexpr (std::integral<Rep>) {
            Rep sum{};
            if (__builtin_add_overflow(a.count, b.count, &sum)) overflow();
            return Quantity{sum};
        } else {
            return Quantity{a.count + b.count};
        }
    }
    friend constexpr Quantity operator-(Quantity a, Quantity b) {
        if constexpr (std::integral<Rep>) {
            Rep difference{};
            if (__builtin_sub_overflow(a.count, b.count, &difference)) overflow();
            return Quantity{difference};
        } else {
            return Quantity{a.count - b.count};
        }
    }
    friend constexpr Quantity operator*(Quantity a, Rep factor) {
        if constexpr (std::integral<Rep>) {
            Rep product{};
            if (__builtin_mul_overflow(a.count, factor, &product)) overflow();
            return Quantity{product};
        } else {
            return Quantity{a.count * factor};
        }
    }
    friend constexpr Quantity operator*(Rep factor, Quantity a) { return a * factor; }
    friend constexpr Quantity operator/(Quantity a, Rep divisor) {
        return Quantity{a.count / divisor};
    }
    friend constexpr double operator/(Quantity a, Quantity b) {
        return static_cast<double>(a.count) / static_cast<double>(b.count);
    }
    constexpr Quantity& operator+=(Quantity other) { return *this = *this + other; }
    constexpr Quantity& operator-=(Quantity other) { return *this = *this - other; }

private:
    [[noreturn]] static void overflow() {
        throw std::overflow_error(
            "integer quantity out of range (simulated time ends at 106 days)");
    }
};

using Picoseconds = Quantity<struct PicosecondsTag, std::int64_t>;
using Bytes = Quantity<struct BytesTag, std::int64_t>;
using BytesPerSecond = Quantity<struct BytesPerSecondTag, double>;
using Flops = Quantity<struct FlopsTag, double>;  ///< 1 multiply or 1 add
using FlopsPerSecond = Quantity<struct FlopsPerSecondTag, double>;
using Watts = Quantity<struct WattsTag, double>;

constexpr double picoseconds_per_second = 1e12;

/// Seconds rounded to whole picoseconds; throws std::overflow_error past 106 days or for a NaN.
inline Picoseconds from_seconds(double seconds) {
    double const count = seconds * picoseconds_per_second;
    if (!(std::abs(count) < 9.2e18)) {
        throw std::overflow_error("simulated time past 106 days, or not a number");
    }
    return Picoseconds{std::llround(count)};
}

constexpr double to_seconds(Picoseconds time) {
    return static_cast<double>(time.count) / picoseconds_per_second;
}
constexpr double to_microseconds(Picoseconds time) { return static_cast<double>(time.count) / 1e6; }

/// Time to move `size` at `rate`; one rounding to the picosecond.
inline Picoseconds operator/(Bytes size, BytesPerSecond rate) {
    return from_seconds(static_cast<double>(size.count) / rate.count);
}
inline Picoseconds operator/(Flops work, FlopsPerSecond rate) {
    return from_seconds(work.count / rate.count);
}

namespace literals {
constexpr Bytes operator""_B(unsigned long long n) { return Bytes{static_cast<std::int64_t>(n)}; }
constexpr Bytes operator""_KiB(unsigned long long n) {
    return 1_B * (static_cast<std::int64_t>(n) << 10);
}
constexpr Bytes operator""_MiB(unsigned long long n) {
    return 1_B * (static_cast<std::int64_t>(n) << 20);
}
constexpr Bytes operator""_GiB(unsigned long long n) {
    return 1_B * (static_cast<std::int64_t>(n) << 30);
}
constexpr Picoseconds operator""_ps(unsigned long long n) {
    return Picoseconds{static_cast<std::int64_t>(n)};
}
constexpr Picoseconds operator""_ns(unsigned long long n) {
    return 1_ps * (static_cast<std::int64_t>(n) * 1'000);
}
constexpr Picoseconds operator""_us(unsigned long long n) {
    return 1_ps * (static_cast<std::int64_t>(n) * 1'000'000);
}
constexpr Picoseconds operator""_ms(unsigned long long n) {
    return 1_ps * (static_cast<std::int64_t>(n) * 1'000'000'000);
}
constexpr Picoseconds operator""_s(unsigned long long n) {
    return 1_ps * (static_cast<std::int64_t>(n) * 1'000'000'000'000);
}
constexpr BytesPerSecond operator""_GBps(unsigned long long n) {
    return BytesPerSecond{static_cast<double>(n) * 1e9};
}
constexpr BytesPerSecond operator""_GBps(long double n) {
    return BytesPerSecond{static_cast<double>(n) * 1e9};
}
constexpr FlopsPerSecond operator""_TFLOPps(unsigned long long n) {
    return FlopsPerSecond{static_cast<double>(n) * 1e12};
}
}  // namespace literals

}  // namespace nvl72
