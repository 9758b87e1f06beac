#pragma once

#include "kernels/collective/wire.hpp"

namespace nvl72::kernels {

/// Rows of tokens between ranks. Channels share the columns of every row, so that the sums of a
/// token stay within one team. A stream is a peer's rows, one after the other, cut into messages.
template <class Wire>
class RowStreams {
public:
    using T = typename Wire::T;

    NVL_HD RowStreams(Wire& wire, Call<T> const& call)
        : wire_(wire),
          tokens_(call.routes.tokens),
          width_(tokens_ == 0 ? 0 : call.count / tokens_),
          columns_(channel_share(wire, width_)) {}

    /// Columns of all tokens, and columns of the rows from or for `peer` in a buffer of all ranks'
    /// rows.
    NVL_HD Rows<T> all(T* base) const { return {base, width_, nullptr, columns_, 0, 0}; }
    NVL_HD Rows<T> block_of(T* base, int peer) const { return all(base + peer * tokens_ * width_); }
    NVL_HD Rows<T> listed(T* base, std::int32_t const* list) const {
        return {base, width_, list, columns_, 0, 0};
    }
    NVL_HD std::int64_t elements(std::int64_t rows) const { return rows * columns_.size; }

    /// Exchanges messages with all peers until every stream is through.
    ///   rows_out, rows_in   of a peer's streams
    ///   out(peer)           the stream to it
    ///   in(peer, n, rows)   takes a message of n elements, which belong at `rows` of its stream
    template <class Out, class In>
    NVL_HD void exchange(std::int32_t const* rows_out,
                         std::int32_t const* rows_in,
                         Out out,
                         In in) {
        bool more = true;
        for (std::int64_t done = 0; more; done += wire_.room()) {
            more = false;
            each_next(wire_, [&](int peer) {
                std::int64_t const left = elements(rows_out[peer]) - done;
                more = more || left > wire_.room();
                if (left > 0) wire_.send(peer, least(left, wire_.room()), skip(out(peer), done));
            });
            each_previous(wire_, [&](int peer) {
                std::int64_t const left = elements(rows_in[peer]) - done;
                more = more || left > wire_.room();
                if (left > 0) in(peer, least(left, wire_.room()), done);
            });
        }
    }
    NVL_HD static Rows<T> skip(Rows<T> rows, std::int64_t elements) {
        rows.row = elements / rows.window.size;
        rows.at = elements % rows.window.size;
        return rows;
    }

private:
    Wire& wire_;
    std::int64_t tokens_;
    std::int64_t width_;
    Share columns_;
};

/// A sink for a number of rows; whole numbers below 2^24 travel as elements without loss.
template <class T>
struct Number {
    std::int32_t* to;
    NVL_HD bool packed() const { return false; }
    NVL_HD void put(std::int64_t, T value) const { *to = static_cast<std::int32_t>(value); }
    NVL_HD void put4(std::int64_t, Pack<T> const&) const {}
};

/// The source of one number.
template <class T>
struct One {
    T value;
    NVL_HD bool packed() const { return false; }
    NVL_HD T get(std::int64_t) const { return value; }
    NVL_HD Pack<T> get4(std::int64_t) const { return {}; }
};

/// MoE dispatch: every token's row goes once to each rank where at least one of its experts lives.
/// The ranks first say how many rows will come.
struct MoeDispatch {
    template <class Wire>
    static NVL_HD void run(Wire& wire, Call<typename Wire::T> const& call) {
        using T = typename Wire::T;
        auto const& routes = call.routes;
        RowStreams<Wire> streams(wire, call);
        std::int32_t* const rows_from =
            routes.rows_from + wire.team().channel() * static_cast<std::int64_t>(wire.ranks());
        each_next(wire, [&](int peer) {
            wire.send(peer, 1, One<T>{static_cast<T>(routes.rows_to[peer])});
        });
        each_previous(wire, [&](int peer) { wire.receive(peer, 1, Number<T>{rows_from + peer}); });
        int const own = wire.rank();
        auto to = [&](int peer) {
            return streams.listed(call.send, routes.list + peer * routes.tokens);
        };
        move(wire.team(), streams.elements(routes.rows_to[own]), to(own),
             streams.block_of(call.receive, own));
        streams.exchange(
            routes.rows_to, rows_from, to, [&](int peer, std::int64_t size, std::int64_t done) {
                wire.receive(peer, size, streams.skip(streams.block_of(call.receive, peer), done));
            });
    }
};

/// MoE combine: the rows that a dispatch brought go back, and a token's rows are added up.
struct MoeCombine {
    template <class Wire>
    static NVL_HD void run(Wire& wire, Call<typename Wire::T> const& call) {
        using T = typename Wire::T;
        auto const& routes = call.routes;
        RowStreams<Wire> streams(wire, call);
        std::int32_t const* const rows_from =
            routes.rows_from + wire.team().channel() * static_cast<std::int64_t>(wire.ranks());
        auto sums = [&](int peer) {
            return streams.listed(call.receive, routes.list + peer * routes.tokens);
        };
        int const own = wire.rank();
        move(wire.team(), streams.elements(routes.tokens), Zeros<T>{}, streams.all(call.receive));
        wire.team().sync();
        move(wire.team(), streams.elements(routes.rows_to[own]), streams.block_of(call.send, own),
             sums(own));
        wire.team().sync();
        streams.exchange(
            rows_from, routes.rows_to, [&](int peer) { return streams.block_of(call.send, peer); },
            [&](int peer, std::int64_t size, std::int64_t done) {
                auto const sum = streams.skip(sums(peer), done);
                wire.receive_add(peer, size, sum, sum);
            });
    }
};

}  // namespace nvl72::kernels
