#pragma once

#include "kernels/collective/collectives.hpp"
#include "kernels/team/move.hpp"
#include "kernels/team/platform.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

/// Messages between ranks. A link from a to b is a ring of slots in b's memory. Both ends count the
/// messages since the ranks were made, so nothing is ever reset: a waits until `drained` (in a's
/// memory, written by b) says that the slot is free; b waits until the message is there.
namespace nvl72::kernels {

/// Words of 4 bytes of data below 4 of flag; the flag is the message's number, so that a word left
/// by an earlier message is never taken for one of this. Source at one end, sink at the other.
template <class Team, class T>
struct Words {
    Team const* team;
    std::uint64_t* words;
    std::uint32_t flag;
    static_assert(sizeof(T) == 4, "a word holds 4 bytes of data");

    NVL_HD bool packed() const { return true; }
    NVL_HD T get(std::int64_t i) const {
        SystemAtomic const word(words[i]);
        std::uint64_t seen = word.load(cuda::memory_order_relaxed);
        for (int spin = 0; static_cast<std::uint32_t>(seen >> 32U) != flag; ++spin) {
            team->pause(spin);
            seen = word.load(cuda::memory_order_relaxed);
        }
        auto const bits = static_cast<std::uint32_t>(seen);
        T value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    NVL_HD void put(std::int64_t i, T value) const {
        std::uint32_t bits = 0;
        memcpy(&bits, &value, sizeof bits);
        SystemAtomic const word(words[i]);
        word.store(static_cast<std::uint64_t>(flag) << 32U | bits, cuda::memory_order_relaxed);
    }
    NVL_HD Pack<T> get4(std::int64_t i) const {
        return {{get(i), get(i + 1), get(i + 2), get(i + 3)}};
    }
    NVL_HD void put4(std::int64_t i, Pack<T> const& value) const {
        for (int k = 0; k < 4; ++k) put(i + k, value.of[k]);
    }
};

/// The memory orders that make it right. The tests weaken them one at a time.
struct Orders {
    static constexpr auto publish = cuda::memory_order_release;  ///< data is in the slot
    static constexpr auto arrive = cuda::memory_order_acquire;   ///< before the slot is read
    static constexpr auto drain = cuda::memory_order_release;    ///< the slot has been read
    static constexpr auto credit =
        cuda::memory_order_acquire;  ///< before the slot is written again
    static constexpr bool waits_for_credit = true;
    template <class Team, class T>
    using Packed = Words<Team, T>;
};

/// One end of the links between a rank's channel and a peer's, followed by the slots of what comes
/// in.
struct Box {
    alignas(128) std::uint64_t ready;  ///< messages in (bulk); the peer writes
    alignas(
        128) std::uint64_t drained;   ///< messages of ours that the peer has read; the peer writes
    alignas(128) std::uint64_t sent;  ///< the positions, between two launches
    std::uint64_t received;
};

/// Where all ranks' mailboxes are; every rank can reach every address.
struct World {
    int ranks;
    int channels;
    int slots;                ///< at least 2, or a ring would wait for itself
    std::int64_t slot_bytes;  ///< a multiple of 128
    std::byte* mailboxes[ranks_max];

    /// Bytes of one rank's mailbox; zeroed before the first message.
    NVL_HD std::int64_t mailbox_bytes() const { return box_bytes() * 2 * channels * ranks; }
    NVL_HD std::int64_t box_bytes() const {
        return static_cast<std::int64_t>(sizeof(Box)) + slots * slot_bytes;
    }
    NVL_HD Box& box(Protocol protocol, int channel, int owner, int peer) const {
        std::int64_t const which = protocol == Protocol::low_latency ? 0 : 1;
        std::int64_t const index = (which * channels + channel) * ranks + peer;
        return *reinterpret_cast<Box*>(mailboxes[owner] + index * box_bytes());
    }
    NVL_HD std::byte* slot(Box& box, std::uint64_t position) const {
        return reinterpret_cast<std::byte*>(&box + 1) +
               static_cast<std::int64_t>(position % static_cast<std::uint64_t>(slots)) * slot_bytes;
    }
};

/// A sink that is not there: a relay keeps nothing.
struct Nothing {};

/// The links of one team (a rank's channel) to all its peers, by one protocol. A body calls these
/// in the same order on both ends of a link; every lane of the team calls them.
template <class WireTeam, class Element, Protocol protocol, class Order = Orders>
class Wire {
public:
    using Team = WireTeam;
    using T = Element;

    NVL_HD Wire(Team& team, World const& world) : team_(team), world_(world) {
        for (int peer = 0; peer < team.ranks(); ++peer) {
            sent_[peer] = mine(peer).sent;
            received_[peer] = mine(peer).received;
        }
    }
    /// Keeps the positions for the next launch.
    NVL_HD void save() {
        team_.sync();
        for (int peer = team_.lane(); peer < team_.ranks(); peer += team_.lanes()) {
            mine(peer).sent = sent_[peer];
            mine(peer).received = received_[peer];
        }
    }

    NVL_HD Team& team() const { return team_; }
    NVL_HD int rank() const { return team_.rank(); }
    NVL_HD int ranks() const { return team_.ranks(); }
    /// Elements that one message holds; a multiple of 4.
    NVL_HD std::int64_t room() const {
        return world_.slot_bytes / (protocol == Protocol::low_latency ? 8 : 4);
    }

    /// Sends elements of `source` to rank `to`.
    template <class Source>
    NVL_HD void send(int to, std::int64_t count, Source source) {
        wait_for_credit(to);
        team_.sync();
        move(team_, count, source, outgoing(to));
        publish(to);
    }
    /// Takes the next message from `from`.
    template <class Sink>
    NVL_HD void receive(int from, std::int64_t count, Sink sink) {
        arrive(from);
        move(team_, count, incoming(from), sink);
        drain(from);
    }
    /// The same, with `local` added to each element.
    template <class Source, class Sink>
    NVL_HD void receive_add(int from, std::int64_t count, Source local, Sink sink) {
        arrive(from);
        move(team_, count, add(incoming(from), local), sink);
        drain(from);
    }
    /// Takes a message from `from`, keeps it in `sink` and sends it on.
    template <class Sink>
    NVL_HD void relay(int from, int to, std::int64_t count, Sink sink) {
        relay_of(from, to, count, incoming(from), sink);
    }
    /// The same, with `local` added to each element.
    template <class Source, class Sink>
    NVL_HD void relay_add(int from, int to, std::int64_t count, Source local, Sink sink) {
        relay_of(from, to, count, add(incoming(from), local), sink);
    }

private:
    using Inside = std::conditional_t<protocol == Protocol::low_latency,
                                      typename Order::template Packed<Team, T>,
                                      Run<T>>;

    NVL_HD Box& mine(int peer) const {
        return world_.box(protocol, team_.channel(), team_.rank(), peer);
    }
    NVL_HD Box& theirs(int peer) const {
        return world_.box(protocol, team_.channel(), peer, team_.rank());
    }
    NVL_HD Inside inside(Box& box, std::uint64_t position) const {
        std::byte* const slot = world_.slot(box, position);
        if constexpr (protocol == Protocol::low_latency) {
            return {&team_, reinterpret_cast<std::uint64_t*>(slot),
                    static_cast<std::uint32_t>(position + 1)};
        } else {
            return {reinterpret_cast<T*>(slot)};
        }
    }
    NVL_HD Inside outgoing(int to) const { return inside(theirs(to), sent_[to]); }
    NVL_HD Inside incoming(int from) const { return inside(mine(from), received_[from]); }

    template <class A, class B>
    static NVL_HD Sum<T, A, B> add(A a, B b) {
        return {a, b};
    }

    template <class Source, class Sink>
    NVL_HD void relay_of(int from, int to, std::int64_t count, Source source, Sink sink) {
        wait_for_credit(to);
        arrive(from);
        if constexpr (protocol == Protocol::low_latency) team_.sync();  // the credit is lane 0's
        if constexpr (std::is_same_v<Sink, Nothing>) {
            move(team_, count, source, outgoing(to));
        } else {
            move(team_, count, source, Both<T, Inside, Sink>{outgoing(to), sink});
        }
        publish(to);
        drain(from);
    }

    NVL_HD void wait(std::uint64_t& counter, std::uint64_t target, cuda::memory_order order) const {
        SystemAtomic const seen(counter);
        for (int spin = 0; seen.load(order) < target; ++spin) team_.pause(spin);
    }
    /// Lane 0 waits until the slot of the next message to `to` is free.
    NVL_HD void wait_for_credit(int to) const {
        auto const slots = static_cast<std::uint64_t>(world_.slots);
        if (Order::waits_for_credit && team_.lane() == 0 && sent_[to] >= slots)
            wait(mine(to).drained, sent_[to] - slots + 1, Order::credit);
    }
    NVL_HD void publish(int to) {
        ++sent_[to];
        if constexpr (protocol != Protocol::low_latency) {
            team_.sync();
            if (team_.lane() == 0) SystemAtomic(theirs(to).ready).store(sent_[to], Order::publish);
        }
    }
    NVL_HD void arrive(int from) const {
        if constexpr (protocol != Protocol::low_latency) {
            if (team_.lane() == 0) wait(mine(from).ready, received_[from] + 1, Order::arrive);
            team_.sync();
        }
    }
    NVL_HD void drain(int from) {
        ++received_[from];
        team_.sync();
        if (team_.lane() == 0)
            SystemAtomic(theirs(from).drained).store(received_[from], Order::drain);
    }

    Team& team_;
    World const& world_;
    std::uint64_t sent_[ranks_max]{};
    std::uint64_t received_[ranks_max]{};
};

/// Which rows go where in the moe_* calls of one rank, without duplicates.
struct Routes {
    std::int64_t tokens;
    std::int32_t const* list;     ///< [ranks][tokens]: the tokens that go to a rank, ascending
    std::int32_t const* rows_to;  ///< [ranks]: how many those are
    std::int32_t* rows_from;      ///< [channels][ranks]: how many came; moe_dispatch writes it
};

/// The operands of one call on one rank. A body is a struct with
///   template <class Wire> static NVL_HD void run(Wire& wire, Call<typename Wire::T> const& call)
template <class T>
struct Call {
    T* send;
    T* receive;
    std::int64_t count;  ///< see Op
    int root;
    Routes routes;
    T* multicast_send;  ///< the same buffers of all ranks at one address, or nullptr
    T* multicast_receive;
};

/// This channel's share of `count` elements.
template <class Wire>
NVL_HD Share channel_share(Wire const& wire, std::int64_t count) {
    return share(count, wire.team().channel(), wire.team().channels());
}

/// Copies this channel's share of `count` elements within the rank; nothing to do in place.
template <class Wire, class T>
NVL_HD void keep(Wire const& wire, std::int64_t count, T* from, T* to) {
    if (from == to) return;
    auto const mine = channel_share(wire, count);
    move(wire.team(), mine.size, Run<T>{from + mine.begin}, Run<T>{to + mine.begin});
}

/// Calls f(peer) for every other rank, the next one first, so that ranks do not all send to one.
template <class Wire, class F>
NVL_HD void each_next(Wire const& wire, F f) {
    for (int step = 1; step < wire.ranks(); ++step) f((wire.rank() + step) % wire.ranks());
}

/// The same, the previous one first: the order in which messages of each_next come in.
template <class Wire, class F>
NVL_HD void each_previous(Wire const& wire, F f) {
    for (int step = 1; step < wire.ranks(); ++step)
        f((wire.rank() + wire.ranks() - step) % wire.ranks());
}

/// Calls f(begin, size) for the messages of this channel's share of `count` elements.
template <class Wire, class F>
NVL_HD void each_message(Wire const& wire, std::int64_t count, F f) {
    auto const mine = channel_share(wire, count);
    for (std::int64_t done = 0; done < mine.size; done += wire.room())
        f(mine.begin + done, least(mine.size - done, wire.room()));
}

}  // namespace nvl72::kernels
