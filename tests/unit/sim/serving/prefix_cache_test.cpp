#include "sim/serving/prefix_cache.hpp"

#include <gtest/gtest.h>

namespace nvl72 {
namespace {

using Parts = std::vector<PrefixCache::Part>;

TEST(PrefixCache, FindsTheLongestFrontThatIsKept) {
    PrefixCache cache({{1000, 0}});
    cache.keep(Parts{{1, 100}, {2, 50}, {3, 25}});
    auto const all = cache.find(Parts{{1, 100}, {2, 50}, {4, 10}});
    EXPECT_EQ(all.parts, 2U);
    EXPECT_EQ(all.tokens, 150);
    EXPECT_EQ(all.near, 150);
    // Behind a part that is not kept nothing is of use.
    EXPECT_EQ(cache.find(Parts{{9, 10}, {2, 50}}).tokens, 0);
}

TEST(PrefixCache, DropsTheLeastRecentlyUsedAndItsTailFirst) {
    PrefixCache cache({{200, 0}});
    cache.keep(Parts{{1, 100}, {2, 50}});
    cache.keep(Parts{{5, 40}});
    cache.keep(Parts{{6, 40}});  // 230 tokens: part 2, the tail of the oldest, goes
    EXPECT_EQ(cache.find(Parts{{1, 100}, {2, 50}}).tokens, 100);
    EXPECT_EQ(cache.find(Parts{{5, 40}}).tokens, 40);
    EXPECT_LE(cache.held(0), 200);
}

TEST(PrefixCache, MovesWhatItHasNoRoomForDownATierAndBack) {
    PrefixCache cache({{100, 0}, {100, 1e-3}});
    cache.keep(Parts{{1, 100}});
    cache.keep(Parts{{2, 60}});
    auto const far = cache.find(Parts{{1, 100}});
    EXPECT_EQ(far.tokens, 100);
    EXPECT_EQ(far.near, 0);
    EXPECT_DOUBLE_EQ(far.seconds, 0.1);  // 100 tokens of 1 ms
    cache.keep(Parts{{1, 100}});         // used: it returns, and the other goes down
    EXPECT_EQ(cache.find(Parts{{1, 100}}).near, 100);
    EXPECT_EQ(cache.find(Parts{{2, 60}}).near, 0);
    cache.keep(Parts{{3, 90}});  // 90 + 100 + 60: the oldest leaves the last tier
    EXPECT_EQ(cache.find(Parts{{2, 60}}).tokens, 0);
}

}  // namespace
}  // namespace nvl72
